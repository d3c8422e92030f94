//! A failure that lasts is told once a minute: every retry would fill the log of an outage.

use std::time::{Duration, Instant};

const REMIND: Duration = Duration::from_secs(60);

/// The failure that was told last, and when.
#[derive(Debug, Default)]
pub(crate) struct Told(Option<(String, Instant)>);

impl Told {
    /// Whether this failure should be told now.
    pub(crate) fn is_news(&mut self, failure: &str, now: Instant) -> bool {
        let told = self
            .0
            .as_ref()
            .is_some_and(|(text, at)| text == failure && now.saturating_duration_since(*at) < REMIND);
        if !told {
            self.0 = Some((failure.to_owned(), now));
        }
        !told
    }

    /// It is over; the same failure is news again.
    pub(crate) fn is_over(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Told;

    #[test]
    fn a_failure_that_lasts_is_told_once_a_minute() {
        let (mut told, start) = (Told::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let heard = (0..600).filter(|seconds| told.is_news("no route", at(*seconds))).count();
        assert_eq!(heard, 10);
        assert!(told.is_news("forbidden", at(600)) && told.is_news("no route", at(601)));
        told.is_over();
        assert!(told.is_news("no route", at(602)));
    }
}
