//! The chunked transfer coding, walked over: where the message ends, and whether each byte of its framing is what
//! RFC 9112, section 7.1, says. Nothing is taken out and nothing is kept, so the coding is passed on as it came, with its
//! extensions and trailers.
//!
//! Invariant: the answer does not depend on how the bytes are cut.

use super::fields::{forbidden_in_trailers, is_token, is_value};
use super::{Refusal, Settings};

/// A size has no more digits, leading zeros included.
const MOST_DIGITS: u8 = 16;

/// The longest name that a trailer must not have.
const NAME: usize = "transfer-encoding".len();

/// How far the walk is.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    /// Bytes of extension that this chunk may still have, then bytes of trailers.
    room: u32,
    most_trailers: u32,
    fields: u16,
    most_extension: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In the digits of a size.
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
        quote: Quote,
    },
    /// The LF of the line of the size.
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// At the beginning of a trailer, or of the last empty line.
    Line,
    Name {
        name: [u8; NAME],
        length: u8,
    },
    Value,
    ValueLf,
    LastLf,
    End,
}

/// Where in an extension, as far as quotations go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Quote {
    Outside,
    Inside,
    /// After a backslash.
    Escaped,
}

impl Chunked {
    /// At the beginning of a message's content.
    pub fn new(settings: &Settings) -> Self {
        let most_extension = settings.http_max_chunk_extension;
        Self {
            state: State::Size { size: 0, digits: 0 },
            room: most_extension,
            most_trailers: settings.http_max_trailers,
            fields: settings.http_max_fields,
            most_extension,
        }
    }

    /// Whether the message has ended.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// How many of `bytes` are of this message.
    pub fn walk(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut rest = bytes;
        while let [byte, after @ ..] = rest {
            if self.is_done() {
                break;
            }
            if let State::Data { left } = self.state {
                let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                rest = rest.get(taken..).unwrap_or_default();
                let left = left - taken as u64;
                self.state = if left == 0 { State::DataCr } else { State::Data { left } };
            } else if let State::Extension { quote, .. } = self.state
                && let plain @ 1.. = self.plain_extension(quote, rest)
            {
                rest = rest.get(plain..).unwrap_or_default();
            } else if let (State::Size { digits: 0, .. }, Some(mut after)) =
                (self.state, after_short_chunk(rest))
            {
                while let Some(more) = after_short_chunk(after) {
                    after = more;
                }
                rest = after;
            } else {
                self.state = self.next(self.state, *byte)?;
                rest = after;
            }
        }
        Ok(bytes.len() - rest.len())
    }

