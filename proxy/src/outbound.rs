//! The outbound story: one connection from the pod's application to somewhere else, top to bottom.
//!
//! Its mirror is `inbound`, which goes on with the story where somewhere else is this pod itself. Discovery says what the
//! destination is; a Service's connections, and its requests where HTTP is spoken, are divided among its endpoints, and another
//! one is tried as long as no byte was sent, which is before the first is connected. Everything else goes where the client sent it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::balance::Policy;
use crate::detect::Hint;
use crate::discovery::{Endpoint, ServicePort, Target, Watch};
use crate::ending;
use crate::inbound::{Inbound, Parts};
use crate::net::accept::Accepted;
use crate::net::dial::DialError;
use crate::net::original_dst::OriginalDst;
use crate::tcp;
use crate::telemetry::edge::{Cluster, Edge};
use crate::telemetry::session::{End, Session};
use crate::upstream::{self, Found, Kept, Reached, Upstream};

/// What outbound connections share.
pub struct Outbound {
    parts: Parts,
    /// Goes on with connections to this pod.
    inbound: Arc<Inbound>,
    /// This pod's addresses.
    own: Vec<IpAddr>,
    /// How Services' endpoints are chosen.
    policy: Policy,
    passthrough: Edge,
    nowhere: Edge,
}

impl Outbound {
    /// Made of `parts`, in a pod that has the addresses `own`.
    pub fn new(parts: Parts, inbound: Arc<Inbound>, own: Vec<IpAddr>, policy: Policy) -> Self {
        let (passthrough, nowhere) = (Edge::past_services(None), Edge::to_nowhere());
        Self { parts, inbound, own, policy, passthrough, nowhere }
    }

    /// Carries a connection until it has ended. Its account is open when this returns, before the future is polled, so
    /// that a drain which begins now waits for it.
    pub fn serve(self: Arc<Self>, accepted: Accepted) -> impl Future<Output = ()> + Send {
        let Accepted { client, pair, original_dst } = accepted;
        let session = self.parts.reporter.open(pair, original_dst.address());
        async move {
            let mut way = ToDestination { outbound: &self, to: original_dst, known: None, hint: None };
            tcp::forward(client, &mut way, session, self.parts.means()).await;
        }
    }

    /// To where the client wanted to go, or to this pod's own application, by a connection that is `kept` or by a new one.
    async fn connect<C: Send>(
        &self,
        session: &Session,
        to: OriginalDst,
        kept: &mut (impl FnMut(SocketAddr) -> Option<Kept<C>> + Send),
    ) -> Result<Reached<C>, Failed> {
        let address = to.address();
        let is_self_call = self.own.contains(&address.ip());
        if let Some(reached) = Reached::by_kept(session, address, kept) {
            return Ok(Reached { is_self_call, ..reached });
        }
        // Boxed, since a request that needs no new connection would keep the room for making one.
        let server = if is_self_call {
            Box::pin(self.inbound.call(session, address)).await.map_err(Failed::elsewhere)?
        } else {
            let failed =
                |error: DialError| Failed { end: ending::not_connected(&error), is_final: error.is_ours() };
            Box::pin(self.parts.dialer.to_destination(to)).await.map_err(failed)?
        };
        upstream::connected(session, &server, to);
        Ok(Reached { is_self_call, ..Reached::at(address, Found::New(server)) })
    }
}

/// An upstream connection that was not made.
struct Failed {
    end: End,
    /// Another endpoint would not help.
    is_final: bool,
}

impl Failed {
    fn elsewhere(end: End) -> Self {
        Self { end, is_final: false }
    }
}

/// The way to the destination that the client asked for.
pub(crate) struct ToDestination<'a> {
    outbound: &'a Outbound,
    to: OriginalDst,
    /// What discovery knows of it, once it was asked.
    known: Option<Box<Watch>>,
    /// How the port is declared, once that was looked up.
    hint: Option<Hint>,
}

