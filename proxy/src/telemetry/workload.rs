//! Who this pod is, from the environment that the injector wrote, and the labels by which Istio's metrics name the two
//! ends of a connection.
//!
//! What is not known is the literal `unknown`, as dashboards expect; no label is ever left out, since Kiali drops series
//! that lack one.

use std::fmt;

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

    /// The other end.
    fn unknown() -> Self {
        Self::of_this_pod(|_| None)
    }

    /// Istio's labels of a TCP connection in `direction`, without `response_flags`.
    pub(super) fn tcp_labels(&self, direction: Direction) -> Labels {
        let other = Self::unknown();
        let (source, destination) = match direction {
            Direction::Inbound => (&other, self),
            Direction::Outbound => (self, &other),
        };
        let mut labels = vec![("reporter".to_owned(), direction.reporter().to_owned())];
        source.append("source", &mut labels);
        destination.append("destination", &mut labels);
        // A connection whose Service is not known is Istio's passthrough.
        let (service_name, security) = match direction {
            Direction::Inbound => (destination.canonical_name.as_str(), "none"),
            Direction::Outbound => (PASSTHROUGH_CLUSTER, UNKNOWN),
        };
        for (key, value) in [
            ("destination_service", UNKNOWN),
            ("destination_service_name", service_name),
            ("destination_service_namespace", &destination.namespace),
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

/// Istio's name for a destination that no Service is known for.
pub const PASSTHROUGH_CLUSTER: &str = "PassthroughCluster";

/// Istio's name for a port of the pod's application.
#[derive(Clone, Copy, Debug)]
pub struct InboundCluster(
    /// The port.
    pub u16,
);

impl fmt::Display for InboundCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inbound|{}||", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Direction, Workload};
    use std::collections::BTreeMap;

    fn labels(direction: Direction) -> BTreeMap<String, String> {
        let pod = Workload::of_this_pod(|name| match name {
            "REMORA_WORKLOAD_NAME" => Some("web".to_owned()),
            "POD_NAMESPACE" => Some("shop".to_owned()),
            "REMORA_CANONICAL_NAME" => Some(String::new()),
            _ => None,
        });
        let list = pod.tcp_labels(direction);
        let map: BTreeMap<_, _> = list.iter().cloned().collect();
        assert_eq!(list.len(), map.len(), "no label twice");
        map
    }

    #[test]
    fn our_side_is_the_environment_and_the_other_is_unknown() {
        let outbound = labels(Direction::Outbound);
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
        let inbound = labels(Direction::Inbound);
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
    fn both_directions_have_the_same_labels() {
        let keys = |direction| labels(direction).into_keys().collect::<Vec<_>>();
        assert_eq!(keys(Direction::Inbound), keys(Direction::Outbound));
        assert_eq!(keys(Direction::Inbound).len(), 22);
    }
}
