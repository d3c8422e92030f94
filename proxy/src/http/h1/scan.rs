//! The end of a head, looked for while it arrives.
//!
//! It reads no field. Invariant: each byte is looked at once, however many pieces the head comes in, and the answer is the
//! same for all ways of cutting it; a line that ends by anything but CR LF ends the search.

use std::ops::Range;

use memchr::memchr;

use super::{Refusal, Settings};

/// Whose head it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A client's: one empty line may come before it (RFC 9112, section 2.2).
    Request,
    /// A server's.
    Response,
}

/// How far the search is.
#[derive(Debug)]
pub struct Scan {
    kind: Kind,
    most: usize,
    /// Where the head begins.
    begin: usize,
    /// Where the line begins that is being looked at.
    line: usize,
    looked: usize,
}

impl Scan {
    /// For one head.
    pub fn new(kind: Kind, settings: &Settings) -> Self {
        Self { kind, most: settings.http_max_head as usize, begin: 0, line: 0, looked: 0 }
    }

    /// Where the head lies in `bytes`, which are all that have come of it, once its end is there too.
    pub fn look(&mut self, bytes: &[u8]) -> Result<Option<Range<usize>>, Refusal> {
        let most = bytes.get(..self.most).unwrap_or(bytes);
        while let Some(length) = memchr(b'\n', most.get(self.looked..).unwrap_or_default()) {
            let end = self.looked + length;
            let line = most.get(self.line..end).and_then(<[u8]>::split_last);
            self.looked = end + 1;
            match line {
                Some((b'\r', [])) if self.line > self.begin => return Ok(Some(self.begin..self.looked)),
                Some((b'\r', [])) if self.begin == 0 && self.kind == Kind::Request => {
                    self.begin = self.looked;
                }
                Some((b'\r', [])) => return Err(Refusal::EmptyLine),
                Some((b'\r', _)) => {}
                Some(_) | None => return Err(Refusal::LineEnd),
            }
            self.line = self.looked;
        }
        self.looked = most.len();
        if self.looked >= self.most { Err(Refusal::HeadTooLong) } else { Ok(None) }
    }

    /// Whether nothing of a head has come that counts.
    pub fn is_empty(&self) -> bool {
        self.looked == self.begin
    }
}
