//! The inbound story: one connection from somewhere else to the pod's application, top to bottom.
//!
//! Its mirror is `outbound`. Authentication and authorization come in between the probe and the account.

use std::sync::Arc;

use crate::net::accept::Accepted;
use crate::net::dial::{DialError, Dialer};
use crate::net::leg::Leg;
use crate::net::original_dst::OriginalDst;
use crate::probe::{self, Probes};
use crate::tcp::{self, Upstream};
use crate::telemetry::edge::{Cluster, Edge};
use crate::telemetry::session::{Reporter, Session};

/// What inbound connections share.
pub struct Inbound {
    /// Makes connections to the application.
    dialer: Dialer,
    /// Opens their accounts.
    reporter: Arc<Reporter>,
    /// Takes the kubelet's readiness probes, which are for the proxy itself.
    probes: Probes,
    unknown: Edge,
}

impl Inbound {
    /// From anybody.
    pub fn new(dialer: Dialer, reporter: Arc<Reporter>, probes: Probes) -> Self {
        Self { dialer, reporter, probes, unknown: Edge::from(None) }
    }

    /// Carries a connection until it has ended. Its account is open when this returns, before the future is polled, so
    /// that a drain which begins now waits for it.
    pub fn serve(self: Arc<Self>, accepted: Accepted) -> impl Future<Output = ()> + Send {
        let Accepted { client, pair, original_dst } = accepted;
        let is_probe = original_dst.port() == probe::PORT;
        let session = (!is_probe).then(|| self.reporter.open(pair, original_dst.address()));
        async move {
            match session {
                None => self.probes.answer(client, pair.remote),
                Some(session) => {
                    tcp::forward(client, ToApplication { inbound: &self, to: original_dst }, session).await;
                }
            }
        }
    }
}

/// The way to the application.
pub(crate) struct ToApplication<'a> {
    inbound: &'a Inbound,
    to: OriginalDst,
}

impl Upstream for ToApplication<'_> {
    async fn dial(&mut self, session: &Session) -> Result<Leg, DialError> {
        session.sent_to(Cluster::Inbound(self.to.port()), &self.inbound.unknown);
        self.inbound.dialer.to_application(self.to).await
    }
}
