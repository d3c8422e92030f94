//! Who this pod is, from the environment that the injector wrote, and the labels by which Istio's metrics name the two
//! ends of a connection.
//!
//! What is not known is the literal `unknown`, as dashboards expect; no label is ever left out, since Kiali drops series
//! that lack one.

use super::edge::Edge;
use crate::direction::Direction;

/// The value of a label that is not known.
pub const UNKNOWN: &str = "unknown";

/// Labels of one series, in the order in which they are written.
pub(super) type Labels = Vec<(String, String)>;

/// One end of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Workload {
    name: String,
    namespace: String,
    canonical_name: String,
    canonical_revision: String,
}

impl Workload {
    /// This pod, as `variable` tells (the product passes the process's environment).
    pub fn of_this_pod(variable: impl Fn(&str) -> Option<String>) -> Self {
        let known =
            |name| variable(name).filter(|value| !value.is_empty()).unwrap_or_else(|| UNKNOWN.to_owned());
        Self {
            name: known(api::env::WORKLOAD_NAME),
            namespace: known(api::env::POD_NAMESPACE),
            canonical_name: known(api::env::CANONICAL_NAME),
            canonical_revision: known(api::env::CANONICAL_REVISION),
        }
    }

    /// Another one, as discovery tells; its canonical names are by default what Istio takes for them.
    pub fn known(
        name: &str,
        namespace: &str,
        canonical_name: Option<&str>,
        canonical_revision: Option<&str>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            canonical_name: canonical_name.unwrap_or(name).to_owned(),
            canonical_revision: canonical_revision.unwrap_or("latest").to_owned(),
        }
    }

    /// Nothing is known of it.
    fn unknown() -> Self {
        Self::of_this_pod(|_| None)
    }

    /// The canonical service.
    pub(super) fn canonical_name(&self) -> &str {
        &self.canonical_name
    }

    /// The namespace.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Istio's labels of TCP connections of this pod over `edge` in `direction`, without `response_flags`.
    pub(super) fn tcp_labels(&self, direction: Direction, edge: &Edge) -> Labels {
        let unknown = Self::unknown();
        let other = edge.workload().unwrap_or(&unknown);
        let (source, destination, security) = match direction {
            Direction::Inbound => (other, self, "none"),
            Direction::Outbound => (self, other, UNKNOWN),
        };
        let mut labels = vec![("reporter".to_owned(), direction.reporter().to_owned())];
        source.append("source", &mut labels);
        destination.append("destination", &mut labels);
        let [host, name, namespace] = edge.service(destination);
        for (key, value) in [
            ("destination_service", host),
            ("destination_service_name", name),
            ("destination_service_namespace", namespace),
            ("request_protocol", "tcp"),
            ("connection_security_policy", security),
        ] {
            labels.push((key.to_owned(), value.to_owned()));
        }
        labels
    }

    fn append(&self, end: &str, labels: &mut Labels) {
        for (key, value) in [
            ("workload", self.name.as_str()),
            ("workload_namespace", &self.namespace),
            ("principal", UNKNOWN),
            ("app", UNKNOWN),
            ("version", UNKNOWN),
            ("canonical_service", &self.canonical_name),
            ("canonical_revision", &self.canonical_revision),
            ("cluster", UNKNOWN),
        ] {
            labels.push((format!("{end}_{key}"), value.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Direction, Edge, Workload};
    use crate::telemetry::edge::ServiceName;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn labels(direction: Direction, edge: &Edge) -> BTreeMap<String, String> {
        let pod = Workload::of_this_pod(|name| match name {
            "REMORA_WORKLOAD_NAME" => Some("web".to_owned()),
            "POD_NAMESPACE" => Some("shop".to_owned()),
            "REMORA_CANONICAL_NAME" => Some(String::new()),
            _ => None,
        });
        let list = pod.tcp_labels(direction, edge);
        let map: BTreeMap<_, _> = list.iter().cloned().collect();
        assert_eq!(list.len(), map.len(), "no label twice");
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
}