impl Upstream for ToDestination<'_> {
    fn hint(&self) -> Option<Hint> {
        self.hint
    }

    async fn learn(&mut self) {
        let Some(discovery) = &self.outbound.parts.discovery else { return };
        let watch = Arc::clone(discovery).lookup(self.to.address()).await;
        self.hint = watch.now().hint();
        self.known = Some(Box::new(watch));
    }

    async fn reach<C: Send>(
        &self,
        session: &Session,
        avoid: &[SocketAddr],
        mut kept: impl FnMut(SocketAddr) -> Option<Kept<C>> + Send,
    ) -> Result<Reached<C>, End> {
        let Outbound { parts, passthrough, nowhere, .. } = self.outbound;
        match self.target() {
            Target::Service(service) => {
                return self.reach_service((session, avoid), service, &mut kept).await;
            }
            Target::Workload(host) | Target::External(host) => {
                session.sent_to(host.cluster(self.to.port()), host.edge());
            }
            Target::Passthrough => session.sent_to(Cluster::Passthrough, passthrough),
            Target::Forbidden(rule) => {
                session.sent_to(Cluster::BlackHole, nowhere);
                parts.gate.forbid(session.client().remote, &rule);
                return Err(forbidden(&rule));
            }
        }
        self.outbound.connect(session, self.to, &mut kept).await.map_err(|failed| failed.end)
    }

    fn choices(&self) -> [Vec<SocketAddr>; 2] {
        match self.target() {
            Target::Service(service) => service
                .by_preference()
                .map(|endpoints| endpoints.iter().map(|endpoint| endpoint.address).collect()),
            Target::Workload(_) | Target::External(_) | Target::Passthrough => {
                [vec![self.to.address()], vec![]]
            }
            Target::Forbidden(_) => [vec![], vec![]],
        }
    }

    fn goes_to(&self, session: &Session, address: SocketAddr, local: SocketAddr) -> Reached<()> {
        session.connected(local, address);
        let mut reached = Reached::at(address, Found::Kept(()));
        reached.is_self_call = self.outbound.own.contains(&address.ip());
        // Whatever else it is, the account was told when it was chosen.
        if let Target::Service(service) = self.target() {
            let endpoint = service.endpoint(address);
            session.sent_to(service.cluster(), endpoint.map_or(service.edge(), |endpoint| &endpoint.edge));
            reached.held = endpoint.map(|endpoint| endpoint.load.hold());
        }
        reached
    }
}

impl ToDestination<'_> {
    /// What is known of the destination now.
    fn target(&self) -> Target {
        self.known.as_deref().map_or(Target::Passthrough, Watch::now)
    }

    /// To one endpoint after the other, and to none twice. A change of the Service meanwhile counts at once.
    async fn reach_service<C: Send>(
        &self,
        (session, avoid): (&Session, &[SocketAddr]),
        mut service: Arc<ServicePort>,
        kept: &mut (impl FnMut(SocketAddr) -> Option<Kept<C>> + Send),
    ) -> Result<Reached<C>, End> {
        let mut tried = avoid.to_vec();
        if !avoid.is_empty() && self.choose(&service, avoid).is_none() {
            tried.clear();
        }
        let (mut attempts, mut failed) = (0, None);
        while let Some(endpoint) = self.choose(&service, &tried) {
            if failed.is_some() {
                self.outbound.parts.reporter.retried();
            }
            let held = endpoint.load.hold();
            match self.reach_endpoint(session, endpoint, kept).await {
                Ok(reached) => {
                    session.sent_to(service.cluster(), &endpoint.edge);
                    return Ok(Reached { held: Some(held), ..reached });
                }
                Err(Failed { end, is_final }) => {
                    held.failed();
                    tried.push(endpoint.address);
                    attempts += 1;
                    if is_final || attempts >= self.outbound.parts.dialer.attempts() {
                        session.sent_to(service.cluster(), &endpoint.edge);
                        return Err(end);
                    }
                    failed = Some(end);
                }
            }
            match self.known.as_deref().map(Watch::now) {
                Some(Target::Service(now)) => service = now,
                Some(
                    Target::Workload(_) | Target::External(_) | Target::Passthrough | Target::Forbidden(_),
                )
                | None => break,
            }
        }
        session.sent_to(service.cluster(), service.edge());
        Err(failed.unwrap_or_else(no_endpoint))
    }

    fn choose<'s>(&self, service: &'s ServicePort, tried: &[SocketAddr]) -> Option<&'s Endpoint> {
        service.choose(self.outbound.policy, tried, |bound| fastrand::usize(..bound))
    }

    async fn reach_endpoint<C: Send>(
        &self,
        session: &Session,
        endpoint: &Endpoint,
        kept: &mut (impl FnMut(SocketAddr) -> Option<Kept<C>> + Send),
    ) -> Result<Reached<C>, Failed> {
        let gate = &self.outbound.parts.gate;
        let to = gate.reroute(session.client().remote, endpoint.address);
        let to = to.ok_or_else(|| Failed::elsewhere(refused_endpoint(endpoint.address)))?;
        self.outbound.connect(session, to, kept).await
    }
}

/// Envoy's `UH`: no healthy upstream.
fn no_endpoint() -> End {
    End { flags: "UH", details: None, failure: Some("the Service has no endpoint that is ready".to_owned()) }
}

/// Istio's BlackHoleCluster has no endpoint, and so the flag is the same.
fn forbidden(rule: &str) -> End {
    End { flags: "UH", details: Some(format!("forbidden by {rule}").into()), failure: None }
}

/// An endpoint that would bring the connection back to one of our listeners.
fn refused_endpoint(address: SocketAddr) -> End {
    End { flags: "UF,URX", details: None, failure: Some(format!("{address} is refused by this proxy")) }
}
