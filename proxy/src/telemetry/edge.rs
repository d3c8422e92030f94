//! What connections lead to or come from: the Service and the workload of the other end, and the names of both in
//! metrics and access log.
//!
//! It holds names, and decides nothing. Invariant: an [`Edge`] belongs to one direction, and its series are looked up by
//! the first connection that it carries; the following ones find them there.

use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use runtime::metrics::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};

use super::metrics::Series;
use super::workload::{LABELS, UNKNOWN, Workload};
use crate::direction::Direction;

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
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
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
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
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

    /// The names of TCP connections of `this` pod over the edge in `direction`.
    pub(super) fn names(&self, direction: Direction, this: &Arc<Workload>) -> Names {
        static NOBODY: LazyLock<Arc<Workload>> = LazyLock::new(|| Arc::new(Workload::unknown()));
        let other = self.workload.as_ref().unwrap_or(&NOBODY);
        let (source, destination) = match direction {
            Direction::Inbound => (other, this),
            Direction::Outbound => (this, other),
        };
        let (source, destination) = (Arc::clone(source), Arc::clone(destination));
        Names { direction, source, destination, service: self.service.clone() }
    }
}

/// The names of both ends of connections, as labels of Istio's metrics; `response_flags` is not among them. A series keeps
/// no text of its own: it is written when somebody asks.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Names {
    direction: Direction,
    source: Arc<Workload>,
    destination: Arc<Workload>,
    service: Named,
}

const SOURCE: [&str; LABELS] = [
    "source_workload",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_canonical_service",
    "source_canonical_revision",
    "source_cluster",
];

const DESTINATION: [&str; LABELS] = [
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_cluster",
];

impl Names {
    fn labels(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let [host, name, namespace] = self.service();
        let security = match self.direction {
            Direction::Inbound => "none",
            Direction::Outbound => UNKNOWN,
        };
        let service = [
            ("destination_service", host),
            ("destination_service_name", name),
            ("destination_service_namespace", namespace),
            ("request_protocol", "tcp"),
            ("connection_security_policy", security),
        ];
        [("reporter", self.direction.reporter())]
            .into_iter()
            .chain(SOURCE.into_iter().zip(self.source.labels()))
            .chain(DESTINATION.into_iter().zip(self.destination.labels()))
            .chain(service)
    }

    /// The Service's host, name and namespace.
    fn service(&self) -> [&str; 3] {
        let destination = self.destination.as_ref();
        match &self.service {
            Named::Ours => [UNKNOWN, destination.canonical_name(), destination.namespace()],
            Named::Service(service) => [&service.host, &service.name, &service.namespace],
            Named::Passthrough => [UNKNOWN, PASSTHROUGH, destination.namespace()],
            Named::BlackHole => [UNKNOWN, BLACK_HOLE, UNKNOWN],
        }
    }
}

impl EncodeLabelSet for Names {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        self.labels().try_for_each(|label| label.encode(encoder.encode_label()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Cluster, Edge, ServiceName, Workload};
    use crate::direction::Direction;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn labels(direction: Direction, edge: &Edge) -> BTreeMap<String, String> {
        let pod = Workload::of_this_pod(|name| match name {
            "REMORA_WORKLOAD_NAME" => Some("web".to_owned()),
            "POD_NAMESPACE" => Some("shop".to_owned()),
            "REMORA_CANONICAL_NAME" => Some(String::new()),
            _ => None,
        });
        let names = edge.names(direction, &Arc::new(pod));
        let map: BTreeMap<_, _> =
            names.labels().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        assert_eq!(names.labels().count(), map.len(), "no label twice");
        map
    }

    #[test]
    fn our_side_is_the_environment_and_the_other_is_unknown() {
        let outbound = labels(Direction::Outbound, &Edge::past_services(None));
        for (key, value) in [
            ("reporter", "source"),
            ("source_workload", "web"),
            ("source_workload_namespace", "shop"),
            ("source_canonical_service", "unknown"),
            ("destination_workload", "unknown"),
            ("destination_service_name", "PassthroughCluster"),
            ("connection_security_policy", "unknown"),
        ] {
            assert_eq!(outbound[key], value, "{key}");
        }
        let inbound = labels(Direction::Inbound, &Edge::from(None));
        for (key, value) in [
            ("reporter", "destination"),
            ("source_workload", "unknown"),
            ("destination_workload", "web"),
            ("destination_service_namespace", "shop"),
            ("connection_security_policy", "none"),
        ] {
            assert_eq!(inbound[key], value, "{key}");
        }
    }

    #[test]
    fn what_is_known_of_the_other_end_is_told() {
        let workload = Arc::new(Workload::known("cart-v2", "stock", Some("cart"), None));
        let service =
            ServiceName { host: "cart.stock".into(), name: "cart".into(), namespace: "stock".into() };
        let outbound =
            labels(Direction::Outbound, &Edge::to_service(service.into(), Some(Arc::clone(&workload))));
        for (key, value) in [
            ("source_workload", "web"),
            ("destination_workload", "cart-v2"),
            ("destination_workload_namespace", "stock"),
            ("destination_canonical_service", "cart"),
            ("destination_canonical_revision", "latest"),
            ("destination_service", "cart.stock"),
            ("destination_service_name", "cart"),
            ("destination_service_namespace", "stock"),
        ] {
            assert_eq!(outbound[key], value, "{key}");
        }
        let inbound = labels(Direction::Inbound, &Edge::from(Some(workload)));
        assert_eq!((&*inbound["source_workload"], &*inbound["destination_workload"]), ("cart-v2", "web"));
        assert_eq!(
            labels(Direction::Outbound, &Edge::to_nowhere())["destination_service_name"],
            "BlackHoleCluster"
        );
    }

    #[test]
    fn both_directions_have_the_same_labels() {
        let keys = |direction, edge| labels(direction, &edge).into_keys().collect::<Vec<_>>();
        let inbound = keys(Direction::Inbound, Edge::from(None));
        assert_eq!(inbound, keys(Direction::Outbound, Edge::past_services(None)));
        assert_eq!(inbound.len(), 22);
    }

    #[test]
    fn a_series_keeps_no_text() {
        // Four families have them for each edge.
        let names = size_of::<super::Names>();
        assert!(names <= 40, "{names} bytes");
    }

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
