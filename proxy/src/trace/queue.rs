//! Written spans that wait for the exporter, in one piece of memory of bounded size.
//!
//! Invariant: who records a span never waits for more than a copy; what does not fit is dropped, and whoever records it counts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The queue.
pub(super) struct Queue {
    waiting: Mutex<Batch>,
    most: usize,
    /// Told of the first span, and when the queue is half full.
    filled: Notify,
}

/// Spans in the exporter's format.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) spans: u64,
}

impl Queue {
    /// With room for so many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { waiting: Mutex::default(), most, filled: Notify::new() }
    }

    /// Queues a written span; false where it does not fit.
    pub(super) fn push(&self, span: &[u8]) -> bool {
        let mut waiting = self.lock();
        let before = waiting.bytes.len();
        let after = before + span.len();
        if after > self.most {
            return false;
        }
        waiting.bytes.extend_from_slice(span);
        waiting.spans += 1;
        drop(waiting);
        let half = self.most / 2;
        if before == 0 || (before < half && after >= half) {
            self.filled.notify_one();
        }
        true
    }

    /// Returns when there is a span, or, if there are already, when it is time to take them.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// All that wait.
    pub(super) fn take(&self) -> Batch {
        std::mem::take(&mut *self.lock())
    }

    /// Whether there is no time to collect more.
    pub(super) fn is_urgent(&self) -> bool {
        self.lock().bytes.len() >= self.most / 2
    }

    /// A panic aborts the process, so it is never left half changed.
    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn what_does_not_fit_is_refused_and_what_fits_comes_whole() {
        let queue = Queue::new(10);
        assert!(queue.push(b"four") && !queue.is_urgent());
        assert!(queue.push(b"more") && queue.is_urgent());
        assert!(!queue.push(b"six") && queue.push(b"10"));
        let batch = queue.take();
        assert_eq!((&*batch.bytes, batch.spans), (&b"fourmore10"[..], 3));
        assert!(queue.take().bytes.is_empty() && queue.push(b"0123456789"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_exporter_hears_of_the_first_span_and_of_haste() {
        let queue = Queue::new(10);
        queue.push(b"a");
        queue.filled().await;
        queue.push(b"b");
        let quiet = tokio::time::timeout(std::time::Duration::from_secs(1), queue.filled()).await;
        assert!(quiet.is_err(), "no wake-up for each span");
        queue.push(b"half");
        queue.filled().await;
    }
}
