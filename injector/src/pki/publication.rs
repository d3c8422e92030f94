//! What `caBundle` should say, from what it says now, what is needed, and what was seen there before.
//!
//! Invariants: merging never takes away an authority that another replica may still serve from, so replicas that know
//! different ones do not fight over the field; and merging what is merged changes nothing.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use x509_parser::prelude::{FromDer, X509Certificate};

use super::ca::is_named_ours;
use super::{Bundle, Profile, Validity};

/// Which authorities stay in the bundle for a while although this replica does not need them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keep {
    /// Those that bear our name.
    Ours,
    /// Any: where certificates come from files, their authorities have any name.
    Any,
}

/// The published bundle as one replica sees it over time.
pub struct Publication {
    keep: Keep,
    profile: Profile,
    sightings: BTreeMap<Vec<u8>, Sighting>,
    confirmed: Bundle,
}

#[derive(Clone, Copy)]
struct Sighting {
    /// In every entry since then.
    published: SystemTime,
    /// Needed by nothing that this replica knows of since then.
    unneeded: Option<SystemTime>,
}

impl Publication {
    /// Nothing was seen yet.
    pub fn new(keep: Keep, profile: Profile) -> Self {
        Self { keep, profile, sightings: BTreeMap::new(), confirmed: Bundle::default() }
    }

    /// What should be published: what is needed, and what somebody may still serve from.
    pub fn wanted(&self, now: SystemTime, published: &[Vec<u8>], needed: &Bundle) -> Bundle {
        let may_be_served = |authority: &[u8]| {
            let unneeded = self.sightings.get(authority).and_then(|sighting| sighting.unneeded);
            self.is_kind(authority, |validity| {
                let grace = self.profile.grace(validity.life());
                validity.contains(now) && !unneeded.is_some_and(|since| is_over(since, grace, now))
            })
        };
        published
            .iter()
            .fold(needed.clone(), |wanted, entry| wanted.or(&Bundle::parse(entry).only(may_be_served)))
    }

    /// The entries were seen to say this.
    pub fn seen(&mut self, now: SystemTime, published: &[Vec<u8>], needed: &Bundle) {
        let bundle = in_all(published);
        self.sightings.retain(|authority, _| bundle.contains(authority));
        for authority in bundle.iter() {
            let first = Sighting { published: now, unneeded: None };
            let sighting = self.sightings.entry(authority.to_vec()).or_insert(first);
            // What was seen in the future was seen before the clock was set back.
            sighting.published = sighting.published.min(now);
            sighting.unneeded = (!needed.contains(authority))
                .then(|| sighting.unneeded.map_or(now, |unneeded| unneeded.min(now)));
        }
        self.confirmed = bundle.and(needed);
    }

    /// There are no entries any more.
    pub fn gone(&mut self) {
        self.sightings.clear();
        self.confirmed = Bundle::default();
    }

    /// Whether the entries were changed by somebody who is not a replica of ours: what was there and is still needed is
    /// gone, or something else is there.
    pub fn is_foreign(&self, published: &[Vec<u8>], needed: &Bundle) -> bool {
        let expected = self.confirmed.and(needed);
        let is_ours = |entry: &Vec<u8>| {
            let bundle = Bundle::parse(entry);
            bundle.has_all(&expected)
                && bundle.pem().as_bytes() == entry
                && bundle
                    .iter()
                    .all(|authority| needed.contains(authority) || self.is_kind(authority, |_| true))
        };
        !self.confirmed.is_empty() && !published.iter().all(is_ours)
    }

    /// The authorities that have been published for the settling time: every API server has had the time to learn them.
    pub fn settled(&self, now: SystemTime, settling: Duration) -> Bundle {
        self.of(|sighting| is_over(sighting.published, settling, now))
    }

    /// Everything that was seen in every entry.
    pub fn bundle(&self) -> Bundle {
        self.of(|_| true)
    }

    fn of(&self, condition: impl Fn(&Sighting) -> bool) -> Bundle {
        let mut bundle = Bundle::default();
        for (authority, _) in self.sightings.iter().filter(|(_, sighting)| condition(sighting)) {
            bundle.insert(authority.clone());
        }
        bundle
    }

    /// Whether it is an authority of the kind that is kept.
    fn is_kind(&self, certificate: &[u8], valid: impl Fn(&Validity) -> bool) -> bool {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
        let ours = match self.keep {
            Keep::Ours => is_named_ours(&parsed),
            Keep::Any => true,
        };
        ours && parsed.is_ca() && valid(&Validity::of(&parsed))
    }
}

/// What an API server verifies by, whichever entry it calls.
fn in_all(published: &[Vec<u8>]) -> Bundle {
    let bundles = published.iter().map(|entry| Bundle::parse(entry));
    bundles.reduce(|all, bundle| all.and(&bundle)).unwrap_or_default()
}

