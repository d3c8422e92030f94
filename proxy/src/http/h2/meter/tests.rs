//! Streams of bytes without sockets, cut at every place; and time that is an argument.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::frame::{Frame, Kind, Passed, Walker};
use super::{Meter, Peer, Violation};
use crate::http::h2::Refusal;
use crate::telemetry::Code;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, l1, l2, l3] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![l1, l2, l3, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn walk(walker: &mut Walker, mut bytes: &[u8]) -> Vec<Passed> {
    std::iter::from_fn(|| walker.next(&mut bytes)).collect()
}

fn walk_cut(bytes: &[u8], cuts: &[usize]) -> Vec<Passed> {
    let mut walker = Walker::new();
    let mut sizes = cuts.iter().copied().cycle();
    let mut rest = bytes;
    let mut passed = vec![];
    while !rest.is_empty() {
        let (part, after) = rest.split_at(sizes.next().unwrap().min(rest.len()));
        passed.extend(walk(&mut walker, part));
        rest = after;
    }
    passed
}

/// A meter that has been greeted by its peer.
fn greeted(peer: Peer, now: Instant) -> Meter {
    let mut meter = Meter::new(peer, now);
    if peer == Peer::Client {
        meter.received(PREFACE, now).unwrap();
    } else {
        meter.sent(PREFACE);
    }
    meter.received(&frame(4, 0, 0, &[]), now).unwrap();
    meter
}

#[test]
fn frames_are_told_with_the_begin_of_their_payload() {
    let bytes = [
        frame(0, 0x9, 3, &[2, b'a', 0, 0]),
        frame(4, 0, 0, &[0, 2, 0, 0, 0, 1, 0, 4, 0, 1, 0, 0]),
        frame(4, 1, 0, &[]),
        frame(7, 0, 0x8000_0000, &[0, 0, 0, 9, 0, 0, 0, 11, b'x', b'y']),
        frame(0xfa, 0, 1, &[]),
    ]
    .concat();
    let passed = walk(&mut Walker::new(), &bytes);
    let frames: Vec<&Frame> = passed
        .iter()
        .filter_map(|passed| match passed {
            Passed::Frame(frame) => Some(frame),
            Passed::Setting { .. } => None,
        })
        .collect();
    assert_eq!(
        frames.iter().map(|frame| (frame.kind, frame.length, frame.stream)).collect::<Vec<_>>(),
        [
            (Kind::Data, 4, 3),
            (Kind::Settings, 12, 0),
            (Kind::Settings, 0, 0),
            (Kind::GoAway, 10, 0),
            (Kind::Unknown, 0, 1)
        ]
    );
    assert_eq!((frames[0].padding(), frames[0].content(), frames[0].is_end_of_stream()), (Some(2), 1, true));
    assert!(frames[2].is_ack());
    assert_eq!(frames[3].first_number(), 9);
    let settings: Vec<_> = passed.iter().filter(|passed| matches!(passed, Passed::Setting { .. })).collect();
    assert_eq!(settings, [&Passed::Setting { id: 2, value: 1 }, &Passed::Setting { id: 4, value: 65_536 }]);
}

#[test]
fn a_preface_is_skipped_however_it_comes() {
    let bytes = [PREFACE, &frame(6, 0, 0, &[0; 8])].concat();
    for at in 0..bytes.len() {
        let mut walker = Walker::after_preface();
        assert!(!walker.is_between_frames());
        let passed = [walk(&mut walker, &bytes[..at]), walk(&mut walker, &bytes[at..])].concat();
        assert!(matches!(passed[..], [Passed::Frame(Frame { kind: Kind::Ping, .. })]), "{at}: {passed:?}");
        assert!(walker.is_between_frames());
    }
}

#[test]
fn between_frames_is_where_none_has_begun() {
    for bytes in
        [frame(0, 0, 1, &[7; 30]), frame(4, 0, 0, &[0; 18]), frame(4, 1, 0, &[]), frame(6, 0, 0, &[0; 8])]
    {
        let mut walker = Walker::new();
        assert!(walker.is_between_frames());
        for (at, byte) in bytes.iter().enumerate() {
            walk(&mut walker, &[*byte]);
            assert_eq!(walker.is_between_frames(), at + 1 == bytes.len(), "{at} of {bytes:?}");
        }
    }
}

#[test]
fn a_farewell_names_the_last_stream_and_waits_for_nobody() {
    let now = Instant::now();
    let mut meter = greeted(Peer::Client, now);
    meter.received(&[frame(1, 5, 7, &[0x82]), frame(1, 5, 9, &[0x82])].concat(), now).unwrap();
    let farewell = meter.farewell(Violation::PingFlood).unwrap();
    assert_eq!(farewell, frame(7, 0, 0, b"\0\0\0\x09\0\0\0\x0bhttp2.ping_flood"));
    // Within a frame, and within a block of fields.
    for sent in [&frame(0, 0, 1, &[0; 9])[..12], &frame(1, 0, 1, &[0x88])] {
        let mut meter = greeted(Peer::Client, now);
        meter.sent(sent);
        assert_eq!(meter.farewell(Violation::PingFlood), None, "{sent:?}");
    }
}

#[test]
fn what_is_slow_is_no_flood() {
    let slow = [
        (frame(6, 0, 0, &[0; 8]), 9),
        (frame(8, 0, 0, &[0, 0, 0, 1]), 45),
        (frame(2, 0, 1, &[0; 5]), 9),
        (frame(3, 0, 1, &[0; 4]), 90),
        (frame(0xfa, 0, 0, &[]), 9),
    ];
    for (bytes, each_second) in slow {
        let begin = Instant::now();
        let mut meter = greeted(Peer::Client, begin);
        for second in 0..3_600 {
            for _ in 0..each_second {
                let now = begin + Duration::from_secs(second);
                assert_eq!(meter.received(&bytes, now), Ok(()), "{bytes:?} after {second} s");
            }
        }
        // After an hour an account holds what it held at first, and may be filled once more.
        let end = begin + Duration::from_secs(3_600);
        let left = (0..2_000).take_while(|_| meter.received(&bytes, end).is_ok()).count();
        assert!(left < 1_000, "{left} of {bytes:?}");
    }
}

#[test]
fn what_was_sent_pays_for_the_answers() {
    let now = Instant::now();
    let mut meter = greeted(Peer::Client, now);
    // Who takes a megabyte in pieces of 256 bytes may say so each time.
    for _ in 0..64 {
        meter.sent(&frame(0, 0, 1, &[0; 16_384]));
    }
    for _ in 0..4_096 {
        assert_eq!(meter.received(&frame(8, 0, 1, &[0, 0, 1, 0]), now), Ok(()));
    }
    // What is owed for probes has a bound.
    let pings = (0..2_000).take_while(|_| meter.received(&frame(6, 0, 0, &[0; 8]), now).is_ok()).count();
    assert!((120..=400).contains(&pings), "{pings}");
}

/// Who has not been told how many streams there may be, or has more to send than an answer takes, opens some too many.
#[test]
fn streams_that_are_too_many_have_a_bound() {
    let now = Instant::now();
    let refused = |forgives: bool| {
        let mut meter = greeted(Peer::Client, now);
        (0..5_000).position(|number| {
            let stream = 2 * number + 1;
            let violation = meter.received(&frame(1, 5, stream, &[0x82]), now);
            meter.sent(&frame(3, 0, stream, &[0, 0, 0, 7]));
            if forgives {
                meter.forgive(1);
            }
            violation == Err(Violation::BrokenStreamFlood)
        })
    };
    assert!((400..1_000).contains(&refused(false).expect("an end")));
    assert_eq!(refused(true), None);
}

#[test]
fn each_reason_has_a_name_of_its_own() {
    let of_frames = Violation::ALL.map(Violation::code);
    let of_h2 = Refusal::ALL.map(Refusal::code);
    let all: HashSet<_> = of_frames.into_iter().chain(of_h2).map(Code::name).collect();
    assert_eq!(all.len(), of_frames.len() + of_h2.len());
    assert!(all.iter().all(|name| name.starts_with("http2.")), "{all:?}");
}

/// Frames of all types, mostly of lengths that they may have.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let lengths =
        prop_oneof![Just(0_usize), Just(4), Just(5), Just(6), Just(8), 0_usize..40, 16_380_usize..16_390];
    let one = (0_u8..0x12, any::<u8>(), 0_u32..4, lengths, any::<u8>())
        .prop_map(|(kind, flags, stream, length, fill)| frame(kind, flags, stream, &vec![fill; length]));
    proptest::collection::vec(one, 0..12).prop_map(|frames| frames.concat())
}

