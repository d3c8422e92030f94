//! What the webhook counts. Labels are of closed sets: verdicts, reason codes, and the ways in which a connection or a
//! request is turned away.

use std::time::Duration;

use runtime::metrics::Metrics;
use runtime::metrics::types::counter::Counter;
use runtime::metrics::types::family::Family;
use runtime::metrics::types::gauge::Gauge;
use runtime::metrics::types::histogram::Histogram;

use super::limits::Shed;
use super::review::Answer;

/// Upper ends of the buckets, seconds: a median pod takes tens of microseconds.
const BUCKETS: [f64; 14] =
    [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 1.0];

/// Upper ends of the buckets, bytes: a median patch has a few thousand.
const SIZES: [f64; 6] = [1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0];

type Labels = [(&'static str, &'static str); 2];
type Reason = [(&'static str, &'static str); 1];

/// The webhook's metrics; clones share them.
#[derive(Clone)]
pub struct WebhookMetrics {
    injections: Family<Labels, Counter>,
    duration: Histogram,
    patch: Histogram,
    in_flight: Gauge,
    shed: Family<Reason, Counter>,
    handshakes: Family<Reason, Counter>,
}

/// Why there was no TLS connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum NoHandshake {
    /// No client certificate, or one that is not accepted.
    ClientCertificate,
    /// Not TLS, or none that is spoken here.
    Tls,
    /// The peer went away.
    Closed,
    /// It took too long.
    Timeout,
}

/// A request that is being answered.
pub(super) struct InFlight(Gauge);

impl WebhookMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        let ours = Self {
            injections: Family::default(),
            duration: Histogram::new(BUCKETS),
            patch: Histogram::new(SIZES),
            in_flight: Gauge::default(),
            shed: Family::default(),
            handshakes: Family::default(),
        };
        // There before the first one, so that a rate sees it.
        Shed::ALL.iter().for_each(|shed| _ = ours.shed.get_or_create(&[("reason", shed.code())]).inc_by(0));
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
            registry.register("injection_patch_bytes", "Length of patches, as JSON", ours.patch.clone());
            registry.register(
                "webhook_in_flight",
                "Requests that are being read or answered",
                ours.in_flight.clone(),
            );
            registry.register(
                "webhook_shed",
                "Reviews answered with 503 because there was no room for them, or no time",
                ours.shed.clone(),
            );
            registry.register(
                "webhook_tls_handshake_failures",
                "Connections that did not become TLS connections",
                ours.handshakes.clone(),
            );
        });
        ours
    }

    /// Counts an answer.
    pub(super) fn answered(&self, answer: &Answer, took: Duration) {
        self.injections.get_or_create(&[("result", answer.result), ("reason", answer.reason)]).inc();
        self.duration.observe(took.as_secs_f64());
        if let Some(length) = answer.patch {
            #[expect(clippy::cast_precision_loss, reason = "no patch has 2^52 bytes")]
            self.patch.observe(length as f64);
        }
    }

    /// Counts a request that is no review; its time would say nothing about reviews.
    pub(super) fn refused(&self, reason: &'static str) {
        self.injections.get_or_create(&[("result", "invalid"), ("reason", reason)]).inc();
    }

    /// Counts a request until what is returned is dropped.
    pub(super) fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub(super) fn shed(&self, shed: Shed) {
        self.shed.get_or_create(&[("reason", shed.code())]).inc();
    }

    pub(super) fn no_handshake(&self, why: NoHandshake) {
        let reason = match why {
            NoHandshake::ClientCertificate => "client-certificate",
            NoHandshake::Tls => "tls",
            NoHandshake::Closed => "closed",
            NoHandshake::Timeout => "timeout",
        };
        self.handshakes.get_or_create(&[("reason", reason)]).inc();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
