//! How often something may be written: a few times at once, and then at a steady rate. Whoever undoes our writes again and
//! again would otherwise make an endless loop with us.

use std::time::{Duration, SystemTime};

/// Writes that may follow each other at once: more than any change of ours needs.
const BURST: u32 = 5;

/// A bounded rate (the generic cell rate algorithm).
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    interval: Duration,
    /// When the budget is whole again.
    whole: SystemTime,
}

impl Budget {
    /// One write an interval, and a few more at once.
    pub fn new(interval: Duration) -> Self {
        Self { interval, whole: SystemTime::UNIX_EPOCH }
    }

    /// Takes one write; the error is the time to wait for it.
    pub fn take(&mut self, now: SystemTime) -> Result<(), Duration> {
        // Never more in debt than can be, which it would be after the clock was set back.
        let whole = self.whole.clamp(now, now + self.interval * BURST);
        let debt = whole.duration_since(now).unwrap_or_default();
        if let Some(wait) = debt.checked_sub(self.interval * (BURST - 1)).filter(|wait| !wait.is_zero()) {
            self.whole = whole;
            return Err(wait);
        }
        self.whole = whole + self.interval;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::Budget;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    #[test]
    fn a_burst_and_then_a_steady_rate() {
        let mut budget = Budget::new(Duration::from_secs(30));
        let taken: Vec<u64> = (0..120).filter(|second| budget.take(at(*second)).is_ok()).collect();
        assert_eq!(taken, [0, 1, 2, 3, 4, 30, 60, 90]);
        assert_eq!(budget.take(at(110)), Err(Duration::from_secs(10)));
    }

    #[test]
    fn a_clock_that_is_set_back_delays_it_by_an_interval_at_most() {
        let mut budget = Budget::new(Duration::from_secs(30));
        assert!((0..5).all(|_| budget.take(at(86_400)).is_ok()));
        assert_eq!(budget.take(at(0)), Err(Duration::from_secs(30)));
        assert!(budget.take(at(30)).is_ok());
    }
}
