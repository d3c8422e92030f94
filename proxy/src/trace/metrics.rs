//! What became of spans.

use runtime::metrics::Metrics;
use runtime::metrics::types::{counter::Counter, family::Family};

/// Why a span was not delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Loss {
    /// The queue was full.
    QueueFull,
    /// The collector was not there.
    Unreachable,
    /// The collector did not take it.
    Refused,
    /// The proxy has ended.
    Ended,
}

impl Loss {
    const ALL: [Self; 4] = [Self::QueueFull, Self::Unreachable, Self::Refused, Self::Ended];

    /// The value of the label `reason`.
    fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Unreachable => "collector_unreachable",
            Self::Refused => "collector_refused",
            Self::Ended => "proxy_ended",
        }
    }
}

/// The families; clones count into the same ones.
#[derive(Clone, Default)]
pub(super) struct Counters {
    pub(super) exported: Counter,
    dropped: Family<Vec<(&'static str, &'static str)>, Counter>,
}

impl Counters {
    /// Each reason has its series before the first loss, so that a rate sees that one.
    pub(super) fn register(&self, metrics: &Metrics) {
        Loss::ALL.into_iter().for_each(|loss| self.lost(loss, 0));
        metrics.register(|to| {
            to.register("remora_spans_exported", "Spans that the collector took", self.exported.clone());
            to.register(
                "remora_spans_dropped",
                "Spans that were not delivered, by why",
                self.dropped.clone(),
            );
        });
    }

    pub(super) fn lost(&self, loss: Loss, spans: u64) {
        self.dropped.get_or_create(&vec![("reason", loss.name())]).inc_by(spans);
    }
}
