//! The load of an endpoint, as this proxy sees it: how many connections and requests it has, and how fast it responds.
//!
//! Invariant: each [`Held`] is counted once, from its making to its end, however it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Policy;

/// What an endpoint is thought to need before it was seen, so that new ones are not overrun.
const UNSEEN: Duration = Duration::from_millis(30);

/// What a failure is thought to have cost, on top of what is remembered: an endpoint that does nothing but fail has never been
/// slow, and is not to be preferred to those that work.
const FAILURE: Duration = Duration::from_millis(300);

/// The most that failures are thought to have cost: many requests fail at once where one connection does.
const MOST_FAILURE: Duration = Duration::from_secs(3);

/// After this time three fifths of what was seen are forgotten.
const DECAY: Duration = Duration::from_secs(10);

/// The load; workers share it. What it tells orders nothing: a choice by what was true a moment ago is as good.
#[derive(Debug)]
pub struct Load {
    active: AtomicU32,
    /// The average of the times to respond in seconds, as bits, and when it was that, in nanoseconds after `began`.
    latency: AtomicU64,
    seen: AtomicU64,
    began: Instant,
}

/// A connection, or a request.
#[derive(Debug)]
pub struct Held(Arc<Load>);

impl Default for Load {
    fn default() -> Self {
        let latency = UNSEEN.as_secs_f64().to_bits().into();
        Self { active: AtomicU32::new(0), latency, seen: AtomicU64::new(0), began: Instant::now() }
    }
}

impl Load {
    /// How much one more would cost, by `policy`.
    pub fn cost(&self, policy: Policy, now: Instant) -> f64 {
        let active = f64::from(self.active.load(Ordering::Relaxed));
        match policy {
            Policy::LeastRequest => active,
            Policy::PeakEwma => (active + 1.0) * self.latency(now),
        }
    }

    /// Counts one more, until what is returned is dropped.
    pub fn hold(self: &Arc<Self>) -> Held {
        self.active.fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(self))
    }

    /// The average, of which the more is forgotten the longer nothing was seen: who was slow is tried again.
    fn latency(&self, now: Instant) -> f64 {
        let latency = f64::from_bits(self.latency.load(Ordering::Relaxed));
        latency * self.weight(now)
    }

    fn weight(&self, now: Instant) -> f64 {
        let idle = self.age(now).saturating_sub(Duration::from_nanos(self.seen.load(Ordering::Relaxed)));
        (-idle.as_secs_f64() / DECAY.as_secs_f64()).exp()
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// A response has come after this time. What is slower than the average counts at once, and what is faster by and by.
    fn responded(&self, after: Duration, now: Instant) {
        let (average, after, weight) =
            (f64::from_bits(self.latency.load(Ordering::Relaxed)), after.as_secs_f64(), self.weight(now));
        self.remember(if after > average { after } else { average * weight + after * (1.0 - weight) }, now);
    }

    /// A failure, however fast it comes, is no reason to come again: nothing is forgotten for it.
    fn failed(&self, now: Instant) {
        let average = f64::from_bits(self.latency.load(Ordering::Relaxed));
        let costs = average * self.weight(now) + FAILURE.as_secs_f64();
        self.remember(average.max(costs.min(MOST_FAILURE.as_secs_f64())), now);
    }

    fn remember(&self, latency: f64, now: Instant) {
        self.latency.store(latency.to_bits(), Ordering::Relaxed);
        let now = u64::try_from(self.age(now).as_nanos()).unwrap_or(u64::MAX);
        self.seen.store(now, Ordering::Relaxed);
    }
}

impl Held {
    /// The endpoint has begun to respond after this time, with this status of HTTP.
    pub fn responded(&self, after: Duration, status: u16) {
        let now = Instant::now();
        if status < 500 { self.0.responded(after, now) } else { self.0.failed(now) }
    }

    /// The endpoint could not be reached, or does not respond.
    pub fn failed(&self) {
        self.0.failed(Instant::now());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{DECAY, Duration, FAILURE, Load, MOST_FAILURE, Policy, UNSEEN};
    use std::sync::Arc;

    #[test]
    fn it_counts_what_is_held() {
        let load = Arc::new(Load::default());
        let held: Vec<_> = (0..3).map(|_| load.hold()).collect();
        assert_eq!(load.cost(Policy::LeastRequest, load.began), 3.0);
        drop(held);
        assert_eq!(load.cost(Policy::LeastRequest, load.began), 0.0);
    }

    #[test]
    fn what_is_slow_counts_at_once_and_is_forgotten_by_and_by() {
        let load = Load::default();
        let (slow, fast) = (Duration::from_secs(2), Duration::from_millis(1));
        let cost = |at: Duration| load.cost(Policy::PeakEwma, load.began + at);
        assert_eq!(cost(Duration::ZERO), UNSEEN.as_secs_f64());
        load.responded(slow, load.began + DECAY);
        assert_eq!(cost(DECAY), slow.as_secs_f64());
        let (after_one, after_two) = (cost(2 * DECAY), cost(3 * DECAY));
        assert!(after_two < after_one && after_one < cost(DECAY) / 2.0, "{after_one} {after_two}");
        load.responded(fast, load.began + 2 * DECAY);
        let then = cost(2 * DECAY);
        assert!((fast.as_secs_f64()..slow.as_secs_f64() / 2.0).contains(&then), "{then}");
    }

    #[test]
    fn who_fails_fast_is_not_taken_for_fast() {
        let load = Load::default();
        let slow = Duration::from_secs(1);
        let cost = |at: Duration| load.cost(Policy::PeakEwma, load.began + at);
        load.responded(slow, load.began);
        for second in 1..=5 {
            load.failed(load.began + second * DECAY);
            assert_eq!(cost(second * DECAY), slow.as_secs_f64());
        }
    }

    #[test]
    fn who_does_nothing_but_fail_costs_more_than_who_works_slowly() {
        let failing = Load::default();
        let cost = |at: Duration| failing.cost(Policy::PeakEwma, failing.began + at);
        failing.failed(failing.began);
        assert_eq!(Duration::from_secs_f64(cost(Duration::ZERO)), UNSEEN + FAILURE);
        for _ in 0..1_000 {
            failing.failed(failing.began);
        }
        // It is asked again soon, however many there were.
        assert_eq!(Duration::from_secs_f64(cost(Duration::ZERO)), MOST_FAILURE);
        assert!(cost(5 * DECAY) < UNSEEN.as_secs_f64());
    }

    #[test]
    fn one_that_is_twice_as_slow_is_as_good_with_half_as_much() {
        let [slow, fast] = [2, 1].map(|seconds| {
            let load = Arc::new(Load::default());
            load.responded(Duration::from_secs(seconds), load.began);
            load
        });
        let _held = fast.hold();
        let cost = |load: &Load| load.cost(Policy::PeakEwma, load.began);
        assert_eq!(cost(&slow), cost(&fast));
    }
}
