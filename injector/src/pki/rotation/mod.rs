//! One replica's part in the rotation: which authorities it knows, which one it signs with, and the leaf it serves.
//!
//! Invariant: while it can be avoided nothing is served whose authority has not settled in the bundle; where it cannot,
//! which is at the first start and after the former authority's end, the stored one is served at once.

#[cfg(test)]
mod simulation;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::schedule::{self, Profile, Step};
use super::{Authorities, Bundle, Ca, Leaf, PkiError};

/// Where the rotation is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// One authority signs, and no other is published.
    Steady,
    /// Another one is published and does not sign yet.
    Settling,
    /// One that signs no more is still published.
    Retiring,
}

impl Phase {
    /// All of them, with their names.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Steady, "steady"), (Self::Settling, "settling"), (Self::Retiring, "retiring")];
}

/// A replica's authorities and leaf.
pub struct Rotation {
    profile: Profile,
    names: Vec<String>,
    held: Option<Authorities>,
    signer: Option<Arc<Ca>>,
    leaf: Option<Leaf>,
}

impl Rotation {
    /// A replica that knows nothing yet and will serve these names.
    pub fn new(profile: Profile, names: Vec<String>) -> Self {
        Self { profile, names, held: None, signer: None, leaf: None }
    }

    /// What to store in place of what was found; `None` where it is right.
    pub fn step(
        &self,
        now: SystemTime,
        found: Option<&Authorities>,
        settled: &Bundle,
    ) -> Result<Option<(Step, Authorities)>, PkiError> {
        let generate = || Ca::generate(now, self.profile.ca_lifetime);
        let held = self.held.as_ref();
        let step = schedule::step(now, &self.profile, found, held, |ca| settled.contains(ca.certificate()))?;
        let stored = match (step, found, held) {
            (Step::Keep, ..) => None,
            (Step::Restore, _, Some(held)) => Some(held.clone()),
            (Step::MakeNext, Some(found), _) => {
                Some(Authorities { next: Some(Arc::new(generate()?)), ..found.clone() })
            }
            (Step::Promote, Some(Authorities { next: Some(next), .. }), _) => {
                Some(Authorities { signing: next.clone(), next: None })
            }
            (Step::Create | Step::Restore | Step::MakeNext | Step::Promote | Step::Replace, ..) => {
                Some(Authorities::of(generate()?))
            }
        };
        Ok(stored.map(|stored| (step, stored)))
    }

    /// These are stored.
    pub fn stored(&mut self, authorities: Authorities) {
        self.held = Some(authorities);
    }

    /// What must be published: what is stored, and what signed the leaf that is served.
    pub fn needed(&self) -> Bundle {
        let held = self.held.iter().flat_map(|held| held.next.iter().chain([&held.signing]));
        Bundle::of(held.chain(&self.signer).map(|ca| ca.certificate()))
    }

    /// A new leaf, where it is time for one.
    pub fn renew(&mut self, now: SystemTime, settled: &Bundle) -> Result<Option<Leaf>, PkiError> {
        let Some(held) = &self.held else { return Ok(None) };
        let has_settled = |ca: &Ca| settled.contains(ca.certificate());
        let switch = schedule::should_switch(now, self.signer.as_deref(), &held.signing, has_settled);
        let signer = self.signer.as_ref().filter(|_| !switch).unwrap_or(&held.signing).clone();
        let lifetime = self.profile.leaf_lifetime;
        let renew = self.leaf.as_ref().is_none_or(|leaf| {
            switch || leaf.validity().has_ended(now) || schedule::should_renew(now, leaf, &signer, lifetime)
        });
        if !renew {
            return Ok(None);
        }
        let leaf = signer.issue(&self.names, now, lifetime)?;
        self.signer = Some(signer);
        self.leaf = Some(leaf.clone());
        Ok(Some(leaf))
    }

    /// How long another authority is to be published before it signs.
    pub fn settling(&self) -> Duration {
        let signing = self.held.iter().map(|held| &held.signing).chain(&self.signer);
        let life = signing.map(|ca| ca.life()).min().unwrap_or(self.profile.ca_lifetime);
        self.profile.settling(life)
    }

    /// How long until the leaf is to be renewed.
    pub fn until_renewal(&self, now: SystemTime) -> Option<Duration> {
        self.leaf.as_ref().map(|leaf| schedule::renewal(leaf).duration_since(now).unwrap_or_default())
    }

    /// When the authority that signs here ends.
    pub fn authority_ends(&self) -> Option<SystemTime> {
        self.signer.as_ref().map(|signer| signer.validity().not_after)
    }

    /// Where the rotation is, by what is published.
    pub fn phase(&self, published: &Bundle) -> Phase {
        let signs = |held: &Authorities| self.signer.as_ref().is_some_and(|signer| signer.is(&held.signing));
        match &self.held {
            Some(held) if held.next.is_some() || !signs(held) => Phase::Settling,
            Some(_) if !self.needed().has_all(published) => Phase::Retiring,
            Some(_) | None => Phase::Steady,
        }
    }
}
