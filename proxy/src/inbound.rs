//! The inbound story: one connection from somewhere else to the pod's application, top to bottom.
//!
//! Its mirror is `outbound`. Authentication and authorization come in between the probe and the account.

use std::sync::Arc;

use crate::net::accept::Accepted;
use crate::net::dial::Dialer;
use crate::probe::{self, Probes};
use crate::tcp;
use crate::telemetry::session::Reporter;
use crate::telemetry::workload::InboundCluster;

/// What inbound connections share.
pub struct Inbound {
    /// Makes connections to the application.
    pub dialer: Dialer,
    /// Opens their accounts.
    pub reporter: Arc<Reporter>,
    /// Takes the kubelet's readiness probes, which are for the proxy itself.
    pub probes: Probes,
}

impl Inbound {
    /// Carries a connection until it has ended. Its account is open when this returns, before the future is polled, so
    /// that a drain which begins now waits for it.
    pub fn serve(self: Arc<Self>, accepted: Accepted) -> impl Future<Output = ()> + Send {
        let Accepted { client, peer, original_dst } = accepted;
        let is_probe = original_dst.port() == probe::PORT;
        let session = (!is_probe).then(|| {
            let cluster = InboundCluster(original_dst.port()).to_string();
            self.reporter.open(peer, original_dst.address(), cluster)
        });
        async move {
            match session {
                None => self.probes.answer(client, peer),
                Some(session) => {
                    tcp::forward(client, || self.dialer.to_application(original_dst), session).await;
                }
            }
        }
    }
}
