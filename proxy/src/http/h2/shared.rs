//! What the streams of a client's connection have in common, whichever servers they go to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use runtime::metrics::types::gauge::Gauge;

use super::face::Face;
use super::metered::Seen;

/// Of one client.
pub(super) struct Shared {
    pub(super) client: Arc<Face>,
    is_client_gone: AtomicBool,
    /// Counts bytes for slow readers.
    pub(super) waiting: Gauge,
    /// How long a stream may be without a byte.
    pub(super) most_quiet: Duration,
}

impl Shared {
    /// Of the client of which so much has been seen.
    pub(super) fn new(client: Arc<Seen>, waiting: Gauge, most_quiet: Duration) -> Self {
        Self {
            client: Arc::new(Face::new(client)),
            is_client_gone: AtomicBool::new(false),
            waiting,
            most_quiet,
        }
    }

    /// Whether the client's connection has ended.
    pub(super) fn is_client_gone(&self) -> bool {
        self.is_client_gone.load(Ordering::Relaxed)
    }

    /// It has.
    pub(super) fn client_is_gone(&self) {
        self.is_client_gone.store(true, Ordering::Relaxed);
    }
}
