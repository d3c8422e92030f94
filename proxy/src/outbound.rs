//! The outbound story: one connection from the pod's application to somewhere else, top to bottom.
//!
//! Its mirror is `inbound`. Today every destination is passed through; discovery, detection and balancing come in between
//! the account and the dial.

use std::sync::Arc;

use crate::net::accept::Accepted;
use crate::net::dial::{DialError, Dialer};
use crate::net::leg::Leg;
use crate::net::original_dst::OriginalDst;
use crate::tcp::{self, Upstream};
use crate::telemetry::edge::{Cluster, Edge};
use crate::telemetry::session::{Reporter, Session};

/// What outbound connections share.
pub struct Outbound {
    /// Makes connections to destinations.
    dialer: Dialer,
    /// Opens their accounts.
    reporter: Arc<Reporter>,
    passthrough: Edge,
}

impl Outbound {
    /// To any destination.
    pub fn new(dialer: Dialer, reporter: Arc<Reporter>) -> Self {
        Self { dialer, reporter, passthrough: Edge::past_services(None) }
    }

    /// Carries a connection until it has ended. Its account is open when this returns, before the future is polled, so
    /// that a drain which begins now waits for it.
    pub fn serve(self: Arc<Self>, accepted: Accepted) -> impl Future<Output = ()> + Send {
        let Accepted { client, pair, original_dst } = accepted;
        let session = self.reporter.open(pair, original_dst.address());
        async move {
            tcp::forward(client, ToDestination { outbound: &self, to: original_dst }, session).await;
        }
    }
}

/// The way to the destination that the client asked for.
struct ToDestination<'a> {
    outbound: &'a Outbound,
    to: OriginalDst,
}

impl Upstream for ToDestination<'_> {
    async fn dial(&mut self, session: &Session) -> Result<Leg, DialError> {
        session.sent_to(Cluster::Passthrough, &self.outbound.passthrough);
        self.outbound.dialer.to_destination(self.to).await
    }
}
