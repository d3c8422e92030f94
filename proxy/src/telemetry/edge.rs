//! What connections lead to or come from: the Service and the workload of the other end, and the names of both in
//! metrics and access log.
//!
//! It holds names, and decides nothing. Invariant: an [`Edge`] belongs to one direction, and its series are looked up by
//! the first connection that it carries; the following ones find them there.

use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

pub use super::names::ServiceName;
use super::names::{BLACK_HOLE, Named, Names, PASSTHROUGH};
use super::series::{List, Series};
use super::workload::Workload;
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

/// The other end of connections in one direction.
#[derive(Debug)]
pub struct Edge {
    service: Named,
    workload: Option<Arc<Workload>>,
    pub(super) series: OnceLock<Arc<Series>>,
}

/// Who may call this pod: the edges that connections from there come over, one for each Service as whose the pod is called.
pub struct Caller {
    workload: Option<Arc<Workload>>,
    /// Those that had a connection; rarely more than one.
    edges: List<Arc<Edge>>,
}

impl Edge {
    /// Inbound: from `workload` to this pod, as no Service's.
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

    /// The names of what `this` pod has over the edge in `direction`.
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

impl Caller {
    /// This one, or somebody who is not known.
    pub fn new(workload: Option<Arc<Workload>>) -> Self {
        Self { workload, edges: List::new() }
    }

    /// The edge of its connections to this pod as `service`'s.
    pub fn edge(&self, service: Option<&Arc<ServiceName>>) -> Arc<Edge> {
        let wanted = |edge: &Arc<Edge>| match (&edge.service, service) {
            (Named::Service(known), Some(service)) => known == service,
            (known, None) => *known == Named::Ours,
            _ => false,
        };
        let new = || {
            let named = service.map_or(Named::Ours, |service| Named::Service(Arc::clone(service)));
            Arc::new(Edge::new(named, self.workload.clone()))
        };
        self.edges.get_or_add(usize::MAX, wanted, new).map_or_else(new, Arc::clone)
    }
}

impl Default for Caller {
    /// Nobody who is known.
    fn default() -> Self {
        Self::new(None)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Caller").field(&self.workload).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Caller, Cluster, Edge, Names, ServiceName, Workload};
    use crate::direction::Direction;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn labels(direction: Direction, edge: &Edge) -> BTreeMap<String, String> {
        let pod = Workload::of_this_pod(|name| match name {
            "REMORA_WORKLOAD_NAME" => Some("web".to_owned()),
            "POD_NAMESPACE" => Some("shop".to_owned()),
            "REMORA_APP" => Some("shop-web".to_owned()),
            "REMORA_CLUSTER" => Some("east".to_owned()),
            // As the downward API tells of a label that is not there.
            "REMORA_APP_VERSION" | "REMORA_CANONICAL_NAME" => Some(String::new()),
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
            ("source_app", "shop-web"),
            ("source_version", "unknown"),
            ("source_cluster", "east"),
            ("destination_workload", "unknown"),
            ("destination_app", "unknown"),
            ("destination_cluster", "unknown"),
            ("destination_service_name", "PassthroughCluster"),
            ("connection_security_policy", "unknown"),
        ] {
            assert_eq!(outbound[key], value, "{key}");
        }
        let inbound = labels(Direction::Inbound, &Edge::from(None));
        for (key, value) in [
            ("reporter", "destination"),
            ("source_workload", "unknown"),
            ("source_app", "unknown"),
            ("source_cluster", "unknown"),
            ("destination_workload", "web"),
            ("destination_app", "shop-web"),
            ("destination_version", "unknown"),
            ("destination_cluster", "east"),
            ("destination_service", "unknown"),
            ("destination_service_namespace", "shop"),
            ("connection_security_policy", "none"),
        ] {
            assert_eq!(inbound[key], value, "{key}");
        }
    }

    #[test]
    fn what_is_known_of_the_other_end_is_told() {
        let workload = Workload::known("cart-v2", "stock", Some("cart"), None);
        let workload = Arc::new(workload.labelled(Some("cart-app"), Some("v2")));
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
            ("destination_app", "cart-app"),
            ("destination_version", "v2"),
            ("destination_cluster", "east"),
            ("destination_service", "cart.stock"),
            ("destination_service_name", "cart"),
            ("destination_service_namespace", "stock"),
        ] {
            assert_eq!(outbound[key], value, "{key}");
        }
        let inbound = labels(Direction::Inbound, &Edge::from(Some(workload)));
        assert_eq!((&*inbound["source_workload"], &*inbound["destination_workload"]), ("cart-v2", "web"));
        assert_eq!((&*inbound["source_app"], &*inbound["source_version"]), ("cart-app", "v2"));
        assert_eq!(inbound["source_cluster"], "east", "where nothing else is said");
        let abroad = Workload::known("cart", "stock", None, None).of_cluster(Some("west"));
        let inbound = labels(Direction::Inbound, &Edge::from(Some(abroad.into())));
        assert_eq!((&*inbound["source_cluster"], &*inbound["destination_cluster"]), ("west", "east"));
        assert_eq!(
            labels(Direction::Outbound, &Edge::to_nowhere())["destination_service_name"],
            "BlackHoleCluster"
        );
    }

    #[test]
    fn a_caller_has_one_edge_for_each_service() {
        let service = |name: &str| {
            Arc::new(ServiceName {
                host: format!("{name}.shop").into(),
                name: name.into(),
                namespace: "shop".into(),
            })
        };
        let (web, api) = (service("web"), service("api"));
        for (caller, name) in [
            (Caller::default(), "unknown"),
            (Caller::new(Some(Workload::known("cart", "stock", None, None).into())), "cart"),
        ] {
            let edges = [None, Some(&web), Some(&api)].map(|service| caller.edge(service));
            let told = edges.each_ref().map(|edge| {
                let labels = labels(Direction::Inbound, edge);
                assert_eq!((&*labels["reporter"], &*labels["source_workload"]), ("destination", name));
                assert_eq!(labels["destination_service_namespace"], "shop");
                ["destination_service", "destination_service_name"].map(|key| labels[key].clone())
            });
            assert_eq!(told, [["unknown", "unknown"], ["web.shop", "web"], ["api.shop", "api"]]);
            for (edge, service) in edges.iter().zip([None, Some(&web), Some(&api)]) {
                assert!(Arc::ptr_eq(edge, &caller.edge(service)), "the next connection finds it");
            }
        }
    }

    #[test]
    fn both_directions_have_the_same_labels() {
        let keys = |direction, edge| labels(direction, &edge).into_keys().collect::<Vec<_>>();
        let inbound = keys(Direction::Inbound, Edge::from(None));
        assert_eq!(inbound, keys(Direction::Outbound, Edge::past_services(None)));
        assert_eq!(inbound.len(), 21);
    }

    #[test]
    fn a_series_keeps_no_text() {
        let names = size_of::<Names>();
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
