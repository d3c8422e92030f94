//! What is known of one peer besides what h2 tells, and what it is owed.

use std::sync::Arc;

use super::metered::Seen;
use super::portion::Ledger;

/// One face of one connection, as its streams know it.
pub(super) struct Face {
    pub(super) seen: Arc<Seen>,
    /// What the peer is owed for content.
    pub(super) ledger: Ledger,
}

impl Face {
    /// Of a peer of which so much has been seen.
    pub(super) fn new(seen: Arc<Seen>) -> Self {
        Self { seen, ledger: Ledger::default() }
    }
}
