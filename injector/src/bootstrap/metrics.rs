//! What is measured of certificates. Labels are of closed sets.

use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use runtime::metrics::Metrics;
use runtime::metrics::types::counter::Counter;
use runtime::metrics::types::family::Family;
use runtime::metrics::types::gauge::Gauge;

use crate::pki::Phase;

type Label = [(&'static str, &'static str); 1];

/// The metrics of certificates.
#[derive(Clone, Default)]
pub(super) struct CertificateMetrics {
    leaf_expiry: Gauge<f64, AtomicU64>,
    authority_expiry: Gauge<f64, AtomicU64>,
    phase: Family<Label, Gauge>,
    bundle_matches: Gauge,
    bundle_size: Gauge,
    publications: Family<Label, Counter>,
    foreign_changes: Counter,
    authority_writes: Family<Label, Counter>,
    reloads: Family<Label, Counter>,
}

impl CertificateMetrics {
    /// Registers them.
    pub(super) fn new(metrics: &Metrics) -> Self {
        let ours = Self::default();
        metrics.register(|registry| {
            let mut gauge = |name: &str, help: &str, metric: &Gauge<f64, AtomicU64>| {
                registry.register(name, help, metric.clone());
            };
            let (leaf, authority) = (&ours.leaf_expiry, &ours.authority_expiry);
            gauge(
                "webhook_certificate_expiry_timestamp_seconds",
                "When the served certificate ends, as Unix time",
                leaf,
            );
            gauge(
                "webhook_ca_expiry_timestamp_seconds",
                "When the authority that signed the served certificate ends, as Unix time",
                authority,
            );
            let help = "1 for the phase of the rotation: steady, settling (another authority is published and \
                        does not sign yet), retiring (one that signs no more is still published)";
            registry.register("webhook_ca_rotation_phase", help, ours.phase.clone());
            let help = "1 where the published bundle verifies the served certificate";
            registry.register("webhook_bundle_match", help, ours.bundle_matches.clone());
            let help = "Authorities in the published bundle";
            registry.register("webhook_bundle_authorities", help, ours.bundle_size.clone());
            let help = "Attempts to publish the bundle, by result: written, conflict (somebody else wrote \
                        meanwhile), failed, held_back (somebody else overwrites it again and again)";
            registry.register("webhook_bundle_publications", help, ours.publications.clone());
            let help = "Changes of the published bundle by somebody else";
            registry.register("webhook_bundle_foreign_changes", help, ours.foreign_changes.clone());
            let help = "Attempts to write the stored authorities, by step or as conflict, failed or held_back";
            registry.register("webhook_ca_writes", help, ours.authority_writes.clone());
            let help = "Changes of the certificate files, by result: taken, refused (the last good ones are \
                        served)";
            registry.register("webhook_certificate_reloads", help, ours.reloads.clone());
        });
        ours
    }

    pub(super) fn leaf_ends(&self, end: SystemTime) {
        self.leaf_expiry.set(seconds(end));
    }

    pub(super) fn authority_ends(&self, end: SystemTime) {
        self.authority_expiry.set(seconds(end));
    }

    pub(super) fn phase(&self, phase: Phase) {
        for (each, name) in Phase::ALL {
            self.phase.get_or_create(&[("phase", name)]).set(i64::from(each == phase));
        }
    }

    pub(super) fn bundle(&self, size: usize, matches: bool) {
        self.bundle_size.set(i64::try_from(size).unwrap_or(i64::MAX));
        self.bundle_matches.set(i64::from(matches));
    }

    pub(super) fn publication(&self, result: &'static str) {
        self.publications.get_or_create(&[("result", result)]).inc();
    }

    pub(super) fn foreign_change(&self) {
        self.foreign_changes.inc();
    }

    pub(super) fn authority_write(&self, result: &'static str) {
        self.authority_writes.get_or_create(&[("result", result)]).inc();
    }

    pub(super) fn reload(&self, result: &'static str) {
        self.reloads.get_or_create(&[("result", result)]).inc();
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
