//! What is known of one peer besides what h2 tells, what it is owed, and what has been made of both.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ::h2::Reason;

use super::Refusal;
use super::meter::Rejected;
use super::metered::Seen;
use super::portion::Ledger;

/// One face of one connection, as its streams know it.
pub(super) struct Face {
    pub(super) seen: Arc<Seen>,
    /// Streams that were reset by us and not by h2, for each reason that h2 may have.
    own_resets: [AtomicU32; 2],
    /// What the peer is owed for content.
    pub(super) ledger: Ledger,
}

impl Face {
    /// Of a peer of which so much has been seen.
    pub(super) fn new(seen: Arc<Seen>) -> Self {
        Self { seen, own_resets: Default::default(), ledger: Ledger::default() }
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

/// What has been told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    rejected: [u32; 2],
    is_violation_told: bool,
}

impl Tally {
    /// Of a connection that begins.
    pub(super) fn new() -> Self {
        Self { rejected: [0; 2], is_violation_told: false }
    }

    /// Tells what h2 has refused, which does not tell it but for a reset; and why the meter has left the peer.
    pub(super) fn tell_refused(&mut self, face: &Face, tell: impl Fn(&'static str)) {
        if !self.is_violation_told
            && let Some(violation) = face.seen.violation()
        {
            self.is_violation_told = true;
            tell(violation.code());
        }
        for (rejected, told) in Rejected::ALL.into_iter().zip(&mut self.rejected) {
            let refusal = match rejected {
                Rejected::Malformed => Refusal::Malformed,
                Rejected::TooMany => Refusal::TooManyStreams,
            };
            for _ in *told..face.rejected(rejected) {
                *told += 1;
                tell(refusal.code());
            }
        }
    }
}
