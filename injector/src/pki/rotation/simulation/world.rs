//! The replicas, what they share, the API servers that verify them, and the time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use crate::pki::{Authorities, Budget, Bundle, Clock, Keep, Leaf, Phase, Profile, Publication, Rotation};

const NAME: &str = "remora-injector.remora-system.svc";

/// xorshift64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    pub(super) fn up_to(&mut self, most: Duration) -> Duration {
        most * u32::try_from(self.below(1_001)).unwrap() / 1_000
    }
}

/// What the API server keeps: two objects with their versions.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) secret: Option<BTreeMap<String, Vec<u8>>>,
    pub(super) secret_version: u64,
    /// What the Secret of that version was parsed to.
    parsed: Option<(u64, Authorities)>,
    pub(super) bundle: Vec<u8>,
    bundle_version: u64,
    /// Earlier bundles, with when they were replaced.
    former: VecDeque<(SystemTime, Vec<u8>)>,
    pub(super) writes: usize,
}

/// The next call that a replica makes.
enum Call {
    ReadSecret,
    WriteSecret(u64, Authorities),
    ReadBundle,
    WriteBundle(u64, Bundle),
}

pub(super) struct Replica {
    rotation: Rotation,
    publication: Publication,
    budget: Budget,
    clock: Clock,
    served: Option<Leaf>,
    call: Call,
    pub(super) wakes: SystemTime,
    /// Cut off until then.
    away: SystemTime,
    /// Its first leaf is known to every API server from then on.
    pub(super) known: Option<SystemTime>,
}

pub(super) struct World {
    seed: u64,
    pub(super) random: Random,
    pub(super) profile: Profile,
    pub(super) interval: Duration,
    settling: Duration,
    pub(super) now: SystemTime,
    start: (SystemTime, Instant),
    pub(super) shared: Shared,
    pub(super) replicas: Vec<Replica>,
    /// Foreign hands were in the bundle; until then what is served may be unknown.
    pub(super) excused: SystemTime,
    pub(super) signers: BTreeSet<Vec<u8>>,
    pub(super) phases: Vec<Phase>,
    pub(super) checks: usize,
    /// What was verified last, and when: nothing but time passes in between.
    verified: (u64, Vec<Option<SystemTime>>, SystemTime),
}

impl World {
    /// Replicas that start at once; their own clocks are off by so much.
    pub(super) fn new(seed: u64, profile: Profile, clocks: &[(bool, Duration)]) -> Self {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut world = Self {
            seed,
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            profile,
            interval: (profile.ca_lifetime / 500).max(Duration::from_secs(2)),
            settling: profile.settling(profile.ca_lifetime),
            now,
            start: (now, Instant::now()),
            shared: Shared::default(),
            replicas: Vec::new(),
            excused: now,
            signers: BTreeSet::new(),
            phases: Vec::new(),
            checks: 0,
            verified: (0, Vec::new(), now),
        };
        for (ahead, off) in clocks {
            let replica = world.replica(if *ahead { now + *off } else { now - *off });
            world.replicas.push(replica);
        }
        world
    }

    pub(super) fn two(seed: u64, profile: Profile) -> Self {
        Self::new(seed, profile, &[(true, Duration::ZERO), (true, Duration::ZERO)])
    }

    fn replica(&self, clock: SystemTime) -> Replica {
        Replica {
            rotation: Rotation::new(self.profile, vec![NAME.to_owned()]),
            publication: Publication::new(Keep::Ours, self.profile),
            budget: Budget::new(self.profile.write_interval()),
            clock: Clock::new(clock, self.instant()),
            served: None,
            call: Call::ReadSecret,
            wakes: self.now,
            away: self.now,
            known: None,
        }
    }

    fn instant(&self) -> Instant {
        self.start.1 + self.now.duration_since(self.start.0).unwrap()
    }

