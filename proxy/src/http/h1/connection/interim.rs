//! How many interim responses a server may send for a request: nothing else bounds them, and each costs more than it is long.
//!
//! Pure: time is an argument. Invariant: one each time that something of interest may have happened is never too many.

use std::time::Instant;

use crate::http::h1::Refusal;

/// At once.
pub(crate) const MOST: u32 = 16;
/// And so many more each second.
const EACH_SECOND: u32 = 20;

/// Of one request.
#[derive(Debug)]
pub(super) struct Interims {
    since: Instant,
    sent: u32,
}

impl Interims {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, sent: 0 }
    }

    /// One more has come.
    pub(super) fn another(&mut self, now: Instant) -> Result<(), Refusal> {
        self.sent = self.sent.saturating_add(1);
        let seconds = now.saturating_duration_since(self.since).as_secs();
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        if self.sent <= MOST.saturating_add(seconds.saturating_mul(EACH_SECOND)) {
            return Ok(());
        }
        Err(Refusal::InterimFlood)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{EACH_SECOND, Interims, MOST, Refusal};

    #[test]
    fn a_flood_ends_and_what_comes_with_time_does_not() {
        let begun = Instant::now();
        let mut interims = Interims::new(begun);
        for _ in 0..MOST {
            interims.another(begun).unwrap();
        }
        assert_eq!(interims.another(begun), Err(Refusal::InterimFlood));
        let mut interims = Interims::new(begun);
        for second in 1..100_000 {
            for _ in 0..EACH_SECOND {
                interims.another(begun + Duration::from_secs(second)).unwrap();
            }
        }
    }
}
