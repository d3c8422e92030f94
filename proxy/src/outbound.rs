//! The outbound story: one connection from the pod's application to somewhere else, top to bottom.
//!
//! Its mirror is `inbound`. Today every destination is passed through; discovery, detection and balancing come in between
//! the account and the dial.

use std::sync::Arc;

use crate::net::accept::Accepted;
use crate::net::dial::Dialer;
use crate::tcp;
use crate::telemetry::session::Reporter;
use crate::telemetry::workload::PASSTHROUGH_CLUSTER;

/// What outbound connections share.
pub struct Outbound {
    /// Makes connections to destinations.
    pub dialer: Dialer,
    /// Opens their accounts.
    pub reporter: Arc<Reporter>,
}

impl Outbound {
    /// Carries a connection until it has ended. Its account is open when this returns, before the future is polled, so
    /// that a drain which begins now waits for it.
    pub fn serve(self: Arc<Self>, accepted: Accepted) -> impl Future<Output = ()> + Send {
        let Accepted { client, peer, original_dst } = accepted;
        let session = self.reporter.open(peer, original_dst.address(), PASSTHROUGH_CLUSTER.to_owned());
        async move { tcp::forward(client, || self.dialer.to_destination(original_dst), session).await }
    }
}
