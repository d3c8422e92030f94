//! What the webhook counts. Labels are of closed sets: verdicts and reason codes.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use runtime::metrics::Metrics;
use runtime::metrics::types::counter::Counter;
use runtime::metrics::types::family::Family;
use runtime::metrics::types::gauge::Gauge;
use runtime::metrics::types::histogram::Histogram;

/// Upper ends of the buckets, seconds: a median pod takes tens of microseconds.
const BUCKETS: [f64; 14] =
    [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 1.0];

type Labels = [(&'static str, &'static str); 2];

/// The webhook's metrics; clones share them.
#[derive(Clone)]
pub struct WebhookMetrics {
    injections: Family<Labels, Counter>,
    duration: Histogram,
    certificate_expiry: Gauge<f64, AtomicU64>,
    bundle_matches: Gauge,
}

impl WebhookMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        let ours = Self {
            injections: Family::default(),
            duration: Histogram::new(BUCKETS),
            certificate_expiry: Gauge::default(),
            bundle_matches: Gauge::default(),
        };
        metrics.register(|registry| {
            registry.register(
                "injection",
                "Reviews answered, by result and by the deciding reason",
                ours.injections.clone(),
            );
            registry.register(
                "injection_duration_seconds",
                "Time to answer a review, from its last byte in to the answer",
                ours.duration.clone(),
            );
            registry.register(
                "webhook_certificate_expiry_timestamp_seconds",
                "When the served certificate ends, as Unix time",
                ours.certificate_expiry.clone(),
            );
            registry.register(
                "webhook_bundle_match",
                "1 where the published bundle verifies the served certificate",
                ours.bundle_matches.clone(),
            );
        });
        ours
    }

    /// Counts an answer.
    pub(super) fn answered(&self, result: &'static str, reason: &'static str, took: Duration) {
        self.injections.get_or_create(&[("result", result), ("reason", reason)]).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Counts a request that is no review; its time would say nothing about reviews.
    pub(super) fn refused(&self, reason: &'static str) {
        self.injections.get_or_create(&[("result", "invalid"), ("reason", reason)]).inc();
    }

    /// The served certificate ends then.
    pub fn certificate_ends(&self, end: SystemTime) {
        let since = end.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.certificate_expiry.set(since.as_secs_f64());
    }

    /// Whether the published bundle verifies what is served.
    pub fn bundle_matches(&self, matches: bool) {
        self.bundle_matches.set(i64::from(matches));
    }
}
