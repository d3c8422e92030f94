//! Bytes of content on their way from one face to the other, and the credit that their sender gets for them.
//!
//! Invariant: a sender may send as much more as has left for the other side's socket. So what a connection holds is bounded
//! by the windows that its peers were given, whatever windows the peers give.

use std::sync::{Arc, Mutex, PoisonError};

use ::h2::FlowControl;
use bytes::{Buf, Bytes};
use runtime::metrics::types::gauge::Gauge;

/// What senders are owed. Paid by the connection, and not where a portion is dropped: that is within h2, which holds its locks.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Arc<Mutex<Vec<Debt>>>);

#[derive(Debug)]
struct Debt {
    flow: FlowControl,
    bytes: usize,
}

impl Ledger {
    /// Pays all, and tells how much that was.
    pub(super) fn settle(&self) -> usize {
        let debts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut sum = 0;
        for mut debt in debts {
            sum += debt.bytes;
            // More than was received cannot be paid, and is not.
            let _ = debt.flow.release_capacity(debt.bytes);
        }
        sum
    }

    fn owe(&self, debt: Debt) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(debt);
    }
}

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
        Self { bytes, owed: Some(Owed { ledger, debt, waiting }) }
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        if let Some(Owed { ledger, debt, waiting }) = self.owed.take() {
            waiting.dec_by(debt.bytes as i64);
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
