//! What connections lead to or come from: the Service and the workload of the other end, and the names of both in
//! metrics and access log.
//!
//! It holds names, and decides nothing. Invariant: an [`Edge`] belongs to one direction, and its series are looked up by
//! the first connection that it carries; the following ones find them there.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::metrics::Series;
use super::workload::{UNKNOWN, Workload};

/// Where a connection is sent, in Istio's words; `upstream_cluster` of the access log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Cluster {
    /// To the destination itself, since no Service is known for it.
    Passthrough,
    /// Nowhere, since it is forbidden.
    BlackHole,
    /// To this port of the pod's application.
    Inbound(u16),
    /// To this port of a host that is known.
    Outbound(u16, Arc<str>),
}

const PASSTHROUGH: &str = "PassthroughCluster";
const BLACK_HOLE: &str = "BlackHoleCluster";

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passthrough => f.write_str(PASSTHROUGH),
            Self::BlackHole => f.write_str(BLACK_HOLE),
            Self::Inbound(port) => write!(f, "inbound|{port}||"),
            Self::Outbound(port, host) => write!(f, "outbound|{port}||{host}"),
        }
    }
}

/// A Service's names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceName {
    /// The whole host name.
    pub host: Arc<str>,
    /// The short one.
    pub name: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
}

/// The other end of connections in one direction.
#[derive(Debug)]
pub struct Edge {
    service: Named,
    workload: Option<Arc<Workload>>,
    pub(super) series: OnceLock<Arc<Series>>,
}

/// As what the destination is known.
#[derive(Clone, Debug)]
enum Named {
    Ours,
    Service(Arc<ServiceName>),
    Passthrough,
    BlackHole,
}

impl Edge {
    /// Inbound: from `workload` to this pod.
    pub fn from(workload: Option<Arc<Workload>>) -> Self {
        Self::new(Named::Ours, workload)
    }

    /// Outbound: to `workload`, as one of a Service's.
    pub fn to_service(service: Arc<ServiceName>, workload: Option<Arc<Workload>>) -> Self {
        Self::new(Named::Service(service), workload)
    }

    /// Outbound: to `workload` by its own address.
    pub fn past_services(workload: Option<Arc<Workload>>) -> Self {
        Self::new(Named::Passthrough, workload)
    }

    /// Outbound: to where nothing may be sent.
    pub fn to_nowhere() -> Self {
        Self::new(Named::BlackHole, None)
    }

    fn new(service: Named, workload: Option<Arc<Workload>>) -> Self {
        Self { service, workload, series: OnceLock::new() }
    }

    /// The workload at the other end, if it is known.
    pub(super) fn workload(&self) -> Option<&Workload> {
        self.workload.as_deref()
    }

    /// The Service's host, name and namespace; `destination` is the workload where the connection ends.
    pub(super) fn service<'a>(&'a self, destination: &'a Workload) -> [&'a str; 3] {
        match &self.service {
            Named::Ours => [UNKNOWN, destination.canonical_name(), destination.namespace()],
            Named::Service(service) => [&service.host, &service.name, &service.namespace],
            Named::Passthrough => [UNKNOWN, PASSTHROUGH, destination.namespace()],
            Named::BlackHole => [UNKNOWN, BLACK_HOLE, UNKNOWN],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cluster;

    #[test]
    fn clusters_have_istios_names() {
        let host = "web.shop.svc.cluster.local";
        for (cluster, name) in [
            (Cluster::Passthrough, "PassthroughCluster"),
            (Cluster::BlackHole, "BlackHoleCluster"),
            (Cluster::Inbound(8080), "inbound|8080||"),
            (Cluster::Outbound(80, host.into()), "outbound|80||web.shop.svc.cluster.local"),
        ] {
            assert_eq!(cluster.to_string(), name);
        }
    }
}
