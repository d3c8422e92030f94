//! Replicas on a virtual clock, for months in a second: whatever happens to them and to what they share, every chain that is
//! served is verified by every bundle that an API server may still have.
//!
//! A replica is driven as `bootstrap` drives it, one call of the API server at a time, in an order that a seed decides. The
//! API servers of the simulation verify by what was published up to most of the settling time ago.

mod world;

use std::time::Duration;

use self::world::World;
use super::{Bundle, Phase, Profile};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

const MONTHS: Profile = Profile { ca_lifetime: Duration::from_secs(90 * 24 * 3600), leaf_lifetime: DAY };
const MINUTES: Profile =
    Profile { ca_lifetime: Duration::from_secs(120), leaf_lifetime: Duration::from_secs(20) };

#[test]
fn authorities_take_turns_and_every_chain_is_known() {
    for (seed, profile) in [(1, MONTHS), (2, MINUTES), (3, MINUTES)] {
        let mut world = World::two(seed, profile);
        world.run(profile.ca_lifetime * 3);
        assert!((5..=7).contains(&world.signers.len()), "seed {seed}: {}", world.signers.len());
        let turns: Vec<_> = world.phases.iter().skip_while(|phase| **phase != Phase::Steady).collect();
        let expected = [Phase::Steady, Phase::Settling, Phase::Retiring].iter().cycle();
        assert!(
            turns.len() >= 15 && turns.iter().zip(expected).all(|(is, should)| **is == *should),
            "{turns:?}"
        );
        let writes = world.shared.writes;
        assert!(
            writes <= 2 * world.signers.len(),
            "seed {seed}: {writes} writes, one to add and one to drop each"
        );
    }
}

#[test]
fn replicas_that_start_at_once_share_one_authority() {
    for seed in 1..100 {
        let mut world = World::two(seed, MONTHS);
        world.run(HOUR);
        assert_eq!((world.signers.len(), world.shared.secret_version), (1, 1), "seed {seed}");
        assert_eq!(Bundle::parse(&world.shared.bundle).len(), 1, "seed {seed}");
    }
}

/// Hours in any phase, and for one replica an eighth of an authority's life.
#[test]
fn an_api_server_that_is_away_breaks_nothing() {
    for seed in 1..9 {
        let mut world = World::two(seed, MONTHS);
        world.run(DAY);
        for _ in 0..6 {
            let quiet = world.random.up_to(30 * DAY);
            world.run(quiet);
            let hours = world.random.up_to(40 * HOUR);
            world.cut_off(0, hours);
            world.cut_off(1, hours);
            world.run(hours + 3 * world.interval());
            let one = world.random.up_to(MONTHS.ca_lifetime / 8);
            world.cut_off(0, one);
            world.run(one);
        }
        assert!(world.signers.len() >= 2, "seed {seed}");
    }
    for phase in [Phase::Steady, Phase::Settling, Phase::Retiring] {
        let mut world = World::two(77, MONTHS);
        world.run_until(phase);
        world.cut_off(0, MONTHS.ca_lifetime / 8);
        world.run(MONTHS.ca_lifetime / 8 + DAY);
        assert!(world.is_published(), "{phase:?}");
    }
}

/// Even when nothing could be rotated before the end: the first replica to come back makes what is needed.
#[test]
fn an_authority_that_ended_is_replaced() {
    let mut world = World::two(5, MONTHS);
    world.run(DAY);
    world.cut_off(0, 100 * DAY);
    world.cut_off(1, 100 * DAY);
    world.run(88 * DAY);
    world.excused = world.now + 13 * DAY;
    world.run(12 * DAY);
    world.excused = world.now + 3 * world.interval() + world.lag();
    world.run(200 * DAY);
    assert!(world.signers.len() >= 4);
}

/// It has no leaf of before, so it serves from what is stored, at once.
#[test]
fn a_replica_that_starts_in_any_phase_is_known() {
    let mut world = World::two(8, MINUTES);
    world.run(MINUTE);
    for _ in 0..80 {
        let quiet = world.random.up_to(Duration::from_secs(6));
        world.run(quiet);
        world.restart(1);
        world.replicas[1].known = Some(world.now);
    }
    assert!(world.signers.len() >= 4, "{}", world.signers.len());
}

#[test]
fn a_secret_that_is_deleted_in_any_phase_is_made_up_for() {
    for (phase, seed) in [(Phase::Steady, 1), (Phase::Settling, 2), (Phase::Retiring, 3)] {
        let mut world = World::two(seed, MONTHS);
        world.run_until(phase);
        for replica in 0..=2 {
            // Who comes first: one that knows what was there, or, for the last time, one that starts anew.
            if replica == 2 {
                world.restart(0);
            }
            world.shared.secret = None;
            world.shared.secret_version += 1;
            world.run(3 * world.interval());
            assert!(world.shared.secret.is_some() && world.is_published(), "{phase:?}");
        }
        world.run(100 * DAY);
        assert!(Bundle::parse(&world.shared.bundle).len() <= 3, "{phase:?}");
    }
}