/// From the end of its frame's head, which says what it is.
#[test]
fn a_head_lasts_from_the_begin_of_its_frame_to_the_end_of_its_block() {
    let now = Instant::now();
    let data = frame(0, 0, 1, &[0; 20]);
    for (head, is_whole) in [
        (frame(1, 4, 1, &[0x82; 3]), true),
        (frame(1, 4, 1, &[0x82; 40]), true),
        (frame(1, 0, 1, &[0x82; 3]), false),
        ([frame(1, 0, 1, &[]), frame(9, 4, 1, &[0x82; 20])].concat(), true),
    ] {
        let bytes = if is_whole { [&head[..], &data].concat() } else { head.clone() };
        for cut in 0..=bytes.len() {
            let mut meter = greeted(Peer::Client, now);
            meter.received(&bytes[..cut], now).unwrap();
            let is_within = cut >= 9 && (cut < head.len() || !is_whole);
            assert_eq!(meter.is_within_head(), is_within, "{cut} of {head:?}");
        }
    }
}

#[test]
fn the_next_frame_begins_where_the_last_one_ends() {
    let mut bytes = PREFACE.to_vec();
    let mut begins = vec![bytes.len()];
    for (kind, length) in [(4, 12), (4, 0), (0, 0), (0, 3), (0, 40), (1, 8), (6, 8), (4, 7), (0xfa, 300)] {
        bytes.extend(frame(kind, 0, 1, &vec![1; length]));
        begins.push(bytes.len());
    }
    for cut in 0..bytes.len() {
        let (passed, rest) = bytes.split_at(cut);
        let mut walker = Walker::after_preface();
        walk(&mut walker, passed);
        let next = *begins.iter().find(|begin| **begin >= cut).unwrap();
        assert_eq!(walker.next_head(rest), next - cut, "{cut}");
        for few in 0..rest.len().min(40) {
            let next = walker.next_head(&rest[..few]);
            assert!(next == few || begins.contains(&(cut + next)), "{cut} {few}");
        }
    }
}

