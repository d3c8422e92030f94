//! Which traces are recorded: those that were begun so by whoever began them, and of those that begin here a share.

use super::context::Decision;

/// A share, of a million.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Share(u32);

const ALL: u32 = 1_000_000;

impl Share {
    /// Parses a percentage, with up to four digits after the point.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let remedy = || format!("`{text}` is no percentage; give a number from 0 to 100, such as 1 or 0.5");
        let percent: f64 = text.parse().map_err(|_| remedy())?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(remedy());
        }
        // In range, as was checked.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is at most a million"
        )]
        Ok(Self((percent * f64::from(ALL / 100)).round() as u32))
    }

    /// What holds for a trace. `chance` is below a million.
    pub(super) fn decide(self, given: Option<Decision>, chance: u32) -> Decision {
        given.unwrap_or(if chance < self.0 { Decision::Accept } else { Decision::Deny })
    }
}

/// Of where a trace is on the scale of shares.
pub(super) fn chance() -> u32 {
    fastrand::u32(..ALL)
}

#[cfg(test)]
mod tests {
    use super::{ALL, Decision, Share};

    #[test]
    fn a_share_is_a_percentage() {
        for (text, share) in
            [("0", 0), ("1", 10_000), ("0.5", 5_000), ("0.0001", 1), ("100", ALL), ("99.9999", ALL - 1)]
        {
            assert_eq!(Share::parse(text), Ok(Share(share)), "{text}");
        }
        for bad in ["", "-1", "101", "NaN", "inf", "1%", "half"] {
            assert!(Share::parse(bad).unwrap_err().contains(&format!("`{bad}`")), "{bad}");
        }
    }

    #[test]
    fn a_given_decision_stands_and_of_the_others_a_share_is_recorded() {
        for share in [Share(0), Share(10), Share(ALL)] {
            for given in [Decision::Deny, Decision::Accept, Decision::Debug] {
                assert!((0..20).all(|chance| share.decide(Some(given), chance) == given));
            }
            let recorded = (0..20).filter(|chance| share.decide(None, *chance) == Decision::Accept).count();
            assert_eq!(recorded, usize::try_from(share.0).unwrap().min(20));
        }
        assert_eq!(Share(ALL).decide(None, ALL - 1), Decision::Accept);
    }
}