#[test]
fn a_wiped_or_mangled_bundle_is_put_right_by_the_next_check() {
    for (phase, seed) in [(Phase::Steady, 1), (Phase::Settling, 2), (Phase::Retiring, 3)] {
        let mut world = World::two(seed, MONTHS);
        world.run_until(phase);
        for foreign in [b"".as_slice(), b"garbage", b"\xff\xfe"] {
            let check = 2 * world.interval();
            world.excused = world.now + check + world.lag();
            world.overwrite(foreign);
            world.run(check);
            assert!(world.is_published(), "{phase:?}");
            world.run(DAY);
        }
        world.run(60 * DAY);
    }
}

/// Whoever writes after each of our writes does not make us write without end.
#[test]
fn a_fight_over_the_bundle_is_bounded() {
    let mut world = World::two(9, MONTHS);
    world.run(DAY);
    let before = world.shared.writes;
    world.excused = world.now + 2 * DAY;
    // Every second, while both replicas look at it every 2 s as they do in earnest.
    for _ in 0..600 {
        world.overwrite(b"garbage");
        for replica in &mut world.replicas {
            replica.wakes = replica.wakes.min(world.now + Duration::from_secs(1));
        }
        world.run(Duration::from_secs(2));
    }
    let writes = world.shared.writes - before;
    // In 20 minutes two replicas have a burst of 5 each, and one write each 30 s.
    assert!((40..=92).contains(&writes), "{writes}");
    world.run(DAY);
    assert!(world.is_published());
}

#[test]
fn a_clock_that_is_a_day_off_changes_nothing() {
    for ahead in [true, false] {
        for profile in [MONTHS, MINUTES] {
            let mut world = World::new(4, profile, &[(ahead, DAY), (true, Duration::ZERO)]);
            world.run(profile.ca_lifetime * 2);
            assert!((3..=5).contains(&world.signers.len()), "{ahead}: {}", world.signers.len());
        }
    }
}

/// Everything at once.
#[test]
fn nothing_that_happens_to_replicas_makes_a_chain_unknown() {
    for seed in 1..13 {
        let profile = if seed % 2 == 0 { MINUTES } else { MONTHS };
        let mut world = World::two(seed, profile);
        world.run(world.interval() * 2);
        for _ in 0..30 {
            let quiet = world.random.up_to(profile.ca_lifetime / 8);
            world.run(quiet);
            match world.random.below(4) {
                0 => {
                    let index = usize::from(world.random.below(2) == 0);
                    world.restart(index);
                }
                1 => {
                    world.shared.secret = None;
                    world.shared.secret_version += 1;
                }
                2 => {
                    let index = usize::from(world.random.below(2) == 0);
                    let away = world.random.up_to(profile.ca_lifetime / 8);
                    world.cut_off(index, away);
                }
                _ => {
                    let away = world.random.up_to(profile.leaf_lifetime.min(profile.ca_lifetime / 8));
                    world.cut_off(0, away);
                    world.cut_off(1, away);
                }
            }
        }
        assert!(world.signers.len() >= 2, "seed {seed}: {}", world.signers.len());
        assert!(world.checks > 100, "seed {seed}: {} checks", world.checks);
    }
}

/// A profile of an older version, or another one than before: an authority that was made for ten years is held to what is
/// wanted now.
#[test]
fn an_authority_that_was_made_for_longer_is_rotated_as_wanted_now() {
    let years = Profile { ca_lifetime: 3_650 * DAY, ..MONTHS };
    let mut world = World::two(6, years);
    world.run(60 * DAY);
    world.profile = MONTHS;
    world.restart(0);
    world.run(MINUTE * 30);
    world.restart(1);
    world.run(10 * DAY);
    assert_eq!(world.signers.len(), 2);
}

/// Replicas of one profile are replaced, one after the other, by replicas of another one: while both are there, neither
/// takes from the other what it serves from.
#[test]
fn a_rollout_of_other_lifetimes_breaks_nothing() {
    for seed in 1..6 {
        let mut world = World::two(seed, MINUTES);
        for profile in [MONTHS, MINUTES, MONTHS] {
            world.profile = profile;
            for replica in 0..2 {
                let overlap = world.random.up_to(3 * MINUTE);
                world.restart(replica);
                world.run(overlap);
            }
            world.run(10 * MINUTE);
        }
        assert!(world.signers.len() >= 5, "seed {seed}: {}", world.signers.len());
    }
}
