//! Bytes of content on their way from one face to the other, and the credit that their sender gets for them.
//!
//! Invariant: a sender may send as much more as has left for the other side's socket. So what a connection holds is bounded
//! by the windows that its peers were given, whatever windows the peers give.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use ::h2::FlowControl;
use bytes::{Buf, Bytes};
use runtime::metrics::types::gauge::Gauge;

use super::STEP;

/// What the senders of one connection are owed. Paid by who drives it, and not where a portion is dropped: that is within h2, which
/// holds its locks.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Arc<Book>);

#[derive(Debug, Default)]
struct Book {
    debts: Mutex<Debts>,
    /// Bytes that wait for their readers.
    held: AtomicUsize,
}

#[derive(Debug, Default)]
struct Debts {
    unpaid: Vec<Debt>,
    /// Who pays, where that is not seen to by who passes things on.
    payer: Option<Waker>,
}

#[derive(Debug)]
struct Debt {
    flow: FlowControl,
    bytes: usize,
}

impl Ledger {
    /// Pays all, and tells how much that was.
    pub(super) fn settle(&self) -> usize {
        let debts = std::mem::take(&mut self.debts().unpaid);
        let mut sum = 0;
        for mut debt in debts {
            sum += debt.bytes;
            // More than was received cannot be paid, and is not.
            let _ = debt.flow.release_capacity(debt.bytes);
        }
        sum
    }

    /// Who asks is woken when there is something to pay, or much more waits.
    pub(super) fn wakes(&self, cx: &Context<'_>) {
        let mut debts = self.debts();
        if !debts.payer.as_ref().is_some_and(|payer| payer.will_wake(cx.waker())) {
            debts.payer = Some(cx.waker().clone());
        }
    }

    /// How many bytes wait for their readers.
    pub(super) fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    /// So many more do, for which the sender's window may have to be changed.
    pub(super) fn hold(&self, bytes: usize) {
        let before = self.0.held.fetch_add(bytes, Ordering::Relaxed);
        if before / STEP != (before + bytes) / STEP
            && let Some(payer) = &self.debts().payer
        {
            payer.wake_by_ref();
        }
    }

    /// So many do no more.
    pub(super) fn let_go(&self, bytes: usize) {
        self.0.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn owe(&self, debt: Debt) {
        self.let_go(debt.bytes);
        let mut debts = self.debts();
        debts.unpaid.push(debt);
        if let ([_], Some(payer)) = (&debts.unpaid[..], &debts.payer) {
            payer.wake_by_ref();
        }
    }

    fn debts(&self) -> MutexGuard<'_, Debts> {
        self.0.debts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What h2 keeps beside each portion while its reader does not take it. A thousand of ten bytes each hold that a thousand times.
const RECORD: usize = 300;

/// Bytes that h2 sends.
#[derive(Debug)]
pub(super) struct Portion {
    bytes: Bytes,
    owed: Option<Owed>,
}

#[derive(Debug)]
struct Owed {
    ledger: Ledger,
    debt: Debt,
    waiting: Gauge,
}

impl Portion {
    /// Nothing, for the end of a stream.
    pub(super) const EMPTY: Self = Self { bytes: Bytes::new(), owed: None };

    /// `bytes`, which came from the sender of `flow`, and which `waiting` counts until they are sent.
    pub(super) fn new(bytes: Bytes, flow: FlowControl, ledger: Ledger, waiting: Gauge) -> Self {
        let debt = Debt { flow, bytes: bytes.len() };
        waiting.inc_by(RECORD as i64);
        ledger.hold(RECORD);
        Self { bytes, owed: Some(Owed { ledger, debt, waiting }) }
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        if let Some(Owed { ledger, debt, waiting }) = self.owed.take() {
            waiting.dec_by((debt.bytes + RECORD) as i64);
            ledger.let_go(RECORD);
            ledger.owe(debt);
        }
    }
}

impl Buf for Portion {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}