    /// Between two checks of a replica.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// How old the bundle of an API server may be.
    pub(super) fn lag(&self) -> Duration {
        self.settling * 4 / 5
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(index) = self.next_before(end) {
            self.now = self.now.max(self.replicas[index].wakes);
            self.act(index);
            self.verify_changes();
        }
        self.now = end;
        self.verify_all();
    }

    fn next_before(&self, end: SystemTime) -> Option<usize> {
        let next = (0..self.replicas.len()).min_by_key(|index| self.replicas[*index].wakes)?;
        (self.replicas[next].wakes < end).then_some(next)
    }

    /// One call of one replica.
    fn act(&mut self, index: usize) {
        let latency = self.random.up_to(Duration::from_millis(200));
        let (now, instant, interval) = (self.now, self.instant(), self.interval());
        let replica = &mut self.replicas[index];
        if replica.away > now {
            // Calls fail; the leaf is looked after.
            replica.call = Call::ReadSecret;
            replica.renew(instant);
            replica.rest(now, instant, interval);
            return;
        }
        let whole = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        replica.clock.heard(SystemTime::UNIX_EPOCH + Duration::from_secs(whole), instant);
        let finished = replica.act(&mut self.shared, now, instant);
        if finished {
            replica.renew(instant);
            replica.rest(now, instant, interval);
            self.checks += 1;
            self.observe(index);
        } else {
            replica.wakes = now + latency;
        }
    }

    fn observe(&mut self, index: usize) {
        let replica = &self.replicas[index];
        if let Some(leaf) = &replica.served {
            self.signers.insert(leaf.chain()[1].to_vec());
        }
        let phase = replica.rotation.phase(&replica.publication.bundle());
        if index == 0 && self.phases.last() != Some(&phase) {
            self.phases.push(phase);
        }
    }

    fn verify_changes(&mut self) {
        let leaves = self.replicas.iter().map(|replica| Some(replica.served.as_ref()?.validity().not_after));
        let (bundle, leaves) = (self.shared.bundle_version, leaves.collect::<Vec<_>>());
        let (last_bundle, last_leaves, at) = &self.verified;
        let is_due = self.now.duration_since(*at).unwrap() >= self.profile.leaf_lifetime / 20;
        if is_due || *last_bundle != bundle || *last_leaves != leaves {
            self.verified = (bundle, leaves, self.now);
            self.verify_all();
        }
    }

    /// The invariant.
    fn verify_all(&mut self) {
        let (now, lag) = (self.now, self.lag());
        while self.shared.former.front().is_some_and(|(replaced, _)| *replaced + lag < now) {
            self.shared.former.pop_front();
        }
        let bundle = Bundle::parse(&self.shared.bundle);
        assert!(bundle.len() <= 4, "seed {}: the bundle grows: {}", self.seed, bundle.len());
        for (index, replica) in self.replicas.iter_mut().enumerate() {
            let Some(leaf) = &replica.served else { continue };
            let known = *replica.known.get_or_insert(now + lag);
            if now < known || now < self.excused {
                continue;
            }
            let current = bundle.verifies(leaf.chain(), NAME, now);
            let by_former = self
                .shared
                .former
                .iter()
                .map(|(_, former)| Bundle::parse(former).verifies(leaf.chain(), NAME, now));
            for verified in by_former.chain([current]) {
                let day = now.duration_since(self.start.0).unwrap().as_secs_f64() / 86_400.0;
                assert!(verified.is_ok(), "seed {}: replica {index}, day {day}: {verified:?}", self.seed);
            }
        }
    }

    /// Somebody else writes the bundle.
    pub(super) fn overwrite(&mut self, bundle: &[u8]) {
        let now = self.now;
        self.shared.write_bundle(now, bundle.to_vec());
    }

    pub(super) fn is_published(&self) -> bool {
        let bundle = Bundle::parse(&self.shared.bundle);
        self.replicas.iter().all(|replica| {
            let leaf = replica.served.as_ref();
            leaf.is_some_and(|leaf| bundle.verifies(leaf.chain(), NAME, self.now).is_ok())
        })
    }

