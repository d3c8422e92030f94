//! A frame that was read.

use super::{DATA, Decoder, END_STREAM, GOAWAY, HEADERS, PADDED, WITH_PRIORITY};

/// A whole one, whatever is in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// As [`super::DATA`] and the others.
    pub kind: u8,
    /// As [`super::END_STREAM`] and the others.
    pub flags: u8,
    /// The number, with the reserved bit.
    pub stream: u32,
    /// What follows the head.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Of RST_STREAM and GOAWAY; the largest number, which is no code, where there is none.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        let bytes = self.payload.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(u32::MAX, |bytes| u32::from_be_bytes(*bytes))
    }

    /// Whether nothing more of its stream follows.
    pub fn is_end(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// What it has without its padding and its priority (RFC 9113, sections 6.1 and 6.2).
    pub fn content(&self) -> Option<&[u8]> {
        let has = |flag| self.flags & flag != 0;
        let (padding, mut rest) =
            if has(PADDED) { self.payload.split_first()? } else { (&0, &self.payload[..]) };
        if self.kind == HEADERS && has(WITH_PRIORITY) {
            rest = rest.get(5..)?;
        }
        rest.get(..rest.len().checked_sub(usize::from(*padding))?)
    }

    /// Of a response whose sender was told to have no table of its own; of trailers and everything else, none.
    pub fn status(&self) -> Option<u16> {
        if self.kind != HEADERS {
            return None;
        }
        let fields = Decoder::new(0).read(self.content()?)?;
        let status = fields.into_iter().find(|field| field.name == b":status")?;
        String::from_utf8(status.value).ok()?.parse().ok()
    }
}
