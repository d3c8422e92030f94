//! A frame that was read.

use super::{DATA, END_STREAM, GOAWAY, HEADERS};

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

    /// Of a response whose sender was told to have no table of its own; of trailers and everything else, none.
    pub fn status(&self) -> Option<u16> {
        if self.kind != HEADERS {
            return None;
        }
        let block = match &self.payload[..] {
            // The size of the table.
            [first, rest @ ..] if first & 0xe0 == 0x20 => rest,
            block => block,
        };
        match block {
            // Entries of the static table.
            [index @ 0x88..=0x8e, ..] => {
                [200, 204, 206, 304, 400, 404, 500].get(usize::from(index - 0x88)).copied()
            }
            // The name of one of them, and a value that is compressed or not.
            [0x08..=0x0e | 0x18..=0x1e | 0x48..=0x4e, length, rest @ ..] => {
                let value = rest.get(..usize::from(length & 0x7f))?;
                let digits = if length & 0x80 == 0 { value.to_vec() } else { digits(value)? };
                String::from_utf8(digits).ok()?.parse().ok()
            }
            _ => None,
        }
    }
}

/// RFC 7541, appendix B, as far as it is about three digits: 0, 1 and 2 have five bits, the others six.
fn digits(bytes: &[u8]) -> Option<Vec<u8>> {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let mut rest = &bits[..];
    let mut digits = vec![];
    while digits.len() < 3 {
        let five = u8::from_str_radix(rest.get(..5)?, 2).ok()?;
        let (digit, length) = if five < 3 {
            (five, 5)
        } else {
            (u8::from_str_radix(rest.get(..6)?, 2).ok()?.checked_sub(0x19)? + 3, 6)
        };
        digits.push(b'0' + digit);
        rest = rest.get(length..)?;
    }
    Some(digits)
}
