//! The times that options give, as a person writes them.
//!
//! Invariant: what [`parse`] gives can be added to any time of the clock, and be a socket's TCP_USER_TIMEOUT, which the
//! kernel refuses from 2^31 ms on (24.8 days).

use std::ops::RangeInclusive;
use std::time::Duration;

/// Longer than anybody waits for something that happens.
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Timers count milliseconds, and to the kernel less than one is none.
pub const SHORTEST: Duration = Duration::from_millis(1);

/// A deadline, or the time between two looks: from 1ms to 24h.
pub fn parse(text: &str) -> Result<Duration, String> {
    checked(text, &(SHORTEST..=DAY))
}

/// The parser of an option that allows other times.
pub fn within(
    allowed: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| checked(text, &allowed)
}

fn checked(text: &str, allowed: &RangeInclusive<Duration>) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if allowed.contains(&time) => Ok(time),
        Ok(_) => {
            let [least, most] =
                [allowed.start(), allowed.end()].map(|time| humantime::format_duration(*time));
            Err(format!("must be from {least} to {most}"))
        }
        Err(error) => Err(format!("{error}; write for example 20s or 500ms")),
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, Duration, SHORTEST, parse, within};

    #[test]
    fn the_limits_themselves_are_allowed() {
        assert_eq!(["1ms", "24h"].map(parse), [Ok(SHORTEST), Ok(DAY)]);
        assert_eq!(within(Duration::ZERO..=SHORTEST)("0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn what_is_out_of_range_is_told_with_the_range() {
        for bad in ["0s", "999us", "24h 1ns", "25d", "300000000000y"] {
            assert_eq!(parse(bad), Err("must be from 1ms to 1day".to_owned()), "{bad}");
        }
        assert_eq!(within(Duration::ZERO..=SHORTEST)("2ms"), Err("must be from 0s to 1ms".to_owned()));
    }

    #[test]
    fn what_is_no_time_is_told_with_one() {
        for bad in ["", "soon", "-1s", "10", "584554530873y", "99999999999999999999s"] {
            assert!(
                parse(bad).is_err_and(|error| error.ends_with("write for example 20s or 500ms")),
                "{bad}"
            );
        }
    }
}