    /// A replica that starts anew.
    pub(super) fn restart(&mut self, index: usize) {
        let replica = self.replica(self.now);
        self.replicas[index] = replica;
    }

    /// Cuts a replica off, for an eighth of an authority's life at most. One that has just come back is left alone: a
    /// longer absence is not promised to be harmless.
    pub(super) fn cut_off(&mut self, index: usize, time: Duration) {
        let (now, back) = (self.now, 2 * self.interval);
        let replica = &mut self.replicas[index];
        if replica.away + back <= now {
            replica.away = now + time;
        }
    }

    pub(super) fn run_until(&mut self, phase: Phase) {
        let step = self.profile.ca_lifetime / 1_000;
        for _ in 0..2_000 {
            let replica = &self.replicas[0];
            if replica.served.is_some() && replica.rotation.phase(&replica.publication.bundle()) == phase {
                return;
            }
            self.run(step);
        }
        panic!("seed {}: never {phase:?}, but {:?}", self.seed, self.phases);
    }
}

impl Shared {
    fn authorities(&mut self) -> Option<Authorities> {
        let (data, version) = (self.secret.as_ref()?, self.secret_version);
        if self.parsed.as_ref().is_none_or(|(parsed, _)| *parsed != version) {
            self.parsed = Some((version, Authorities::parse(data).unwrap()));
        }
        self.parsed.as_ref().map(|(_, authorities)| authorities.clone())
    }

    fn write_bundle(&mut self, now: SystemTime, bundle: Vec<u8>) {
        let former = std::mem::replace(&mut self.bundle, bundle);
        self.former.push_back((now, former));
        self.bundle_version += 1;
    }
}

impl Replica {
    /// Makes the next call; true when the check is at its end.
    fn act(&mut self, shared: &mut Shared, truth: SystemTime, instant: Instant) -> bool {
        let now = self.clock.time(instant);
        match std::mem::replace(&mut self.call, Call::ReadSecret) {
            Call::ReadSecret => {
                let found = shared.authorities();
                let step = self
                    .rotation
                    .step(now, found.as_ref(), &self.publication.settled(now, self.rotation.settling()))
                    .unwrap();
                self.call = match step {
                    Some((_, wanted)) => Call::WriteSecret(shared.secret_version, wanted),
                    None => {
                        self.rotation.stored(found.unwrap());
                        Call::ReadBundle
                    }
                };
            }
            Call::WriteSecret(version, wanted) => {
                if version == shared.secret_version {
                    wanted.write(shared.secret.get_or_insert_default());
                    shared.secret_version += 1;
                    self.rotation.stored(wanted);
                    self.call = Call::ReadBundle;
                }
            }
            Call::ReadBundle => {
                let (needed, published) = (self.rotation.needed(), vec![shared.bundle.clone()]);
                let wanted = self.publication.wanted(now, &published, &needed);
                self.publication.seen(now, &published, &needed);
                if wanted.pem().as_bytes() == shared.bundle || self.budget.take(now).is_err() {
                    return true;
                }
                self.call = Call::WriteBundle(shared.bundle_version, wanted);
            }
            Call::WriteBundle(version, wanted) => {
                if version != shared.bundle_version {
                    self.call = Call::ReadBundle;
                    return false;
                }
                shared.write_bundle(truth, wanted.pem().into_bytes());
                shared.writes += 1;
                self.publication.seen(now, std::slice::from_ref(&shared.bundle), &self.rotation.needed());
                return true;
            }
        }
        false
    }

    fn renew(&mut self, instant: Instant) {
        let now = self.clock.time(instant);
        if let Ok(Some(leaf)) =
            self.rotation.renew(now, &self.publication.settled(now, self.rotation.settling()))
        {
            self.served = Some(leaf);
        }
    }

    fn rest(&mut self, now: SystemTime, instant: Instant, interval: Duration) {
        let renewal = self.rotation.until_renewal(self.clock.time(instant)).filter(|time| !time.is_zero());
        self.wakes = now + renewal.map_or(interval, |renewal| renewal.min(interval));
    }
}
