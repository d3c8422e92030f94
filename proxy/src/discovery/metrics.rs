//! What is told about the configuration of discovery: which one is in force, what it holds, and how attempts to change it
//! ended.

use std::sync::Arc;

use runtime::metrics::Metrics;
use runtime::metrics::types::counter::Counter;
use runtime::metrics::types::family::Family;
use runtime::metrics::types::gauge::Gauge;

use super::Snapshot;

type Label<T> = [(&'static str, T); 1];

/// The metrics; clones share them.
#[derive(Clone, Default)]
pub(super) struct DiscoveryMetrics {
    info: Family<Label<Arc<str>>, Gauge>,
    resources: Family<Label<&'static str>, Gauge>,
    reloads: Family<Label<&'static str>, Counter>,
    bytes: Gauge,
    generation: Gauge,
    good: Gauge,
}

impl DiscoveryMetrics {
    pub(super) fn register(&self, metrics: &Metrics) {
        for result in ["applied", "failed"] {
            // There before the first one, so that a rate sees it.
            self.reloads.get_or_create(&[("result", result)]).inc_by(0);
        }
        metrics.register(|registry| {
            registry.register(
                "remora_discovery_info",
                "1 for the configuration of discovery in force, by the hash of its content",
                self.info.clone(),
            );
            registry.register(
                "remora_discovery_resources",
                "Resources in force, by kind",
                self.resources.clone(),
            );
            registry.register(
                "remora_discovery_reloads",
                "Changes of the configuration of discovery that were seen, by what came of them",
                self.reloads.clone(),
            );
            registry.register(
                "remora_discovery_bytes",
                "Length of the files that are in force",
                self.bytes.clone(),
            );
            registry.register(
                "remora_discovery_generation",
                "Configurations of discovery that have been in force, with this one",
                self.generation.clone(),
            );
            registry.register(
                "remora_discovery_good",
                "1 where the directory is what is in force, 0 where it is bad and the last good one is kept",
                self.good.clone(),
            );
        });
    }

    /// This one is in force since the start, from files of so many bytes.
    pub(super) fn started(&self, snapshot: &Snapshot, bytes: u64) {
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.info.clear();
        self.info.get_or_create(&[("hash", snapshot.hash().into())]).set(1);
        let resources = snapshot.resources();
        for (kind, number) in [
            ("Service", resources.services.len()),
            ("Workload", resources.workloads.len()),
            ("External", resources.externals.len()),
            ("Forbidden", resources.forbidden.len()),
        ] {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            self.resources.get_or_create(&[("kind", kind)]).set(number);
        }
        self.generation.set(i64::try_from(snapshot.generation()).unwrap_or(i64::MAX));
        self.good.set(1);
    }

    pub(super) fn applied(&self, snapshot: &Snapshot, bytes: u64) {
        self.started(snapshot, bytes);
        self.reloads.get_or_create(&[("result", "applied")]).inc();
    }

    /// What is written down now is bad.
    pub(super) fn failed(&self) {
        self.good.set(0);
        self.reloads.get_or_create(&[("result", "failed")]).inc();
    }
}