proptest! {
    #[test]
    fn frames_are_told_alike_however_they_are_cut(
        bytes in prop_oneof![frames(), proptest::collection::vec(any::<u8>(), 0..400)],
        cuts in proptest::collection::vec(1_usize..40, 1..8),
    ) {
        prop_assert_eq!(walk_cut(&bytes, &cuts), walk(&mut Walker::new(), &bytes));
    }

    #[test]
    fn violations_are_the_same_however_bytes_are_cut(
        bytes in frames(),
        cuts in proptest::collection::vec(1_usize..40, 1..8),
        is_client in any::<bool>(),
    ) {
        let now = Instant::now();
        let peer = if is_client { Peer::Client } else { Peer::Server };
        let whole = greeted(peer, now).received(&bytes, now);
        let mut cut = greeted(peer, now);
        let mut sizes = cuts.iter().copied().cycle();
        let mut rest = &bytes[..];
        let mut judged = Ok(());
        while !rest.is_empty() && judged.is_ok() {
            let (part, after) = rest.split_at(sizes.next().unwrap().min(rest.len()));
            judged = cut.received(part, now);
            rest = after;
        }
        prop_assert_eq!(judged, whole);
    }

    #[test]
    fn a_mixture_of_nothing_ends_within_a_thousand_frames(
        kinds in proptest::collection::vec(0_usize..8, 1_000),
        is_client in any::<bool>(),
    ) {
        let now = Instant::now();
        let mut meter = greeted(if is_client { Peer::Client } else { Peer::Server }, now);
        let nothing = [
            frame(6, 0, 0, &[0; 8]),
            frame(4, 0, 0, &[]),
            frame(3, 0, 1, &[0; 4]),
            frame(0, 0, 1, &[]),
            frame(8, 0, 0, &[0, 0, 0, 1]),
            frame(2, 0, 1, &[0; 5]),
            frame(7, 0, 0, &[0; 8]),
            frame(0xfa, 0, 0, &[]),
        ];
        let ends = kinds.into_iter().any(|kind| meter.received(&nothing[kind], now).is_err());
        prop_assert!(ends);
    }
}
