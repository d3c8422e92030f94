//! A limit for log lines that a peer can cause: one line a period, which tells how many were left out.

use std::time::{Duration, Instant};

/// The time in which one line is written.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);

/// The state of one kind of line.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    last: Option<Instant>,
    left_out: u64,
}

impl Throttle {
    /// Whether a line may be written now; the value is the number of lines left out since the last one.
    pub(super) fn permit(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < PERIOD) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
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
