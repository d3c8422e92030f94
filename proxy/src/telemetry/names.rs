//! What Istio's metrics call the two ends of a connection and the Service between them.
//!
//! Invariant: a series keeps no text of its own; its labels are written when somebody asks.

use std::sync::Arc;

use super::workload::{LABELS, UNKNOWN, Workload};
use crate::direction::Direction;

pub(super) const PASSTHROUGH: &str = "PassthroughCluster";
pub(super) const BLACK_HOLE: &str = "BlackHoleCluster";

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

/// As what the destination is known.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Named {
    /// This pod, as no Service's.
    Ours,
    Service(Arc<ServiceName>),
    Passthrough,
    BlackHole,
}

/// Of all over one edge; what is spoken and how it ends is not among them.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Names {
    pub(super) direction: Direction,
    pub(super) source: Arc<Workload>,
    pub(super) destination: Arc<Workload>,
    pub(super) service: Named,
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
    /// The labels that all series of an edge have.
    pub(super) fn labels(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let [host, name, namespace] = self.service();
        let (here, security) = match self.direction {
            Direction::Inbound => (&self.destination, "none"),
            Direction::Outbound => (&self.source, UNKNOWN),
        };
        let service = [
            ("destination_service", host),
            ("destination_service_name", name),
            ("destination_service_namespace", namespace),
            ("connection_security_policy", security),
        ];
        [("reporter", self.direction.reporter())]
            .into_iter()
            .chain(SOURCE.into_iter().zip(self.source.labels(here)))
            .chain(DESTINATION.into_iter().zip(self.destination.labels(here)))
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
