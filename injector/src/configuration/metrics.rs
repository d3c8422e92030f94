//! What is told about the configuration: which one is in force, and how attempts to change it ended.

use std::sync::Arc;

use runtime::metrics::Metrics;
use runtime::metrics::types::counter::Counter;
use runtime::metrics::types::family::Family;
use runtime::metrics::types::gauge::Gauge;

/// The configuration's metrics; clones share them.
#[derive(Clone)]
pub struct ConfigurationMetrics {
    info: Family<[(&'static str, Arc<str>); 1], Gauge>,
    reloads: Family<[(&'static str, &'static str); 1], Counter>,
    good: Gauge,
}

impl ConfigurationMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        let ours = Self { info: Family::default(), reloads: Family::default(), good: Gauge::default() };
        for result in ["applied", "failed"] {
            // There before the first one, so that a rate sees it.
            ours.reloads.get_or_create(&[("result", result)]).inc_by(0);
        }
        metrics.register(|registry| {
            registry.register(
                "injector_configuration_info",
                "1 for the configuration in force, by the hash that injected pods carry",
                ours.info.clone(),
            );
            registry.register(
                "injector_configuration_reloads",
                "Changes of the configuration file seen, by what came of them",
                ours.reloads.clone(),
            );
            registry.register(
                "injector_configuration_good",
                "1 where the configuration file is what is in force, 0 where it is bad and the last good one is kept",
                ours.good.clone(),
            );
        });
        ours
    }

    /// This one is in force since the start.
    pub fn started(&self, hash: &str) {
        self.info.clear();
        self.info.get_or_create(&[("hash", hash.into())]).set(1);
        self.good.set(1);
    }

    pub(super) fn applied(&self, hash: &str) {
        self.started(hash);
        self.reloads.get_or_create(&[("result", "applied")]).inc();
    }

    pub(super) fn failed(&self) {
        self.good.set(0);
        self.reloads.get_or_create(&[("result", "failed")]).inc();
    }
}
