//! The time limit of connections of which one direction has ended, and which carry nothing: the other side may have been
//! forgotten by both programs, and would keep its descriptors for ever.
//!
//! It costs a step one addition, and no look at the clock: a timer, which exists only while a connection is half-closed, looks
//! from time to time whether there were steps. An open connection has no such limit, however idle it is.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

/// How often it is looked within the limit; so a connection is idle for at most an eighth longer.
const LOOKS: u32 = 8;

/// How far a connection is. Only its own task uses it; the atomics let that task be `Send`.
#[derive(Debug, Default)]
pub(super) struct Progress {
    steps: AtomicU64,
    ended: AtomicU8,
    stalled: AtomicBool,
}

impl Progress {
    /// Bytes were moved.
    pub(super) fn step(&self) {
        // One task: nobody adds meanwhile.
        self.steps.store(self.steps.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// A leg is not being read, or writing to it has failed.
    pub(super) fn stall(&self) {
        self.stalled.store(true, Ordering::Relaxed);
    }

    /// Whether that has ever been so.
    pub(super) fn has_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    /// One direction has ended.
    pub(super) fn end(&self) {
        self.step();
        self.stall();
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns when the directions had a turn in which nothing was moved. It has to be polled after them.
    pub(super) async fn at_rest(&self) {
        let mut before = None;
        loop {
            let steps = self.steps.load(Ordering::Relaxed);
            if before == Some(steps) {
                return;
            }
            before = Some(steps);
            tokio::task::yield_now().await;
        }
    }

    /// Returns when one direction has ended and nothing was moved for `limit`. It has to be polled after the directions.
    pub(super) fn idle_for(&self, limit: Duration) -> impl Future<Output = ()> + Send + use<'_> {
        let mut watch: Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = None;
        poll_fn(move |cx| {
            if self.ended.load(Ordering::Relaxed) == 0 {
                return Poll::Pending;
            }
            watch.get_or_insert_with(|| Box::pin(self.watch(limit))).as_mut().poll(cx)
        })
    }

    /// Returns when nothing was moved for `limit`, whether or not a direction has ended.
    pub(super) async fn watch(&self, limit: Duration) {
        let mut idleness = Idleness::default();
        while !idleness.meets_limit(self.steps.load(Ordering::Relaxed)) {
            tokio::time::sleep(limit / LOOKS).await;
        }
    }
}

/// What was seen at each look.
#[derive(Debug, Default)]
struct Idleness {
    steps: u64,
    /// Looks at which nothing had been moved since the one before.
    idle: u32,
}

impl Idleness {
    /// One more look; whether nothing was moved for the limit.
    fn meets_limit(&mut self, steps: u64) -> bool {
        self.idle = if steps == self.steps { self.idle + 1 } else { 0 };
        self.steps = steps;
        self.idle >= LOOKS
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Idleness, LOOKS, Progress};

    #[test]
    fn only_a_whole_limit_without_a_step_meets_it() {
        let mut idleness = Idleness::default();
        for steps in 1..1000 {
            for _ in 0..LOOKS {
                assert!(!idleness.meets_limit(steps), "active at step {steps}");
            }
        }
        assert!(idleness.meets_limit(999));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn rest_is_waited_for_as_long_as_turns_move_something() {
        const TURNS: u32 = 20;
        let progress = Progress::default();
        let moving = async {
            for _ in 0..TURNS {
                progress.step();
                tokio::task::yield_now().await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = moving => {}
            () = progress.at_rest() => {}
        }
        assert_eq!(progress.steps.into_inner(), u64::from(TURNS));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_open_connection_has_no_limit() {
        let progress = Progress::default();
        let never = progress.idle_for(Duration::from_millis(1));
        progress.step();
        let watched = tokio::time::timeout(Duration::from_millis(50), never);
        assert!(watched.await.is_err());
        progress.end();
        progress.idle_for(Duration::from_millis(1)).await;
    }
}
