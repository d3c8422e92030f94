//! When authorities and leaves take turns: pure rules of the time and of what is known.
//!
//! An authority passes through its life like this. At half of it a next one is made and published. When that one has been
//! in the bundle for the settling time it signs, and every replica takes a leaf of it. The former one stays in the bundle
//! until its last leaf has ended, even that of a replica which was cut off from the API server for an eighth of the
//! authority's life. All times are fractions of the lifetimes, so a profile of minutes runs through the same
//! steps as one of months.

use std::time::{Duration, SystemTime};

use super::{Authorities, Ca, Leaf, PkiError};

/// Every API server learns of a change within seconds; where one lags more than this it has other troubles.
const LONGEST_SETTLING: Duration = Duration::from_secs(5 * 60);

/// An eighth of 90 days, and a little: authorities of somebody else's may live for decades.
const LONGEST_ABSENCE: Duration = Duration::from_secs(12 * 24 * 3600);

/// Between two writes where somebody undoes ours.
const LONGEST_WRITE_INTERVAL: Duration = Duration::from_secs(30);

/// How long things live.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// An authority.
    pub ca_lifetime: Duration,
    /// A leaf.
    pub leaf_lifetime: Duration,
}

impl Profile {
    /// How long an authority is published before it signs in place of one that was made for `life`, which may have been
    /// before the lifetime was changed.
    pub fn settling(&self, life: Duration) -> Duration {
        LONGEST_SETTLING.min(life.min(self.ca_lifetime) / 20)
    }

    /// How long an authority that was made for `life` stays published after it signs no more: a replica that was cut off
    /// then, for an eighth of that life, sees the other one, lets it settle, and serves its last leaf to the end.
    pub fn grace(&self, life: Duration) -> Duration {
        LONGEST_ABSENCE.min(life / 8) + 2 * self.settling(life) + self.leaf_lifetime
    }

    /// The steady rate of writes.
    pub fn write_interval(&self) -> Duration {
        LONGEST_WRITE_INTERVAL.min(self.ca_lifetime / 40)
    }

    /// When the next one is made. An authority that was made for longer than is wanted now is held to what is wanted.
    fn half_life(&self, ca: &Ca) -> SystemTime {
        ca.made() + ca.life().min(self.ca_lifetime) / 2
    }
}

/// What is to be done about the stored authorities.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Nothing.
    Keep,
    /// None are stored: make one.
    Create,
    /// None are stored, and this replica still holds what was there: put it back.
    Restore,
    /// Half of its life is over: make the next one.
    MakeNext,
    /// The next one is known to whoever verifies: let it sign.
    Promote,
    /// It has ended, and there is no next one: make another.
    Replace,
}

impl Step {
    /// A name for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Create => "create",
            Self::Restore => "restore",
            Self::MakeNext => "make_next",
            Self::Promote => "promote",
            Self::Replace => "replace",
        }
    }
}

/// The next step for what was found stored, by a replica that holds what it found before.
///
/// An error is an authority that cannot be used and is not ours to replace: somebody else's, or one whose time has not
/// begun, which is a clock that is wrong.
pub(super) fn step(
    now: SystemTime,
    profile: &Profile,
    found: Option<&Authorities>,
    held: Option<&Authorities>,
    has_settled: impl Fn(&Ca) -> bool,
) -> Result<Step, PkiError> {
    let Some(Authorities { signing, next }) = found else {
        let usable = held.is_some_and(|held| held.signing.validity().contains(now));
        return Ok(if usable { Step::Restore } else { Step::Create });
    };
    let next = next.as_ref().filter(|next| next.validity().contains(now));
    if signing.is_ours() && signing.validity().has_ended(now) {
        return Ok(if next.is_some() { Step::Promote } else { Step::Replace });
    }
    signing.validity().check(now)?;
    Ok(match next {
        Some(next) if has_settled(next) => Step::Promote,
        None if signing.is_ours() && profile.half_life(signing) <= now => Step::MakeNext,
        Some(_) | None => Step::Keep,
    })
}

/// Whether a replica that signs with `current` should sign with `stored` from now on.
pub(super) fn should_switch(
    now: SystemTime,
    current: Option<&Ca>,
    stored: &Ca,
    has_settled: impl Fn(&Ca) -> bool,
) -> bool {
    let Some(current) = current else { return true };
    if current.is(stored) || !stored.validity().contains(now) {
        return false;
    }
    has_settled(stored) || !current.validity().contains(now)
}

/// Whether it is time for a new leaf: two thirds of its life are over, which leaves a third for whatever goes wrong; or the
/// clock says that it is not made yet, which happens after a clock was wrong. Where the authority allows no later end, a
/// new one would gain nothing.
pub(super) fn should_renew(now: SystemTime, leaf: &Leaf, signer: &Ca, lifetime: Duration) -> bool {
    let end = (now + lifetime).min(signer.validity().not_after);
    now < leaf.validity().not_before || (renewal(leaf) <= now && leaf.validity().not_after < end)
}

/// When a leaf is to be replaced.
pub(super) fn renewal(leaf: &Leaf) -> SystemTime {
    let life = leaf.validity().not_after.duration_since(leaf.validity().not_before).unwrap_or_default();
    leaf.validity().not_before + life * 2 / 3
}