    fn next(&mut self, state: State, byte: u8) -> Result<State, Refusal> {
        match (state, byte) {
            (State::Size { size, digits }, _) => self.size(size, digits, byte),
            (State::Extension { size, quote }, _) => self.extension(size, quote, byte),
            (State::SizeEnd { size: 0 }, b'\n') => {
                self.room = self.most_trailers;
                Ok(State::Line)
            }
            (State::SizeEnd { size }, b'\n') => {
                self.room = self.most_extension;
                Ok(State::Data { left: size })
            }
            (State::SizeEnd { .. }, _) => Err(Refusal::LineEnd),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::DataCr | State::DataLf, _) => Err(Refusal::ChunkEnd),
            (State::Line, b'\r') => Ok(State::LastLf),
            (State::LastLf, b'\n') => Ok(State::End),
            (State::ValueLf, b'\n') => Ok(State::Line),
            (State::LastLf | State::ValueLf, _) => Err(Refusal::LineEnd),
            (State::Line | State::Name { .. } | State::Value, _) => self.trailer(state, byte),
            // `walk` does not ask for them.
            (State::Data { .. } | State::End, _) => Ok(state),
        }
    }

    fn size(&self, size: u64, digits: u8, byte: u8) -> Result<State, Refusal> {
        match (char::from(byte).to_digit(16), byte) {
            (Some(_), _) if digits == MOST_DIGITS => Err(Refusal::ChunkSize),
            // Sixteen digits are 64 bits.
            (Some(digit), _) => Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }),
            (None, b'\r') if digits > 0 => Ok(State::SizeEnd { size }),
            (None, b';') if digits > 0 && self.room == 0 => Err(Refusal::ChunkExtensionTooLong),
            (None, b';') if digits > 0 => Ok(State::Extension { size, quote: Quote::Outside }),
            (None, b'\n') => Err(Refusal::LineEnd),
            (None, _) => Err(Refusal::ChunkSize),
        }
    }

    /// How many bytes may follow in an extension that change nothing but the room for more. All of them at once, since extensions
    /// may be nearly all of what a client sends.
    fn plain_extension(&mut self, quote: Quote, bytes: &[u8]) -> usize {
        let most = bytes.get(..usize::try_from(self.room).unwrap_or(usize::MAX)).unwrap_or(bytes);
        let plain = match quote {
            Quote::Outside => most.iter().take_while(|byte| is_unquoted(**byte)).count(),
            Quote::Inside => most.iter().take_while(|byte| is_quoted(**byte)).count(),
            Quote::Escaped => 0,
        };
        self.room -= u32::try_from(plain).unwrap_or(self.room);
        plain
    }

    fn extension(&mut self, size: u64, quote: Quote, byte: u8) -> Result<State, Refusal> {
        let quote = match (quote, byte) {
            (Quote::Outside, b'\r') => return Ok(State::SizeEnd { size }),
            (_, b'\n') => return Err(Refusal::LineEnd),
            (Quote::Outside, b'"') | (Quote::Escaped, b'\t' | b' '..=b'~' | 0x80..) => Quote::Inside,
            (Quote::Outside, _) if is_unquoted(byte) => Quote::Outside,
            (Quote::Inside, b'"') => Quote::Outside,
            (Quote::Inside, b'\\') => Quote::Escaped,
            (Quote::Inside, _) if is_quoted(byte) => Quote::Inside,
            (Quote::Outside | Quote::Inside | Quote::Escaped, _) => return Err(Refusal::ChunkExtension),
        };
        self.room = self.room.checked_sub(1).ok_or(Refusal::ChunkExtensionTooLong)?;
        Ok(State::Extension { size, quote })
    }

    fn trailer(&mut self, state: State, byte: u8) -> Result<State, Refusal> {
        self.room = self.room.checked_sub(1).ok_or(Refusal::TrailersTooLong)?;
        match (state, byte) {
            (_, b'\n') => Err(Refusal::LineEnd),
            (State::Name { name, length }, b':') => {
                let name = name.get(..usize::from(length)).unwrap_or_default();
                if forbidden_in_trailers(name) { Err(Refusal::TrailerForbidden) } else { Ok(State::Value) }
            }
            (State::Line, _) if is_token(byte) => {
                self.fields = self.fields.checked_sub(1).ok_or(Refusal::TrailersTooLong)?;
                Ok(named([0; NAME], 0, byte))
            }
            (State::Name { name, length }, _) if is_token(byte) => Ok(named(name, length, byte)),
            (State::Value, b'\r') => Ok(State::ValueLf),
            (State::Value, _) if is_value(byte) => Ok(State::Value),
            (_, _) => Err(Refusal::Trailer),
        }
    }
}

/// Names and values, and what is between them.
fn is_unquoted(byte: u8) -> bool {
    is_token(byte) || matches!(byte, b' ' | b'\t' | b';' | b'=')
}

/// RFC 9110, section 5.6.4: what neither ends a quotation nor escapes.
fn is_quoted(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..) && byte != b'"' && byte != b'\\'
}

/// What follows a chunk of at most 15 bytes without extensions that is there from its size to its end: such chunks cost most, for
/// what they carry, and so they are not looked at byte by byte.
fn after_short_chunk(bytes: &[u8]) -> Option<&[u8]> {
    let [digit, b'\r', b'\n', rest @ ..] = bytes else { return None };
    let size = char::from(*digit).to_digit(16).filter(|size| *size > 0)?;
    let (_, end) = rest.split_at_checked(size as usize)?;
    end.strip_prefix(b"\r\n")
}

/// One more letter of a name; one that is too long to be forbidden is remembered as such.
fn named(mut name: [u8; NAME], length: u8, byte: u8) -> State {
    match name.get_mut(usize::from(length)) {
        Some(letter) => {
            *letter = byte.to_ascii_lowercase();
            State::Name { name, length: length + 1 }
        }
        None => State::Name { name: [0; NAME], length },
    }
}
