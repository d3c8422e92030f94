//! Where messages come from: a leg, and what was read of it before its time.
//!
//! It reads no message. Invariant: bytes are looked at in the order in which they came, and those that nobody has used stay.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;

use crate::http::h1::Refusal;
use crate::http::h1::scan::Scan;
use crate::net::leg::Leg;
use crate::net::relay::{Ahead, Reader, Reason, Relay};

/// The incoming direction of a leg, always of the same one.
pub(super) struct Inlet<'a> {
    relay: &'a Relay,
    reader: Reader,
    /// What was read and belongs to no message that has begun to be carried.
    pub(super) ahead: Ahead<'a>,
    /// The peer has ended its stream.
    pub(super) has_ended: bool,
}

/// What a look for a head has come to.
pub(super) enum Look<T> {
    /// It is there, and was used.
    Head(T),
    /// Not all of it has come, or nothing.
    Incomplete,
    /// There will be none.
    End,
}

/// Why there is no head.
#[derive(Debug)]
pub(super) enum NoHead {
    /// The leg is broken.
    Broken(io::Error),
    /// It is none.
    Refused(Refusal),
}

/// Uses a message, whose head has the length that is given, with what has come of its content; says how many bytes it has
/// used.
pub(super) trait Use<T>: FnMut(&[u8], usize) -> (usize, T) {}
impl<T, F: FnMut(&[u8], usize) -> (usize, T)> Use<T> for F {}

impl<'a> Inlet<'a> {
    pub(super) fn new(relay: &'a Relay) -> Self {
        Self { relay, reader: Reader::default(), ahead: relay.ahead(), has_ended: false }
    }

    /// Returns when there may be something to read.
    pub(super) fn readable(&mut self, leg: &Leg) -> impl Future<Output = io::Result<Reason>> {
        poll_fn(|cx| self.reader.poll_readable(leg, cx))
    }

    /// Somebody else has read the leg meanwhile.
    pub(super) fn resume(&mut self) {
        self.reader.owe();
    }

    /// Looks for a head in what was read already.
    pub(super) fn look_back<T>(&mut self, scan: &mut Scan, used: impl Use<T>) -> Result<Look<T>, NoHead> {
        let (consumed, look) = look(self.ahead.bytes(), scan, used).map_err(NoHead::Refused)?;
        self.ahead.consume(consumed);
        Ok(look)
    }

    /// Reads once, and looks for a head.
    pub(super) fn look<T>(
        &mut self,
        leg: &Leg,
        reason: Reason,
        scan: &mut Scan,
        mut used: impl Use<T>,
    ) -> Result<Look<T>, NoHead> {
        let Self { relay, reader, ahead, has_ended } = self;
        let looked = relay.read(leg, reader, reason, |bytes| {
            if bytes.is_empty() {
                *has_ended = true;
                return Ok(Look::End);
            }
            if ahead.bytes().is_empty() {
                let (consumed, look) = look(bytes, scan, &mut used)?;
                ahead.append(bytes.get(consumed..).unwrap_or_default());
                return Ok(look);
            }
            ahead.append(bytes);
            let (consumed, look) = look(ahead.bytes(), scan, &mut used)?;
            ahead.consume(consumed);
            Ok(look)
        });
        match (looked, leg.failure()) {
            (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => Ok(Look::Incomplete),
            (Err(error), _) | (Ok(Ok(Look::End)), Some(error)) => Err(NoHead::Broken(error)),
            (Ok(looked), _) => looked.map_err(NoHead::Refused),
        }
    }

    /// Returns when the peer, which has no reason to, has said something that nobody will see, or has ended.
    pub(super) async fn stirs(&mut self, leg: &Leg) {
        loop {
            let Ok(reason) = self.readable(leg).await else { return };
            match self.relay.read(leg, &mut self.reader, reason, |_| ()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(()) | Err(_) => return,
            }
        }
    }

    /// Reads and forgets, until the peer has ended its stream or is gone.
    pub(super) async fn drain(&mut self, leg: &Leg) {
        while !self.has_ended {
            let Ok(reason) = self.readable(leg).await else { return };
            match self.relay.read(leg, &mut self.reader, reason, <[u8]>::len) {
                Ok(length) => self.has_ended = length == 0,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
            // A sender that is fast enough would never let the worker wait.
            tokio::task::yield_now().await;
        }
    }

    /// Whether the peer, which has no reason to, has said something that nobody will see, or has ended.
    pub(super) async fn has_stirred(&mut self, leg: &Leg) -> bool {
        let mut stirs = pin!(self.stirs(leg));
        poll_fn(|cx| Poll::Ready(stirs.as_mut().poll(cx).is_ready())).await
    }

    /// Returns when the peer has ended its stream and nothing is left of it (no error), or is gone. What it sends meanwhile is
    /// kept: one read of it, and the rest stays with the kernel.
    pub(super) async fn until_end(&mut self, leg: &Leg) -> io::Result<()> {
        while self.ahead.bytes().is_empty() && !self.has_ended {
            let reason = self.readable(leg).await?;
            let Self { relay, reader, ahead, has_ended } = self;
            let read = relay.read(leg, reader, reason, |bytes| {
                *has_ended = bytes.is_empty();
                ahead.append(bytes);
            });
            match (read, leg.failure()) {
                (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => {}
                (Err(error), _) | (Ok(()), Some(error)) => return Err(error),
                (Ok(()), None) => {}
            }
        }
        if self.ahead.bytes().is_empty() { Ok(()) } else { Err(leg.broken().await) }
    }
}

fn look<T>(bytes: &[u8], scan: &mut Scan, mut used: impl Use<T>) -> Result<(usize, Look<T>), Refusal> {
    let Some(head) = scan.look(bytes)? else { return Ok((0, Look::Incomplete)) };
    let (consumed, result) = used(bytes.get(head.start..).unwrap_or_default(), head.len());
    Ok((head.start + consumed, Look::Head(result)))
}
