//! Durations, sorted.

use std::time::Duration;

/// At least one duration.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The duration below which so many of a thousand lie.
    pub(crate) fn permille(&self, permille: usize) -> Duration {
        let at = (self.0.len() * permille / 1000).min(self.0.len().saturating_sub(1));
        self.0.get(at).copied().unwrap_or_default()
    }

    pub(crate) fn median(&self) -> Duration {
        self.permille(500)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.permille(990)
    }
}

/// Microseconds with one digit.
pub(crate) fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}

/// Milliseconds with two digits.
pub(crate) fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
