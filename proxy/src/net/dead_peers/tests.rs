//! The judgement on a virtual clock: a kernel that asks by its own rules, and peers that answer or do not.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Pair, Sighting, Suspects, parse_limit};

const LIMIT: Duration = Duration::from_secs(20);

/// The kernel's longest time between two questions (TCP_RTO_MAX).
const LONGEST_RTO: u64 = 120_000;

fn pair() -> Pair {
    let address = |port| ([192, 0, 2, 1], port).into();
    Pair { local: address(15006), remote: address(40000) }
}

/// A connection on which something is on the way from the first millisecond on, which is asked for again after `rto`, twice
/// that time, and so on. Times are in milliseconds; the peer was last heard at 0.
struct Flight {
    rto: u64,
    /// How long after each question the peer answers, though it never acknowledges anything new; never, if it is dead.
    answers_after: Option<u64>,
    /// Whether it is a FIN alone, of which the kernel does not say when it was sent.
    is_fin: bool,
}

impl Flight {
    fn at(&self, now: u64) -> Sighting {
        let (mut asked, mut rto, mut heard) = (1, self.rto, 0);
        loop {
            if let Some(answer) =
                self.answers_after.map(|after| asked + after).filter(|answer| *answer <= now)
            {
                heard = answer;
            }
            if asked + rto > now {
                break;
            }
            asked += rto;
            rto = (rto * 2).min(LONGEST_RTO);
        }
        let ago = |time: u64| Duration::from_millis(now - time);
        Sighting {
            pair: pair(),
            unacked: 1,
            probes: 0,
            last_sent: ago(if self.is_fin { 0 } else { asked }),
            last_ack: ago(heard),
            rto: Duration::from_millis(rto),
        }
    }

    /// When it is found dead, if it is within the first hour; looks begin at `phase`.
    fn found_dead(&self, phase: u64) -> Option<u64> {
        let (mut suspects, start) = (Suspects::new(LIMIT), Instant::now());
        let step = suspects.interval().as_millis() as u64;
        (0..3_600_000 / step).map(|number| phase + number * step).find(|now| {
            let sighting = self.at(*now);
            let seen = Some(sighting).filter(|sighting| suspects.is_suspicious(sighting));
            !suspects.judge(start + Duration::from_millis(*now), seen.as_slice()).is_empty()
        })
    }
}

proptest! {
    #[test]
    fn a_dead_peer_is_found_a_little_after_the_limit(rto in 200_u64..3_000, phase in 1_u64..5_000, is_fin: bool) {
        let found = Flight { rto, answers_after: None, is_fin }.found_dead(phase);
        prop_assert!(found.is_some_and(|found| (20_000..=35_000).contains(&found)), "{found:?}");
    }

    #[test]
    fn a_peer_that_answers_and_takes_nothing_lives(
        rto in 200_u64..3_000,
        answers_after in 0_u64..3_000,
        phase in 1_u64..5_000,
    ) {
        let peer = Flight { rto, answers_after: Some(answers_after), is_fin: false };
        prop_assert_eq!(peer.found_dead(phase), None);
    }
}

#[test]
fn a_usual_dead_peer_is_found_within_25_seconds() {
    for phase in 1..5_000 {
        let found = Flight { rto: 200, answers_after: None, is_fin: false }.found_dead(phase);
        assert!(found.is_some_and(|found| found < 25_000), "looks from {phase}: {found:?}");
    }
}

#[test]
fn nothing_on_the_way_is_no_question() {
    let suspects = Suspects::new(LIMIT);
    // A reader that pauses: its window is shut, and everything before was acknowledged. A probe may have been lost.
    let waiting = |probes| Sighting {
        unacked: 0,
        probes,
        ..Flight { rto: 200, answers_after: None, is_fin: false }.at(60_000)
    };
    for (probes, suspicious) in [(0, false), (1, false), (2, false), (3, true), (200, true)] {
        assert_eq!(suspects.is_suspicious(&waiting(probes)), suspicious, "{probes} unanswered probes");
    }
}

#[test]
fn one_look_is_not_enough_and_a_word_in_between_clears() {
    let (mut suspects, start) = (Suspects::new(LIMIT), Instant::now());
    let silent = |seconds| Sighting {
        last_ack: Duration::from_secs(seconds),
        ..Flight { rto: 200, answers_after: None, is_fin: false }.at(60_000)
    };
    let seconds = Duration::from_secs;
    assert!(suspects.judge(start, &[silent(60)]).is_empty(), "the question may have just been asked");
    // 30 seconds later it was heard 25 seconds ago, after the first look.
    assert!(suspects.judge(start + seconds(30), &[silent(25)]).is_empty());
    assert_eq!(suspects.judge(start + seconds(35), &[silent(30)]).get(&pair()), Some(&seconds(30)));
    assert!(suspects.judge(start + seconds(40), &[]).is_empty());
    assert!(
        suspects.judge(start + seconds(45), &[silent(40)]).is_empty(),
        "who was not suspicious begins anew"
    );
}

#[test]
fn limits_are_none_or_seconds() {
    assert_eq!(parse_limit("0s"), Ok(Duration::ZERO));
    assert_eq!(parse_limit("1m"), Ok(Duration::from_secs(60)));
    for bad in ["999ms", "", "20", "-1s", "never"] {
        assert!(parse_limit(bad).is_err(), "{bad}");
    }
}
