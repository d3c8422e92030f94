//! Reading one leg, piece by piece: when there may be something, and what there is.

use std::io;
use std::task::{Context, Poll};

use super::second_look::SecondLook;
use crate::net::leg::Leg;

/// Why there may be something to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reason {
    /// The kernel said so.
    Arrival,
    /// It might not have said so.
    SecondLook,
}

/// Reads a leg, always the same one.
#[derive(Debug, Default)]
pub(crate) struct Reader(SecondLook);

impl Reader {
    /// Ready when there may be something to read. One task only may ask, and when it has nothing else to do.
    pub(crate) fn poll_readable(&mut self, leg: &Leg, cx: &mut Context<'_>) -> Poll<io::Result<Reason>> {
        match leg.poll_readable(cx) {
            Poll::Ready(ready) => Poll::Ready(ready.map(|()| Reason::Arrival)),
            Poll::Pending => self.0.poll(cx).map(|()| Ok(Reason::SecondLook)),
        }
    }

    /// Reads once; no bytes are the end of the stream.
    pub(crate) fn read(&mut self, leg: &Leg, reason: Reason, buffer: &mut [u8]) -> io::Result<usize> {
        let length = match reason {
            Reason::Arrival => leg.read(buffer),
            Reason::SecondLook => leg.read_unasked(buffer),
        }?;
        match reason {
            _ if length == 0 => {}
            _ if length < buffer.len() => self.0.owe(),
            Reason::SecondLook => self.0.go_on(),
            Reason::Arrival => {}
        }
        Ok(length)
    }

    /// Somebody else has read the leg, or tried to, and perhaps not all that was there.
    pub(crate) fn owe(&mut self) {
        self.0.owe();
    }
}
