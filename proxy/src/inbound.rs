//! The inbound story: one connection from somewhere else to the pod's application, top to bottom.
//!
//! Its mirror is `outbound`. Authentication and authorization come in between the probe and the account.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::detect::{self, Hint};
use crate::discovery::Discovery;
use crate::ending;
use crate::http::Http;
use crate::net::accept::{Accepted, Gate};
use crate::net::dial::Dialer;
use crate::net::leg::Leg;
use crate::net::original_dst::OriginalDst;
use crate::net::relay::Relay;
use crate::probe::{self, Probes};
use crate::tcp::{self, Means};
use crate::telemetry::edge::{Cluster, Edge};
use crate::telemetry::session::{End, Reporter, Session};
use crate::upstream::{self, Found, Kept, Reached, Upstream};

/// What a story is made of, in each direction.
pub struct Parts {
    /// Makes upstream connections.
    pub dialer: Dialer,
    /// Carries bytes.
    pub relay: Arc<Relay>,
    /// Opens accounts.
    pub reporter: Arc<Reporter>,
    /// Knows which destinations are refused.
    pub gate: Gate,
    /// How long a client may take to say what it speaks, and where nobody asks.
    pub detection: detect::Settings,
    /// Carries HTTP.
    pub http: Http,
    /// Knows what addresses are; nobody does where there is none.
    pub discovery: Option<Arc<dyn Discovery>>,
}

impl Parts {
    /// What carries connections, wherever they go.
    pub(crate) fn means(&self) -> Means<'_> {
        Means { relay: &self.relay, detection: &self.detection, http: &self.http }
    }
}

/// What inbound connections share.
pub struct Inbound {
    parts: Parts,
    /// Takes the kubelet's readiness probes, which are for the proxy itself.
    probes: Probes,
    unknown: Edge,
}

impl Inbound {
    /// Made of `parts`.
    pub fn new(parts: Parts, probes: Probes) -> Self {
        Self { parts, probes, unknown: Edge::from(None) }
    }

    /// Carries a connection until it has ended. Its account is open when this returns, before the future is polled, so
    /// that a drain which begins now waits for it.
    pub fn serve(self: Arc<Self>, accepted: Accepted) -> impl Future<Output = ()> + Send {
        let Accepted { client, pair, original_dst } = accepted;
        let carried = if original_dst.port() == probe::PORT {
            self.probes.answer(client, pair.remote);
            None
        } else {
            Some((client, self.parts.reporter.open(pair, original_dst.address())))
        };
        async move {
            let Some((client, session)) = carried else { return };
            let mut way = ToApplication { inbound: &self, to: original_dst };
            tcp::forward(client, &mut way, session, self.parts.means()).await;
        }
    }

    /// The same story for a connection of this pod to itself, which comes in memory and not by a listener: the same rules,
    /// an account, and the way to the application. What happens on it is told to the `caller`'s account, which tells this
    /// one.
    pub(crate) async fn call(&self, caller: &Session, to: SocketAddr) -> Result<Leg, End> {
        let client = caller.client();
        let to = self.parts.gate.admit_own(client.remote, to).ok_or_else(refused)?;
        let session = self.parts.reporter.open_self_call(client, to.address());
        session.presume(CALLER_GONE);
        session.speaks_as(caller);
        match (ToApplication { inbound: self, to }).reach(&session, &[], upstream::none_kept).await {
            Ok(dialed) => {
                caller.comes_back(session);
                Ok(dialed.into_leg().0)
            }
            Err(end) => {
                session.close(end.clone());
                Err(end)
            }
        }
    }
}

/// The outbound story gives a dial up when its client has gone.
const CALLER_GONE: End = End { flags: "DC", details: Some(Cow::Borrowed("client: gone")), failure: None };

/// Another pod's refusal would look like a port where nobody listens.
fn refused() -> End {
    End { flags: "UF,URX", details: None, failure: Some("refused by this proxy".to_owned()) }
}

/// The way to the application.
pub(crate) struct ToApplication<'a> {
    inbound: &'a Inbound,
    to: OriginalDst,
}

impl Upstream for ToApplication<'_> {
    fn hint(&self) -> Option<Hint> {
        let Parts { detection, discovery, .. } = &self.inbound.parts;
        let opaque = detection.opaque_ports.contain(self.to.port()).then_some(Hint::Opaque);
        opaque.or_else(|| discovery.as_ref()?.declared(self.to.address()))
    }

    async fn learn(&mut self) {}

    async fn reach<C: Send>(
        &self,
        session: &Session,
        _: &[SocketAddr],
        mut kept: impl FnMut(SocketAddr) -> Option<Kept<C>> + Send,
    ) -> Result<Reached<C>, End> {
        self.name(session);
        let parts = &self.inbound.parts;
        let address = self.to.address();
        if let Some(reached) = Reached::by_kept(session, address, &mut kept) {
            return Ok(reached);
        }
        // Boxed, since a request that needs no new connection would keep the room for making one.
        match Box::pin(parts.dialer.to_application(self.to)).await {
            Ok(server) => {
                upstream::connected(session, &server, self.to);
                Ok(Reached::at(address, Found::New(server)))
            }
            Err(error) => Err(ending::not_connected(&error)),
        }
    }

    fn choices(&self) -> [Vec<SocketAddr>; 2] {
        [vec![self.to.address()], vec![]]
    }

    fn goes_to(&self, session: &Session, address: SocketAddr, local: SocketAddr) -> Reached<()> {
        self.name(session);
        session.connected(local, address);
        Reached::at(address, Found::Kept(()))
    }
}

impl ToApplication<'_> {
    /// Tells the account who is at both ends.
    fn name(&self, session: &Session) {
        let Inbound { parts, unknown, .. } = self.inbound;
        let from = session.client().remote.ip();
        let known = parts.discovery.as_ref().map(|known| known.inbound(from, self.to.address()));
        let edge = known.as_deref().unwrap_or(unknown);
        session.sent_to(Cluster::Inbound(self.to.port()), edge);
    }
}
