//! What a destination can be, ready to be used by a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::balance::{self, Load, Policy};
use crate::detect::Hint;
use crate::telemetry::edge::{Cluster, Edge, ServiceName};

/// The answer about a destination. Cloning it clones a pointer.
#[derive(Clone, Debug)]
pub enum Target {
    /// One port of a Service: the connection goes to one of its endpoints.
    Service(Arc<ServicePort>),
    /// A workload, by its own address, where the connection goes.
    Workload(Arc<Host>),
    /// A host outside of the mesh that is known by name; the connection goes to the address that the client chose.
    External(Arc<Host>),
    /// Nothing is known: the connection goes where the client sent it.
    Passthrough,
    /// Nobody may connect to it; the name of the rule that says so.
    Forbidden(Arc<str>),
}

/// A destination to which connections go as the client asked.
#[derive(Debug)]
pub struct Host {
    /// The Service or host as which it is known, apart from its addresses.
    pub(super) name: Option<Arc<ServiceName>>,
    /// What its ports are declared to speak, where it has declared ports.
    pub(super) hint: Option<Hint>,
    /// What metrics call it.
    pub(super) edge: Edge,
}

impl Host {
    /// What the access log calls it, at `port`.
    pub fn cluster(&self, port: u16) -> Cluster {
        match &self.name {
            Some(name) => Cluster::Outbound(port, Arc::clone(&name.host)),
            None => Cluster::Passthrough,
        }
    }

    /// What metrics call it.
    pub fn edge(&self) -> &Edge {
        &self.edge
    }
}

/// One port of a Service, for destinations of one address family.
#[derive(Debug)]
pub struct ServicePort {
    pub(super) name: Arc<ServiceName>,
    pub(super) port: u16,
    pub(super) hint: Option<Hint>,
    /// Those that may be chosen; the first `near` of them are preferred.
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) near: usize,
    /// The Service alone.
    pub(super) edge: Edge,
}

/// One of a Service's endpoints.
#[derive(Debug)]
pub struct Endpoint {
    /// Where connections to it go.
    pub address: SocketAddr,
    /// What metrics call it.
    pub edge: Edge,
    /// How many connections and requests it has, and how fast it responds.
    pub load: Arc<Load>,
}

impl ServicePort {
    /// One of its endpoints, and none of `tried`; nothing if there is none. `random` as [`balance::choose`] wants it.
    pub fn choose(
        &self,
        policy: Policy,
        tried: &[SocketAddr],
        mut random: impl FnMut(usize) -> usize,
    ) -> Option<&Endpoint> {
        let now = Instant::now();
        let cost = |endpoint: &Endpoint| endpoint.load.cost(policy, now);
        self.by_preference().into_iter().find_map(|group| {
            if tried.is_empty() {
                return balance::choose(group, cost, &mut random);
            }
            let left: Vec<_> = group.iter().filter(|endpoint| !tried.contains(&endpoint.address)).collect();
            balance::choose(&left, |endpoint| cost(endpoint), &mut random).copied()
        })
    }

    /// Those that are preferred, and the others.
    pub fn by_preference(&self) -> [&[Endpoint]; 2] {
        let (near, far) = self.endpoints.split_at_checked(self.near).unwrap_or((&self.endpoints, &[]));
        [near, far]
    }

    /// The endpoint that has this address, if there still is one.
    pub fn endpoint(&self, address: SocketAddr) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.address == address)
    }

    /// What the access log calls it.
    pub fn cluster(&self) -> Cluster {
        Cluster::Outbound(self.port, Arc::clone(&self.name.host))
    }

    /// What metrics call it when no endpoint was reached.
    pub fn edge(&self) -> &Edge {
        &self.edge
    }
}

impl Target {
    /// What is declared about the protocol.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Service(port) => port.hint,
            Self::Workload(host) | Self::External(host) => host.hint,
            Self::Passthrough | Self::Forbidden(_) => None,
        }
    }
}
