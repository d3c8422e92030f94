//! A message's content, walked over: how many of the bytes that come are still of it.

use super::{Chunked, Refusal, Settings};

/// How long a message's content is, as its head says (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Length {
    /// So many bytes; none, if nothing was said.
    Exact(u64),
    /// As long as its chunks say.
    Chunked,
    /// Until the server ends its stream.
    UntilClose,
    /// What follows is no HTTP.
    Tunnel,
}

/// How far a message's content is.
#[derive(Debug)]
pub struct Body(State);

#[derive(Debug)]
enum State {
    Exact { left: u64 },
    Chunked(Chunked),
    Endless,
}

/// What it means that the stream ends within a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AtEnd {
    /// It is the end of the message.
    Complete,
    /// Something is missing.
    Truncated,
}

impl Body {
    /// At its beginning.
    pub fn new(length: Length, settings: &Settings) -> Self {
        Self(match length {
            Length::Exact(left) => State::Exact { left },
            Length::Chunked => State::Chunked(Chunked::new(settings)),
            Length::UntilClose | Length::Tunnel => State::Endless,
        })
    }

    /// How many of `bytes`, which come next in the stream, are of this message.
    pub fn walk(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        match &mut self.0 {
            State::Exact { left } => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                Ok(taken)
            }
            State::Chunked(chunked) => chunked.walk(bytes),
            State::Endless => Ok(bytes.len()),
        }
    }

    /// How many bytes come next that are of this message, whatever they are.
    pub fn unseen(&self) -> usize {
        match &self.0 {
            State::Exact { left } => usize::try_from(*left).unwrap_or(usize::MAX),
            State::Chunked(_) => 0,
            State::Endless => usize::MAX,
        }
    }

    /// So many of those went by.
    pub fn skip(&mut self, bytes: usize) {
        if let State::Exact { left } = &mut self.0 {
            *left = left.saturating_sub(bytes as u64);
        }
    }

    /// Whether the message is complete, whatever the stream brings next.
    pub fn is_done(&self) -> bool {
        match &self.0 {
            State::Exact { left } => *left == 0,
            State::Chunked(chunked) => chunked.is_done(),
            State::Endless => false,
        }
    }

    /// The stream ends here.
    pub fn at_end(&self) -> AtEnd {
        match &self.0 {
            State::Endless => AtEnd::Complete,
            State::Exact { .. } | State::Chunked(_) if self.is_done() => AtEnd::Complete,
            State::Exact { .. } | State::Chunked(_) => AtEnd::Truncated,
        }
    }
}
