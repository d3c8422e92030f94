//! A socket whose peer is no longer there, and how whoever carries it is told to give it up.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{Connections, Pair, Side};
use crate::direction::Direction;

/// Why something was given up: this side answers nothing any more, although it was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Silence {
    /// Who.
    pub side: Side,
    /// Since when.
    pub lasts: Duration,
}

/// Says it, from any thread, to the one task that carries it.
#[derive(Debug, Default)]
pub(super) struct GiveUp {
    is_given_up: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    silence: Option<Silence>,
    waiting: Option<Waker>,
}

impl GiveUp {
    /// The first reason stands: false for the following ones.
    pub(super) fn give_up(&self, silence: Silence) -> bool {
        let waiting = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.silence.is_some() {
                return false;
            }
            state.silence = Some(silence);
            self.is_given_up.store(true, Ordering::Release);
            state.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
        true
    }

    /// Returns when it was said.
    ///
    /// It is polled as often as bytes move, so a poll is one load, and small. So the lock is taken once, for the waker of the
    /// task that polls first: the future must not move to another task after that.
    pub(super) fn given_up(&self) -> impl Future<Output = Silence> {
        let mut waits = false;
        poll_fn(move |cx| self.poll(cx, &mut waits))
    }

    fn poll(&self, cx: &mut Context<'_>, waits: &mut bool) -> Poll<Silence> {
        if *waits && !self.is_given_up.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(silence) = state.silence {
            return Poll::Ready(silence);
        }
        state.waiting = Some(cx.waker().clone());
        *waits = true;
        Poll::Pending
    }
}

/// An upstream socket that is no connection's alone: it is given up alone.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: u64,
    pub(super) direction: Direction,
    pub(super) server: Pair,
    pub(super) end: GiveUp,
}

/// One's own, as long as it lasts.
#[derive(Debug)]
pub(in crate::telemetry) struct Linked {
    connections: Connections,
    part: usize,
    link: Arc<Link>,
    waits: bool,
}

impl Linked {
    pub(super) fn new(connections: Connections, part: usize, link: Arc<Link>) -> Self {
        Self { connections, part, link, waits: false }
    }

    /// Ready when it was given up. One task polls it.
    pub(in crate::telemetry) fn poll_given_up(&mut self, cx: &mut Context<'_>) -> Poll<Silence> {
        self.link.end.poll(cx, &mut self.waits)
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        self.connections.unlink(self.part, self.link.id);
    }
}
