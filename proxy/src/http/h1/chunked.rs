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
            } else if let State::Extension { size, quote } = self.state {
                let taken = self.extension(size, quote, rest)?;
                rest = rest.get(taken..).unwrap_or_default();
            } else if let State::Size { digits: 0, .. } = self.state
                && let Some(mut after) = self.after_chunk(rest)
            {
                while let Some(more) = self.after_chunk(after) {
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
            (State::Extension { .. } | State::Data { .. } | State::End, _) => Ok(state),
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

    /// How many of `bytes` are of the extension, with the CR behind it. All of them at once, since extensions may be nearly all of
    /// what a client sends.
    fn extension(&mut self, size: u64, quote: Quote, bytes: &[u8]) -> Result<usize, Refusal> {
        let (taken, quote) = of_extension(quote, bytes);
        let room = u32::try_from(taken).ok().and_then(|taken| self.room.checked_sub(taken));
        self.room = room.ok_or(Refusal::ChunkExtensionTooLong)?;
        let (state, end) = match bytes.get(taken) {
            None => (State::Extension { size, quote }, 0),
            Some(b'\r') if quote == Quote::Outside => (State::SizeEnd { size }, 1),
            Some(b'\n') => return Err(Refusal::LineEnd),
            Some(_) => return Err(Refusal::ChunkExtension),
        };
        self.state = state;
        Ok(taken + end)
    }

    /// What follows a chunk that is there from its size to its end. Short ones cost most, for what they carry, and so these are not
    /// looked at byte by byte.
    fn after_chunk<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let (size, after) = after_size(bytes)?;
        let line_end = match after {
            [b';', end @ ..] if end.starts_with(b"\r") && self.room > 0 => end,
            [b';', extension @ ..] => {
                let (taken, quote) = of_extension(Quote::Outside, extension);
                let room = usize::try_from(self.room).unwrap_or(usize::MAX);
                let is_allowed = quote == Quote::Outside && room > 0 && taken <= room;
                extension.get(taken..).filter(|_| is_allowed)?
            }
            _ => after,
        };
        let (_, end) = line_end.strip_prefix(b"\r\n")?.split_at_checked(size)?;
        end.strip_prefix(b"\r\n")
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

/// Names and values, and what is between them: all that is visible but for delimiters that are none of an extension's.
fn is_unquoted(byte: u8) -> bool {
    let within = |first: u8, last: u8| byte.wrapping_sub(first) <= last - first;
    let is_delimiter =
        within(b'(', b')') | within(b'[', b']') | (byte == b'"') | (byte == b',') | (byte == b'/');
    let is_other = (byte == b':') | (byte == b'<') | within(b'>', b'@') | (byte == b'{') | (byte == b'}');
    (within(b' ', b'~') | (byte == b'\t')) & !(is_delimiter | is_other)
}

/// RFC 9110, section 5.6.4: what neither ends a quotation nor escapes.
fn is_quoted(byte: u8) -> bool {
    ((byte >= b' ') | (byte == b'\t')) & (byte != 0x7f) & (byte != b'"') & (byte != b'\\')
}

/// How many of `bytes` an extension may have before its end, and where it is then.
fn of_extension(mut quote: Quote, bytes: &[u8]) -> (usize, Quote) {
    let (mut rest, mut plain) = (bytes, 0);
    while let [byte, after @ ..] = rest {
        if plain == FEW {
            let blocks = match quote {
                Quote::Outside => blocks(rest, is_unquoted),
                Quote::Inside => blocks(rest, is_quoted),
                Quote::Escaped => 0,
            };
            (rest, plain) = (rest.get(blocks..).unwrap_or_default(), 0);
            continue;
        }
        if let (Quote::Inside, [b'\\', b'\t' | b' '..=b'~' | 0x80.., after @ ..]) = (quote, rest) {
            rest = after;
            continue;
        }
        let next = match (quote, byte) {
            (Quote::Outside, _) if is_unquoted(*byte) => Quote::Outside,
            (Quote::Outside, b'"') | (Quote::Escaped, b'\t' | b' '..=b'~' | 0x80..) => Quote::Inside,
            (Quote::Inside, _) if is_quoted(*byte) => Quote::Inside,
            (Quote::Inside, b'"') => Quote::Outside,
            (Quote::Inside, b'\\') => Quote::Escaped,
            (Quote::Outside | Quote::Inside | Quote::Escaped, _) => break,
        };
        plain = if next == quote { plain + 1 } else { 0 };
        (quote, rest) = (next, after);
    }
    (bytes.len() - rest.len(), quote)
}

/// After so many bytes that change nothing, more of them are to be expected.
const FEW: u32 = 8;

/// How many bytes the blocks at the front have in which all are such. There is no branch for each byte, so that they take a
/// fraction of what bytes one after the other would.
fn blocks(bytes: &[u8], is_such: impl Fn(u8) -> bool) -> usize {
    let (blocks, _) = bytes.as_chunks::<16>();
    let are_such = |block: &&[u8; 16]| block.iter().fold(true, |all, byte| all & is_such(*byte));
    16 * blocks.iter().take_while(are_such).count()
}

/// A size that is not 0, and what follows its digits.
fn after_size(bytes: &[u8]) -> Option<(usize, &[u8])> {
    if let [digit @ b'1'..=b'9', after @ ..] = bytes
        && let [b'\r' | b';', ..] = after
    {
        return Some((usize::from(digit - b'0'), after));
    }
    // No more of them are looked at than there may be, and one: whoever has more is refused where they are read one by one.
    let most = usize::from(MOST_DIGITS);
    let count = bytes.iter().take(most + 1).take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, rest) = bytes.split_at_checked(count).filter(|_| count <= most)?;
    let digits = digits.iter().filter_map(|digit| char::from(*digit).to_digit(16));
    let size = digits.fold(0, |size, digit| size << 4 | u64::from(digit));
    Some((usize::try_from(size).ok().filter(|size| *size > 0)?, rest))
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

#[cfg(test)]
mod tests {
    use super::{is_quoted, is_token, is_unquoted};

    #[test]
    fn extensions_have_what_the_grammar_says() {
        for byte in 0..=255 {
            assert_eq!(is_unquoted(byte), is_token(byte) || b" \t;=".contains(&byte), "{byte:#x}");
            let is_text = matches!(byte, b'\t' | b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e | 0x80..);
            assert_eq!(is_quoted(byte), is_text, "{byte:#x}");
        }
    }
}
