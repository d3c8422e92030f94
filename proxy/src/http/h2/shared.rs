//! What the streams of a connection have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use ::h2::{Reason, RecvStream, SendStream};
use runtime::metrics::types::gauge::Gauge;

use super::content::Content;
use super::meter::Rejected;
use super::metered::Seen;
use super::portion::{Ledger, Portion};
use crate::telemetry::connections::Side;

/// Of one pair of connections.
pub(super) struct Shared {
    client: Arc<Seen>,
    server: Arc<Seen>,
    is_client_gone: AtomicBool,
    /// Streams that were reset by us and not by h2, of the client and of the server, for each reason that h2 may have.
    own_resets: [[AtomicU32; 2]; 2],
    pub(super) from_client: Ledger,
    pub(super) from_server: Ledger,
    waiting: Gauge,
    /// How long a stream may be without a byte.
    pub(super) most_quiet: Duration,
}

impl Shared {
    /// Of the client and the server of which so much has been seen; `waiting` counts bytes for slow readers.
    pub(super) fn new(client: Arc<Seen>, server: Arc<Seen>, waiting: Gauge, most_quiet: Duration) -> Self {
        Self {
            client,
            server,
            is_client_gone: AtomicBool::new(false),
            own_resets: Default::default(),
            from_client: Ledger::default(),
            from_server: Ledger::default(),
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

    /// Whether the server's was ended because it does not keep to the protocol.
    pub(super) fn has_server_violated(&self) -> bool {
        self.server.violation().is_some()
    }

    /// Resets a stream of the client.
    pub(super) fn reset_client(&self, reason: Reason, reset: impl FnOnce(Reason)) {
        self.reset(Side::Client, reason, reset);
    }

    /// Resets a stream of the server.
    pub(super) fn reset_server(&self, reason: Reason, reset: impl FnOnce(Reason)) {
        self.reset(Side::Server, reason, reset);
    }

    fn reset(&self, side: Side, reason: Reason, reset: impl FnOnce(Reason)) {
        if let Some(count) = Rejected::of(reason).and_then(|rejected| self.own(side, rejected)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        reset(reason);
    }

    fn own(&self, side: Side, rejected: Rejected) -> Option<&AtomicU32> {
        let [client, server] = &self.own_resets;
        let counts = match side {
            Side::Client => client,
            Side::Server => server,
        };
        counts.get(rejected as usize)
    }

    /// What has been seen of this side.
    pub(super) fn seen(&self, side: Side) -> &Seen {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// Streams of this side that h2 has reset so. (Ours may not have been sent yet.)
    pub(super) fn rejected(&self, side: Side, rejected: Rejected) -> u32 {
        let own = self.own(side, rejected).map_or(0, |count| count.load(Ordering::Relaxed));
        self.seen(side).resets(rejected).saturating_sub(own)
    }

    /// The content of a response.
    pub(super) fn download(&self, source: RecvStream, sink: SendStream<Portion>) -> Content {
        Content::new(Side::Server, source, sink, self.from_server.clone(), self.waiting.clone())
    }

    /// The content of a request.
    pub(super) fn upload(&self, source: RecvStream, sink: SendStream<Portion>) -> Content {
        Content::new(Side::Client, source, sink, self.from_client.clone(), self.waiting.clone())
    }
}
