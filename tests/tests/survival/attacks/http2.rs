//! Of HTTP/2: the floods that have had names, and frames that carry next to nothing.

use super::peers::Part;
use super::{Attack, Attacker, MOST, measure};
use crate::frames::*;

const ANSWERED: &str = "\"response_code\":200,\"response_flags\":\"-\"";

/// What h2 sees by itself.
const TOO_MUCH: &str = "\"http2.enhance_your_calm\"";

/// More than any flood may have.
const MANY: usize = 1_100;

/// What frames of a byte may take. h2 takes ten times as long for a frame as the kernel for its ten bytes, which is more than an
/// attack may cost; nothing can be refused here, since who speaks in short messages sends the like. It is still below the hundred
/// times that others call an attack.
const MOST_OF_SHORT: f64 = 100.0;

/// Content of a byte each, within the windows that there are at first.
const SHORT: usize = 60_000;

fn answer() -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, OK)
}

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, GET)
}

fn post() -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, POST)
}

/// A flood in the middle of a request.
fn flood(name: &'static str, frames: &[u8], told: &'static str) -> Attack {
    client(name, [post(), frames.repeat(MANY)].concat(), told)
}

fn client(name: &'static str, says: Vec<u8>, told: &'static str) -> Attack {
    Attack {
        name,
        client: Part::says(leaving(&says)),
        server: Part::answers_last_frame(answer()),
        told,
        most: MOST,
    }
}

/// A block of fields in one frame after the other, which does not end.
fn endless(first: &[u8], part: &[u8], times: usize) -> Vec<u8> {
    let rest = frame(CONTINUATION, 0, 1, part).repeat(times);
    [frame(HEADERS, END_STREAM, 1, first), rest].concat()
}

fn bomb(first: &[u8]) -> Vec<u8> {
    let block = [first, &long_field("cookie"), &[LATEST; 12_000]].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)
}

/// Resets of requests that have been passed on by then, since each is written alone: requests are twice as long as a reset, and what
/// is said first is filled up to a multiple of that.
fn one_by_one() -> Attack {
    const LENGTH: usize = 13;
    let asked =
        |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\x82\x86\x84\x01\x0cweb.examples");
    let streams = (0..MANY as u32).map(|number| 2 * number + 1);
    let all: Vec<u8> = streams.flat_map(|stream| [asked(stream), reset(stream, CANCEL)].concat()).collect();
    let filling = frame(0xfa, 0, 0, [0; 10]);
    assert_eq!((opening(&filling).len() % LENGTH, all.len() % LENGTH), (0, 0));
    let attack = client("resets one by one", [filling, all].concat(), "\"response_flags\":\"DC\"");
    Attack { client: attack.client.in_pieces(LENGTH), ..attack }
}

#[test]
fn clients_pay_for_what_they_cost() {
    let broken_off = |stream| [get(stream), reset(stream, CANCEL)].concat();
    let resets: Vec<u8> = (0..MANY as u32).flat_map(|number| broken_off(2 * number + 1)).collect();
    let full = [&[0, 1, b'x', 0x7f, 0x81, 0x7c], &[b'v'; 16_000][..]].concat();
    let attacks = [
        client("resets", resets, "http2.reset_flood"),
        one_by_one(),
        client("CONTINUATION without fields", endless(GET, b"", MANY), "http2.continuation_flood"),
        client("full CONTINUATION", endless(GET, &full, 20), TOO_MUCH),
        client("a bomb of cookies", bomb(GET), TOO_MUCH),
        flood("PING", &ping(&[0; 8]), "http2.ping_flood"),
        flood("SETTINGS", &greeting(), "http2.settings_flood"),
        flood("empty DATA", &frame(DATA, 0, 1, b""), "http2.empty_data_flood"),
        flood("windows", &window_update(0, 1), "http2.window_update_flood"),
        flood("windows of nothing", &window_update(1, 0), "http2.window_update_flood"),
        flood("PRIORITY", &frame(PRIORITY, 0, 1, [0; 5]), "http2.priority_flood"),
        Attack {
            most: MOST_OF_SHORT,
            ..client(
                "DATA of a byte",
                [post(), frame(DATA, 0, 1, b"x").repeat(SHORT), frame(DATA, END_STREAM, 1, b"")].concat(),
                ANSWERED,
            )
        },
    ];
    measure(Attacker::Client, &attacks);
}

fn server(name: &'static str, says: Vec<u8>, told: &'static str) -> Attack {
    Attack {
        name,
        client: Part::says(leaving(&get(1))),
        server: Part::answers_frames(says),
        told,
        most: MOST,
    }
}

#[test]
fn servers_pay_for_what_they_cost() {
    let begun = |more: Vec<u8>| [frame(HEADERS, END_HEADERS, 1, OK), more].concat();
    let flood = |frames: &[u8]| frames.repeat(MANY);
    let attacks = [
        server("resets", flood(&reset(1, CANCEL)), "upstream_reset_before_response_started{remote_reset}"),
        server("CONTINUATION without fields", endless(OK, b"", MANY), "http2.continuation_flood"),
        server("a bomb of cookies", bomb(OK), TOO_MUCH),
        server("PING", flood(&ping(&[0; 8])), "http2.ping_flood"),
        server("SETTINGS", flood(&greeting()), "http2.settings_flood"),
        server("empty DATA", begun(flood(&frame(DATA, 0, 1, b""))), "http2.empty_data_flood"),
        server("windows", flood(&window_update(0, 1)), "http2.window_update_flood"),
        server("windows of nothing", flood(&window_update(1, 0)), "http2.protocol_error"),
        server(
            "interim responses",
            flood(&frame(HEADERS, END_HEADERS, 1, HINTS)),
            "http2.response_head_flood",
        ),
        Attack {
            most: MOST_OF_SHORT,
            ..server(
                "DATA of a byte",
                begun([frame(DATA, 0, 1, b"x").repeat(SHORT), frame(DATA, END_STREAM, 1, b"")].concat()),
                ANSWERED,
            )
        },
    ];
    measure(Attacker::Server, &attacks);
}
