//! The time, as the API server has it. It is the one that verifies certificates, so its clock decides whether one is valid;
//! the clock of a node may be a day off, or be set while the program runs.
//!
//! Invariant: between two answers of the API server time passes as the monotonic clock says, and never by itself jumps.

use std::time::{Duration, Instant, SystemTime};

/// Answers take a while, and say whole seconds: what differs by less is no difference.
const TOLERANCE: Duration = Duration::from_secs(10);

/// A clock that is set by the answers of the API server; until the first one it is the node's.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    time: SystemTime,
    at: Instant,
}

impl Clock {
    /// As the node says.
    pub fn new(time: SystemTime, at: Instant) -> Self {
        Self { time, at }
    }

    /// The time at an instant.
    pub fn time(&self, at: Instant) -> SystemTime {
        self.time + at.saturating_duration_since(self.at)
    }

    /// The API server said that it was `time`. Returns how far off this clock was, where it had to be set.
    pub fn heard(&mut self, time: SystemTime, at: Instant) -> Option<Duration> {
        let ours = self.time(at);
        let off = ours.duration_since(time).unwrap_or_else(|error| error.duration());
        (off > TOLERANCE).then(|| {
            *self = Self { time, at };
            off
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::Clock;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_clock_that_is_a_day_off_is_set_by_the_first_answer() {
        let (truth, start) = (SystemTime::UNIX_EPOCH + 20_000 * DAY, Instant::now());
        for wrong in [truth - DAY, truth + DAY] {
            let mut clock = Clock::new(wrong, start);
            assert_eq!(clock.heard(truth + SECOND, start + SECOND), Some(DAY));
            assert_eq!(clock.time(start + 5 * SECOND), truth + 5 * SECOND);
        }
    }

    #[test]
    fn answers_that_took_a_while_set_nothing() {
        let (truth, start) = (SystemTime::UNIX_EPOCH + 20_000 * DAY, Instant::now());
        let mut clock = Clock::new(truth, start);
        assert_eq!(clock.heard(truth, start + 5 * SECOND), None);
        assert_eq!(clock.time(start + 5 * SECOND), truth + 5 * SECOND);
    }
}
