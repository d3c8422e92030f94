//! A leg as h2 reads and writes it, with the meter in between.
//!
//! Invariant: a leg is closed in good order only when h2 had closed it, after its last frame, or the peer was told why it is
//! left; however else the connection goes, the leg is dropped, which resets it. One that h2 has closed may be taken over
//! ([`Seen::take_finished`]), for who wants to see the peer's end.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use ::h2::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::unconstrained;

use super::Refusal;
use super::begun::Begun;
use super::meter::{Block, Meter, Peer, Violation, breaks};
use crate::net::leg::Leg;
use crate::telemetry::Code;

/// What is read before streams get their turn, so that the frames that h2 holds for them are bounded. A stream's reader takes
/// them at once.
const TURN: usize = 64 * 1024;

/// The same in frames: for each that waits h2 has a record of some hundred bytes, and it keeps the place of as many as there ever
/// were.
const TURN_OF_FRAMES: usize = 100;

/// Where frames had fewer bytes than these, on average, with their headers, so many bytes are read at once.
const SHORT: usize = 32;
const PORTION: usize = 2048;

/// What is known of a peer besides what h2 tells.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Why it is left, whoever has found it.
    left: OnceLock<Code>,
    is_left_told: AtomicBool,
    /// The meter has left it.
    has_violated: AtomicBool,
    received: AtomicU64,
    is_leaving: AtomicBool,
    is_within_head: AtomicBool,
    /// As much was read as is in one turn.
    has_had_turn: AtomicBool,
    /// It has come near to what h2 takes of some frames.
    is_worn: AtomicBool,
    /// Resets of streams that are not this peer's fault.
    passed_resets: AtomicU32,
    begun: Mutex<Begun>,
    long_blocks: Mutex<VecDeque<Block>>,
    /// The leg when h2 has no use for it any more.
    finished: Mutex<Option<Leg>>,
}

impl Seen {
    /// It has to be left, for this reason, unless there was another one before.
    pub(super) fn leave(&self, code: Code) {
        self.left.get_or_init(|| code);
    }

    /// Why it had to be.
    pub(super) fn left(&self) -> Option<Code> {
        self.left.get().copied()
    }

    /// The same, once.
    pub(super) fn untold(&self) -> Option<Code> {
        self.left().filter(|_| !self.is_left_told.swap(true, Ordering::Relaxed))
    }

    /// Whether it has broken the rules of frames.
    pub(super) fn has_violated(&self) -> bool {
        self.has_violated.load(Ordering::Relaxed)
    }

    /// A stream of the client was handed out.
    pub(super) fn begins(&self, stream: u32) {
        self.begun().begin(stream);
    }

    /// What h2 has refused by itself of those that were not; `has_all` if none waits to be.
    pub(super) fn refused_by_h2(&self, has_all: bool) -> Vec<Refusal> {
        self.begun().refused(has_all)
    }

    fn begun(&self) -> MutexGuard<'_, Begun> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes it has sent.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// The leg that h2 has closed, of which it has been given up.
    pub(super) fn take_finished(&self) -> Option<Leg> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether it has sent GOAWAY.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// Whether a head of its has begun and not ended.
    pub(super) fn is_within_head(&self) -> bool {
        self.is_within_head.load(Ordering::Relaxed)
    }

    /// Whether the connection should be left before h2 ends it: of some frames it takes only so many in all.
    pub(super) fn is_worn(&self) -> bool {
        self.is_worn.load(Ordering::Relaxed)
    }

