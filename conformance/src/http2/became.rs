//! What became of a connection of frames, as the one sees it who has broken a rule on it.

use std::fmt;

use crate::frames::{Frame, GOAWAY, RST_STREAM, codes};
use crate::wire::Stop;

/// Told from all frames up to the answer of a last PING, or up to the end.
pub(super) struct Became {
    left: Vec<u32>,
    reset: Vec<u32>,
    stop: Option<Stop>,
}

impl Became {
    /// By these frames, and the stop if there was one.
    pub(super) fn of((frames, stop): (Vec<Frame>, Option<Stop>)) -> Self {
        Self { left: codes(&frames, GOAWAY), reset: codes(&frames, RST_STREAM), stop }
    }

    fn has_ended(&self) -> bool {
        matches!(self.stop, Some(Stop::Ended | Stop::Broken(_)))
    }

    /// It ended.
    pub(super) fn closes(&self) -> bool {
        self.has_ended()
    }

    /// It ended after GOAWAY with one of these codes.
    pub(super) fn dies(&self, codes: &[u32]) -> bool {
        self.has_ended() && matches!(self.left[..], [code] if codes.contains(&code))
    }

    /// A stream was reset with one of these codes, or the connection has died with it.
    pub(super) fn resets(&self, codes: &[u32]) -> bool {
        match (&self.reset[..], &self.left[..]) {
            ([code], []) => self.stop.is_none() && codes.contains(code),
            ([], [_]) => self.dies(codes),
            _ => false,
        }
    }

    /// Nothing was reset.
    pub(super) fn lives(&self) -> bool {
        self.stop.is_none() && self.left.is_empty() && self.reset.is_empty()
    }
}

impl fmt::Display for Became {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GOAWAY {:?}, RST_STREAM {:?}, ", self.left, self.reset)?;
        match &self.stop {
            Some(stop) => write!(f, "and {stop}"),
            None => f.write_str("and it goes on"),
        }
    }
}
