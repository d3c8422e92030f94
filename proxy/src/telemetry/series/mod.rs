//! What is counted of connections and exchanges over one edge.
//!
//! Invariants: who counts takes no lock and looks up no label: a series is found by its few differences on the edge, which
//! the connection knows. No edge has more than [`MOST`] combinations of response code, flags and gRPC status; further ones
//! are counted together. Names and numbers become text when somebody asks ([`families`]), and nobody who counts or adds waits for that.

mod edges;
mod families;
mod histogram;
mod list;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::names::Names;
pub(super) use edges::Edges;
pub(super) use families::{FAMILIES, Family, Samples};
use histogram::Histogram;
pub(super) use list::List;

/// `response_flags` where nothing bad is known.
pub(super) const NO_FLAGS: &str = "-";

/// Combinations of response code, flags and gRPC status that an edge tells apart, at 576 bytes each. gRPC has 17 statuses,
/// and few services use more than ten codes; a server that answers with all numbers there are must not fill the memory.
pub(crate) const MOST: usize = 32;

/// The series of one edge.
pub(super) struct Series {
    names: Names,
    opened: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    /// By flags.
    closed: List<(&'static str, AtomicU64)>,
    exchanges: List<Exchanges>,
}

/// What tells exchanges over one edge apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Outcome {
    /// Whether it was gRPC.
    pub(super) is_grpc: bool,
    /// The response's; 0 when there was none.
    pub(super) code: u16,
    /// `response_flags`.
    pub(super) flags: &'static str,
    /// The status of a gRPC response.
    pub(super) grpc_status: Option<u8>,
}

/// How much an exchange was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// From the request's begin to the end of all.
    pub(super) duration: Duration,
    /// Of content.
    pub(super) request_bytes: u64,
    /// Of content.
    pub(super) response_bytes: u64,
    /// Of gRPC.
    pub(super) request_messages: u64,
    /// Of gRPC.
    pub(super) response_messages: u64,
}

/// Exchanges of the same kind.
struct Exchanges {
    kind: Kind,
    /// There are as many exchanges as durations.
    durations: Histogram,
    request_bytes: Histogram,
    response_bytes: Histogram,
    request_messages: AtomicU64,
    response_messages: AtomicU64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Known(Outcome),
    /// Those beyond [`MOST`].
    Rest {
        is_grpc: bool,
    },
}

impl Series {
    fn new(names: Names) -> Self {
        Self {
            names,
            opened: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            closed: List::new(),
            exchanges: List::new(),
        }
    }

    /// Of the two ends.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// A connection is not HTTP, and will be [`closed`](Self::closed).
    pub(super) fn opened(&self) {
        // The usual end has its series before the first one, so that a rate sees that one.
        self.closed_with(NO_FLAGS, 0);
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of a connection went to its client.
    pub(super) fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of a connection came from its client.
    pub(super) fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A connection ended. Only the end tells its flags; bytes were counted before, without.
    pub(super) fn closed(&self, flags: &'static str) {
        self.closed_with(flags, 1);
    }

    fn closed_with(&self, flags: &'static str, more: u64) {
        // There are as many flags as the source has.
        let known = |(known, _): &(&str, AtomicU64)| *known == flags;
        if let Some((_, count)) = self.closed.get_or_add(usize::MAX, known, || (flags, AtomicU64::new(0))) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// An exchange ended.
    pub(super) fn exchanged(&self, outcome: Outcome, extent: &Extent) {
        let place =
            |most, kind| self.exchanges.get_or_add(most, |known| known.kind == kind, || Exchanges::new(kind));
        // The two rests come after all others, since nothing is a rest before there are so many.
        let exchanges = place(MOST, Kind::Known(outcome))
            .or_else(|| place(MOST + 2, Kind::Rest { is_grpc: outcome.is_grpc }));
        if let Some(exchanges) = exchanges {
            exchanges.count(extent);
        }
    }
}

impl Exchanges {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            durations: Histogram::new(1000),
            request_bytes: Histogram::new(1),
            response_bytes: Histogram::new(1),
            request_messages: AtomicU64::new(0),
            response_messages: AtomicU64::new(0),
        }
    }

    fn count(&self, extent: &Extent) {
        self.durations.observe(u64::try_from(extent.duration.as_micros()).unwrap_or(u64::MAX));
        self.request_bytes.observe(extent.request_bytes);
        self.response_bytes.observe(extent.response_bytes);
        if self.kind.is_grpc() {
            self.request_messages.fetch_add(extent.request_messages, Ordering::Relaxed);
            self.response_messages.fetch_add(extent.response_messages, Ordering::Relaxed);
        }
    }
}

impl Kind {
    fn is_grpc(self) -> bool {
        match self {
            Self::Known(outcome) => outcome.is_grpc,
            Self::Rest { is_grpc } => is_grpc,
        }
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Series").field(&self.names).finish()
    }
}

#[cfg(test)]
mod tests;
