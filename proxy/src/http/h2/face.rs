//! What is known of one peer besides what h2 tells, what it is owed, and what has been made of both.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ::h2::Reason;

use super::meter::Rejected;
use super::metered::Seen;
use super::portion::Ledger;
use super::{Refusal, WINDOW};
use crate::telemetry::connections::Side;
use crate::telemetry::session::Session;

/// What has been passed on of a peer's content before it gets a larger window.
const MUCH: usize = WINDOW as usize;

/// One face of one connection, as its streams know it.
pub(super) struct Face {
    side: Side,
    pub(super) seen: Arc<Seen>,
    /// Streams that were reset by us and not by h2, for each reason that h2 may have.
    own_resets: [AtomicU32; 2],
    /// What the peer is owed for content.
    pub(super) ledger: Ledger,
}

impl Face {
    /// Of a peer on this side, of which so much has been seen.
    pub(super) fn new(side: Side, seen: Arc<Seen>) -> Self {
        Self { side, seen, own_resets: Default::default(), ledger: Ledger::default() }
    }

    /// Resets a stream of the peer.
    pub(super) fn reset(&self, reason: Reason, reset: impl FnOnce(Reason)) {
        let own = Rejected::of(reason).and_then(|rejected| self.own_resets.get(rejected as usize));
        if let Some(count) = own {
            count.fetch_add(1, Ordering::Relaxed);
        }
        reset(reason);
    }

    /// Streams that h2 has reset so. (Ours may not have been sent yet.)
    fn rejected(&self, rejected: Rejected) -> u32 {
        let own = self.own_resets.get(rejected as usize).map_or(0, |count| count.load(Ordering::Relaxed));
        self.seen.resets(rejected).saturating_sub(own)
    }
}

/// What has been told and paid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    /// What has been passed on of the peer's content, and the window that the peer has.
    passed: usize,
    window: u32,
    rejected: [u32; 2],
    is_violation_told: bool,
}

impl Tally {
    /// Of a connection that begins.
    pub(super) fn new() -> Self {
        Self { passed: 0, window: WINDOW as u32, rejected: [0; 2], is_violation_told: false }
    }

    /// Gives credit for what has been passed on; the window that the peer gets now, if that changes to `window`.
    pub(super) fn settle(&mut self, face: &Face, window: u32) -> Option<u32> {
        let paid = face.ledger.settle();
        self.passed = self.passed.saturating_add(paid);
        (paid > 0 && self.passed >= MUCH && self.window != window).then(|| {
            self.window = window;
            window
        })
    }

    /// Tells what h2 has refused, which does not tell it but for a reset; and why the meter has left the peer.
    pub(super) fn tell_refused(&mut self, face: &Face, session: &Session) {
        if !self.is_violation_told
            && let Some(violation) = face.seen.violation()
        {
            self.is_violation_told = true;
            session.refused_message(face.side, violation.code());
        }
        for (rejected, told) in Rejected::ALL.into_iter().zip(&mut self.rejected) {
            let refusal = match rejected {
                Rejected::Malformed => Refusal::Malformed,
                Rejected::TooMany => Refusal::TooManyStreams,
            };
            for _ in *told..face.rejected(rejected) {
                *told += 1;
                session.refused_message(face.side, refusal.code());
            }
        }
    }
}
