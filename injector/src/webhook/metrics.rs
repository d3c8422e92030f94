//! What the webhook counts. Labels are of closed sets: verdicts and reason codes.

use std::time::Duration;

use runtime::metrics::Metrics;
use runtime::metrics::types::counter::Counter;
use runtime::metrics::types::family::Family;
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
}

impl WebhookMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        let ours = Self { injections: Family::default(), duration: Histogram::new(BUCKETS) };
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
}
