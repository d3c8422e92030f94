//! A limit for log lines that a peer can cause: one line a period, which tells how many were left out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time in which one line is written.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);

/// The state of one kind of line.
#[derive(Debug, Default)]
struct Throttle {
    last: Option<Instant>,
    left_out: u64,
}

impl Throttle {
    /// Whether a line may be written now; the value is the number of lines left out since the last one.
    fn permit(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < PERIOD) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Lines of several kinds; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Throttles(Arc<Mutex<HashMap<&'static str, Throttle>>>);

impl Throttles {
    /// Whether a line of this kind may be written now, as of one kind.
    pub(super) fn permit(&self, kind: &'static str) -> Option<u64> {
        let mut throttles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        throttles.entry(kind).or_default().permit(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, PERIOD, Throttle};

    #[test]
    fn one_line_a_period_and_none_forgotten() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        assert_eq!(throttle.permit(start), Some(0));
        for _ in 0..5 {
            assert_eq!(throttle.permit(start + PERIOD / 2), None);
        }
        assert_eq!(throttle.permit(start + PERIOD), Some(5));
        assert_eq!(throttle.permit(start + PERIOD * 2), Some(0));
    }
}
