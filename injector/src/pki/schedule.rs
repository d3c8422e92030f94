//! What is to be done next about certificates, as a pure function of the time and of what is known.
//!
//! A leaf is replaced when two thirds of its life are over, which leaves a third for an API server that is away; and when
//! the clock says that it is not valid yet, which happens after the clock was wrong.

use std::time::{Duration, SystemTime};

use x509_parser::prelude::X509Certificate;

/// From when to when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// Begin.
    pub not_before: SystemTime,
    /// End.
    pub not_after: SystemTime,
}

impl Validity {
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let time = |seconds: i64| {
            let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
            SystemTime::UNIX_EPOCH + since
        };
        let validity = certificate.validity();
        Self {
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
        }
    }

    /// Whether the time is within.
    pub fn contains(&self, now: SystemTime) -> bool {
        self.not_before <= now && now < self.not_after
    }

    fn renewal(&self) -> SystemTime {
        let life = self.not_after.duration_since(self.not_before).unwrap_or_default();
        self.not_before + life * 2 / 3
    }
}

/// What is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    /// Whether there is an authority.
    pub authority: bool,
    /// The leaf of that authority; its begin is when it was made.
    pub leaf: Option<Validity>,
    /// When the stored authority and the published bundle were last seen to be right.
    pub checked: Option<SystemTime>,
}

/// What to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Read the authority, or make one.
    LoadAuthority,
    /// Sign a new leaf and serve it.
    IssueLeaf,
    /// Look whether authority, bundle and TLS port are right, and put right what is not.
    Check,
    /// Nothing before so long.
    Wait(Duration),
}

/// The next action; `interval` is the time between two checks.
pub fn next(now: SystemTime, state: &State, interval: Duration) -> Action {
    if !state.authority {
        return Action::LoadAuthority;
    }
    let Some(leaf) = state.leaf.filter(|leaf| leaf.not_before <= now && now < leaf.renewal()) else {
        return Action::IssueLeaf;
    };
    // A check in the future is one before the clock was set back.
    let since = state.checked.and_then(|checked| now.duration_since(checked).ok());
    match since {
        Some(since) if since < interval => {
            let renewal = leaf.renewal().duration_since(now).unwrap_or_default();
            Action::Wait(renewal.min(interval - since))
        }
        Some(_) | None => Action::Check,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Action, State, Validity, next};

    const INTERVAL: Duration = Duration::from_secs(2);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    /// Runs the schedule on a virtual clock with actions that always succeed at once.
    fn run(lifetime: u64, end: u64) -> (usize, usize) {
        let (mut now, mut state) = (at(0), State::default());
        let (mut leaves, mut checks) = (0, 0);
        while now < at(end) {
            match next(now, &state, INTERVAL) {
                Action::LoadAuthority => state.authority = true,
                Action::IssueLeaf => {
                    let not_after = now + Duration::from_secs(lifetime);
                    state.leaf = Some(Validity { not_before: now, not_after });
                    leaves += 1;
                }
                Action::Check => {
                    state.checked = Some(now);
                    checks += 1;
                }
                Action::Wait(time) => {
                    assert!(time > Duration::ZERO && time <= INTERVAL, "{time:?}");
                    now += time;
                    let leaf = state.leaf.unwrap();
                    assert!(leaf.contains(now), "served after its end");
                }
            }
        }
        (leaves, checks)
    }

    #[test]
    fn from_nothing_to_served_and_checked() {
        assert_eq!(next(at(0), &State::default(), INTERVAL), Action::LoadAuthority);
        assert_eq!(run(86_400, 1), (1, 1));
    }

    #[test]
    fn leaves_are_renewed_at_two_thirds_of_their_life() {
        assert_eq!(run(30, 200).0, 10);
        assert_eq!(run(86_400, 86_400).0, 2);
    }

    #[test]
    fn a_clock_that_was_wrong_costs_one_more_leaf() {
        let leaf = Validity { not_before: at(86_400), not_after: at(2 * 86_400) };
        let state = State { authority: true, leaf: Some(leaf), checked: Some(at(86_400)) };
        assert_eq!(next(at(0), &state, INTERVAL), Action::IssueLeaf);
        let ahead = State { leaf: Some(Validity { not_before: at(0), not_after: at(60) }), ..state };
        assert_eq!(next(at(1), &ahead, INTERVAL), Action::Check);
        assert_eq!(next(at(61), &ahead, INTERVAL), Action::IssueLeaf);
    }
}