fn is_over(begin: SystemTime, duration: Duration, now: SystemTime) -> bool {
    now.duration_since(begin).is_ok_and(|since| since >= duration)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Bundle, Keep, Profile, Publication};
    use crate::pki::Ca;

    const MINUTE: Duration = Duration::from_secs(60);

    const SETTLING: Duration = Duration::from_secs(5 * 60);
    /// Grace: 125 minutes of absence, twice 5 to settle, and 1 of a leaf.
    const PROFILE: Profile =
        Profile { ca_lifetime: Duration::from_secs(1_000 * 60), leaf_lifetime: Duration::from_secs(60) };

    fn at(minutes: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * 24 * 3600) + minutes * MINUTE
    }

    fn ca() -> Ca {
        Ca::generate(at(0), 1_000 * MINUTE).unwrap()
    }

    fn only(ca: &Ca) -> Bundle {
        Bundle::of([ca.certificate()])
    }

    fn text(bundle: &Bundle) -> Vec<u8> {
        bundle.pem().into_bytes()
    }

    fn publication() -> Publication {
        Publication::new(Keep::Ours, PROFILE)
    }

    fn foreign() -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.self_signed(&key).unwrap().pem().replace('\r', "").into_bytes()
    }

    #[test]
    fn replicas_with_different_authorities_agree_on_one_bundle() {
        let (one, two) = (only(&ca()), only(&ca()));
        let first = publication().wanted(at(0), &[vec![]], &one);
        let second = publication().wanted(at(0), &[text(&first)], &two);
        let third = publication().wanted(at(0), &[text(&second)], &one);
        assert_eq!((second.clone(), second.len()), (third, 2));
    }

    /// Whoever put an authority of their own into the Secret need not call it by our name.
    #[test]
    fn what_is_needed_is_published_whatever_its_name() {
        let other = Bundle::parse(&foreign());
        assert_eq!(publication().wanted(at(0), &[vec![]], &other), other);
    }

    #[test]
    fn garbage_foreign_and_ended_certificates_go() {
        let (old, needed) = (only(&ca()), only(&Ca::generate(at(900), 1_000 * MINUTE).unwrap()));
        let foreign = foreign();
        let published = [b"garbage".to_vec(), foreign.clone(), text(&old), b"\xff\xfe".to_vec()];
        assert_eq!(publication().wanted(at(999), &published, &needed), needed.or(&old));
        assert_eq!(publication().wanted(at(1_000), &published, &needed), needed);
        let any = Publication::new(Keep::Any, PROFILE);
        assert_eq!(
            any.wanted(at(0), std::slice::from_ref(&foreign), &needed),
            needed.or(&Bundle::parse(&foreign))
        );
    }

    #[test]
    fn an_authority_settles_while_every_entry_has_it() {
        let mut publication = publication();
        let needed = only(&ca());
        let good = text(&needed);
        publication.seen(at(0), &[good.clone(), vec![]], &needed);
        publication.seen(at(1), &[good.clone(), good.clone()], &needed);
        assert!(publication.settled(at(5), SETTLING).is_empty());
        assert_eq!(publication.settled(at(6), SETTLING), needed);
        publication.seen(at(7), &[vec![], good.clone()], &needed);
        publication.seen(at(8), &[good.clone(), good], &needed);
        assert!(publication.settled(at(12), SETTLING).is_empty());
        assert_eq!(publication.settled(at(13), SETTLING), needed);
    }

    #[test]
    fn what_nobody_needs_goes_after_its_grace() {
        let mut publication = publication();
        let (old, new) = (only(&ca()), only(&ca()));
        let both = text(&old.or(&new));
        publication.seen(at(0), std::slice::from_ref(&both), &old.or(&new));
        publication.seen(at(100), std::slice::from_ref(&both), &new);
        assert_eq!(publication.wanted(at(235), std::slice::from_ref(&both), &new), old.or(&new));
        assert_eq!(publication.wanted(at(236), std::slice::from_ref(&both), &new), new);
        // It is needed again: a Secret was put back.
        publication.seen(at(237), std::slice::from_ref(&both), &old);
        assert_eq!(publication.wanted(at(240), &[both], &old), old.or(&new));
    }

    #[test]
    fn replicas_are_not_foreign_and_others_are() {
        let mut publication = publication();
        let (old, new) = (only(&ca()), only(&ca()));
        assert!(!publication.is_foreign(&[vec![]], &old), "nothing was there before");
        publication.seen(at(0), &[text(&old)], &old);
        for ours in [&old, &old.or(&new)] {
            assert!(!publication.is_foreign(&[text(ours)], &old));
        }
        assert!(!publication.is_foreign(&[text(&new)], &new), "another replica dropped what is not needed");
        for theirs in [vec![], b"garbage".to_vec(), text(&new), [text(&old), foreign()].concat()] {
            assert!(publication.is_foreign(&[theirs], &old));
        }
    }
}