    /// What another peer did is passed on to this one.
    pub(super) fn passes_reset(&self, reason: Reason) {
        if breaks(reason) || reason == Reason::REFUSED_STREAM {
            self.passed_resets.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether as much was read as is in one turn, since this was asked last.
    pub(super) fn take_turn(&self) -> bool {
        self.has_had_turn.swap(false, Ordering::Relaxed)
    }

    /// How long the last block of the stream's fields was, if it was long.
    pub(super) fn long_block(&self, stream: u32) -> Option<u32> {
        let blocks = self.long_blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.iter().find(|block| block.stream == stream).map(|block| block.length)
    }
}

/// One leg.
pub(super) struct Metered {
    /// Until it is closed.
    leg: Option<Leg>,
    meter: Meter,
    /// In this turn.
    read: usize,
    frames: usize,
    /// Its frames were short.
    is_choppy: bool,
    is_finished: bool,
    has_long_blocks: bool,
    seen: Arc<Seen>,
}

impl Metered {
    /// The leg to `peer`.
    pub(super) fn new(leg: Leg, peer: Peer, now: Instant) -> (Self, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        let meter = Meter::new(peer, now);
        (
            Self {
                leg: Some(leg),
                meter,
                read: 0,
                frames: 0,
                is_choppy: true,
                is_finished: false,
                has_long_blocks: false,
                seen: Arc::clone(&seen),
            },
            seen,
        )
    }

    fn leg(&mut self) -> io::Result<Pin<&mut Leg>> {
        // The meter has seen that there is nothing more to be said to this peer.
        if self.seen.has_violated() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.leg.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// No more at once than the last frames make advisable.
    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.is_choppy || buffer.remaining() <= PORTION {
            return self.leg()?.poll_read(cx, buffer);
        }
        let mut portion = ReadBuf::new(buffer.initialize_unfilled_to(PORTION));
        ready!(self.leg()?.poll_read(cx, &mut portion))?;
        let length = portion.filled().len();
        buffer.advance(length);
        Poll::Ready(Ok(()))
    }

    fn look_at(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> io::Result<()> {
        let looked = self.meter.received(bytes, Instant::now());
        self.seen.is_leaving.store(self.meter.is_leaving(), Ordering::Relaxed);
        self.seen.is_worn.store(self.meter.is_worn(), Ordering::Relaxed);
        let blocks = self.meter.long_blocks();
        if std::mem::replace(&mut self.has_long_blocks, !blocks.is_empty()) || !blocks.is_empty() {
            self.seen.long_blocks.lock().unwrap_or_else(PoisonError::into_inner).clone_from(blocks);
        }
        self.seen.is_within_head.store(self.meter.is_within_head(), Ordering::Relaxed);
        looked.map_err(|violation| {
            self.leave(violation, cx);
            io::Error::other(violation.code().name())
        })
    }

    /// Says farewell, where the peer takes it at once.
    fn leave(&mut self, violation: Violation, cx: &mut Context<'_>) {
        let farewell = self.meter.farewell(violation);
        if let (Ok(mut leg), Some(farewell)) = (self.leg(), farewell) {
            // Also where this turn of the task has used up what tokio lets it do.
            let write = poll_fn(|cx| leg.as_mut().poll_write(cx, &farewell));
            let written = pin!(unconstrained(write)).poll(cx);
            self.is_finished = matches!(written, Poll::Ready(Ok(length)) if length == farewell.len());
        }
        self.seen.leave(violation.code());
        self.seen.has_violated.store(true, Ordering::Relaxed);
    }

    fn wrote(&mut self, bytes: &[u8]) {
        self.meter.sent(bytes);
        if self.seen.passed_resets.load(Ordering::Relaxed) > 0 {
            self.meter.forgive(self.seen.passed_resets.swap(0, Ordering::Relaxed));
        }
        let mut ended = self.meter.ended().peekable();
        if ended.peek().is_some() {
            let mut begun = self.seen.begun();
            ended.for_each(|(stream, refusal)| begun.end(stream, refusal));
        }
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        if let Some(leg) = self.leg.take()
            && self.is_finished
        {
            *self.seen.finished.lock().unwrap_or_else(PoisonError::into_inner) = Some(leg);
        }
    }
}

/// Whoever has not been taken over is closed.
impl Drop for Seen {
    fn drop(&mut self) {
        if let Some(leg) = self.take_finished() {
            leg.finish();
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read >= TURN || self.frames >= TURN_OF_FRAMES {
            (self.read, self.frames) = (0, 0);
            self.seen.has_had_turn.store(true, Ordering::Relaxed);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = self.read(cx, buffer);
        if polled.is_pending() {
            (self.read, self.frames) = (0, 0);
        }
        ready!(polled)?;
        let read = buffer.filled().len() - before;
        self.seen.received.fetch_add(read as u64, Ordering::Relaxed);
        let length = self.meter.join(buffer.filled_mut().get_mut(before..).unwrap_or_default());
        buffer.set_filled(before + length);
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        let frames = self.meter.frames();
        let looked = self.look_at(bytes, cx);
        let frames = self.meter.frames().wrapping_sub(frames);
        self.read += read;
        self.frames += frames;
        self.is_choppy = bytes.len() < SHORT * frames;
        Poll::Ready(looked)
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(self.leg()?.poll_write(cx, bytes))?;
        self.wrote(bytes.get(..written).unwrap_or(bytes));
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.leg()?.poll_write_vectored(cx, slices))?;
        let mut rest = written;
        for slice in slices {
            let part = slice.get(..rest.min(slice.len())).unwrap_or_default();
            self.wrote(part);
            rest -= part.len();
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = ready!(self.leg()?.poll_shutdown(cx));
        self.is_finished = ended.is_ok();
        Poll::Ready(match ended {
            // The peer has gone before it was told that it may.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            ended => ended,
        })
    }
}
