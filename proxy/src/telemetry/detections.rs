//! Counts of what was detected.
//!
//! Invariant: all answers that there are have their series from the start, so no connection looks one up by labels.

use runtime::metrics::registry::Registry;
use runtime::metrics::types::{counter::Counter, family::Family};

use crate::detect::{self, Protocol, Reason};
use crate::direction::Direction;

/// The family; clones count into the same one.
#[derive(Clone, Default)]
pub(super) struct Detected(Family<Vec<(&'static str, &'static str)>, Counter>);

impl Detected {
    pub(super) fn register(&self, to: &mut Registry) {
        to.register(
            "remora_detected_connections",
            "Connections by what is spoken on them, and why that is believed",
            self.0.clone(),
        );
    }

    /// The series of one direction.
    pub(super) fn of(&self, direction: Direction) -> Detections {
        let series = |(protocol, reason): (Protocol, Reason)| {
            let labels =
                [("direction", direction.name()), ("protocol", protocol.name()), ("reason", reason.name())];
            ((protocol, reason), self.0.get_or_create_owned(&labels.into()))
        };
        Detections(detect::Detected::KINDS.map(series))
    }
}

/// Counters, by answer.
pub(super) struct Detections([((Protocol, Reason), Counter); detect::Detected::KINDS.len()]);

impl Detections {
    pub(super) fn count(&self, detected: &detect::Detected) {
        let kind = (detected.protocol, detected.reason);
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == kind) {
            counter.inc();
        }
    }
}
