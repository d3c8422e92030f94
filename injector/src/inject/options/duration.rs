//! Durations, in the notations of Istio and Linkerd.

use std::fmt;
use std::time::Duration;

use super::modes::digits;
use super::{Parsed, malformed};

/// A duration of at most a day, which is also the most that the proxy takes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in super::super) struct Period(Duration);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// No such text is longer.
const LONGEST: usize = 64;

impl Period {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        let parsed = (text.len() <= LONGEST).then(|| humantime::parse_duration(text).ok()).flatten();
        match parsed {
            Some(period) if period <= DAY => Ok(Self(period)),
            Some(_) => malformed("longer than a day"),
            None => malformed("not a duration"),
        }
    }

    /// One that is longer than nothing.
    pub(super) fn positive(text: &str) -> Parsed<Self> {
        let period = Self::parse(text)?;
        if period.0.is_zero() { malformed("must be longer than 0") } else { Ok(period) }
    }

    /// A bare number of seconds.
    pub(super) fn seconds(text: &str) -> Parsed<Self> {
        match digits(text).map(Duration::from_secs) {
            Some(period) if period <= DAY => Ok(Self(period)),
            Some(_) => malformed("longer than a day"),
            None => malformed("not a number of seconds"),
        }
    }

    pub(in super::super) fn at_most_a_day(period: Duration) -> Self {
        Self(period.min(DAY))
    }

    pub(in super::super) fn get(self) -> Duration {
        self.0
    }
}

/// As the proxy reads it.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}
