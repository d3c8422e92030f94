//! Takes written spans from the queue to the collector, many at once.
//!
//! Nothing waits for it. A batch that the collector does not take is sent again a few times, then dropped and counted; meanwhile
//! the queue fills, and what it has no room for is dropped by whoever records it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use runtime::shutdown::Shutdown;
use tokio::time::sleep;

use super::Format;
use super::collector::{Collector, Undelivered};
use super::metrics::{Counters, Loss};
use super::queue::{Batch, Queue};
use super::{Resource, otlp, zipkin};

/// How long spans are collected once there is one.
const COLLECT: Duration = Duration::from_secs(1);

/// Between two attempts; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 5;

/// Delivers spans.
#[must_use = "spans are not exported unless it runs"]
pub struct Exporter {
    pub(super) queue: Arc<Queue>,
    pub(super) collector: Collector,
    pub(super) format: Format,
    pub(super) resource: Resource,
    pub(super) counters: Counters,
}

impl Exporter {
    /// Until the end is requested; then what is left is sent once.
    pub async fn run(self, mut end: Shutdown) {
        let mut is_away = false;
        loop {
            tokio::select! {
                () = self.queue.filled() => {}
                () = end.requested() => {}
            }
            if !self.queue.is_urgent() {
                tokio::select! {
                    () = sleep(COLLECT) => {}
                    () = self.queue.filled() => {}
                    () = end.requested() => {}
                }
            }
            // Asked before: what comes after that request is waited for by nobody.
            let is_last = end.is_requested();
            let batch = self.queue.take();
            if batch.spans > 0 {
                self.deliver(batch, &mut end, &mut is_away).await;
            }
            if is_last {
                return;
            }
        }
    }

    async fn deliver(&self, batch: Batch, end: &mut Shutdown, is_away: &mut bool) {
        let Batch { bytes, spans } = batch;
        let request = Bytes::from(match self.format {
            Format::Otlp => otlp::request(&self.resource.0, &bytes),
            Format::Zipkin => zipkin::request(&bytes),
        });
        drop(bytes);
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=ATTEMPTS {
            let loss = match self.collector.deliver(request.clone()).await {
                Ok(()) => {
                    self.counters.exported.inc_by(spans);
                    *is_away = false;
                    return;
                }
                Err(error) => {
                    // Once, until it is there again.
                    if !std::mem::replace(is_away, true) {
                        tracing::warn!(%error, "spans are not delivered");
                    }
                    match error {
                        Undelivered::Refused(_) => Some(Loss::Refused),
                        Undelivered::Away(_) if end.is_requested() => Some(Loss::Ended),
                        Undelivered::Away(_) => (attempt == ATTEMPTS).then_some(Loss::Unreachable),
                    }
                }
            };
            if let Some(loss) = loss {
                return self.counters.lost(loss, spans);
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = end.requested() => {}
            }
            pause *= 2;
        }
    }
}
