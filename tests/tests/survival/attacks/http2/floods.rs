//! What clients send again and again on a connection, or on one stream.

use super::*;
use crate::attacks::{Attacker, CARRIED, measure, measure_outbound};

/// A flood in the middle of a request.
fn flood(name: &'static str, frames: &[u8], told: &'static str) -> Attack {
    client(name, [post(1), frames.repeat(MANY)].concat(), told)
}

/// Resets of requests that have been passed on by then, since each is written alone: requests are twice as long as a reset, and what
/// is said first is filled up to a multiple of that.
fn one_by_one() -> Attack {
    const LENGTH: usize = 13;
    let asked =
        |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\x82\x86\x84\x01\x0cweb.examples");
    let all = on_each(MANY, |stream| [asked(stream), reset(stream, CANCEL)].concat());
    let filling = frame(0xfa, 0, 0, [0; 10]);
    assert_eq!((opening(&filling).len() % LENGTH, all.len() % LENGTH), (0, 0));
    let attack = client("resets one by one", [filling, all].concat(), CARRIED);
    Attack { client: attack.client.in_pieces(LENGTH), ..attack }
}

fn floods() -> Vec<Attack> {
    let resets = on_each(MANY, |stream| [get(stream), reset(stream, CANCEL)].concat());
    let pushed = frame(PUSH_PROMISE, END_HEADERS, 1, [&[0, 0, 0, 2], GET].concat());
    vec![
        client("resets", resets, "reset_flood"),
        one_by_one(),
        flood("resets of one stream", &reset(1, CANCEL), "reset_flood"),
        client("CONTINUATION without fields", endless(GET, b"", MANY), "continuation_flood"),
        client("full CONTINUATION", endless(GET, &full_field(), 20), TOO_MUCH),
        client("a bomb of cookies", bomb(GET), TOO_MUCH),
        flood("PING", &ping(&[0; 8]), "ping_flood"),
        flood("answers to no PING", &frame(PING, ACK, 0, [0; 8]), "ping_flood"),
        flood("SETTINGS", &greeting(), "settings_flood"),
        flood("full SETTINGS", &settings(&[(4, 70_000); 2_730]), "settings_flood"),
        flood("SETTINGS of tables", &settings(&[(1, 0), (1, 4096)]), "settings_flood"),
        flood("empty DATA", &frame(DATA, 0, 1, b""), "empty_data_flood"),
        flood("DATA of padding", &frame(DATA, PADDED, 1, [1, 0]), "empty_data_flood"),
        flood("windows", &window_update(0, 1), "window_update_flood"),
        flood("windows of a stream", &window_update(1, 1), "window_update_flood"),
        flood("windows of nothing", &window_update(1, 0), "window_update_flood"),
        flood("PRIORITY", &frame(PRIORITY, 0, 1, [0; 5]), "priority_flood"),
        flood("updates of priorities", &frame(0x10, 0, 0, [0, 0, 0, 1, b'u']), "priority_flood"),
        flood("unknown frames", &frame(0xfa, 0, 0, []), "unknown_frame_flood"),
        flood("full unknown frames", &frame(0xfa, 0, 0, [0; 16_384]), CARRIED),
        flood("GOAWAY", &goaway(0, NO_ERROR), "goaway_flood"),
        flood("PUSH_PROMISE", &pushed, "http2.push"),
    ]
}

#[test]
fn clients_pay_for_floods() {
    measure(Attacker::Client, &floods());
}

#[test]
fn clients_of_shared_connections_pay_for_floods() {
    measure_outbound(Attacker::Client, &floods());
}

/// For a page of which everything is taken byte by byte.
#[test]
fn clients_pay_for_narrow_windows() {
    let content = frame(DATA, 0, 1, [b'x'; 16_000]).repeat(2);
    let page = [frame(HEADERS, END_HEADERS, 1, OK), content].concat();
    let says = [PREFACE, &settings(&[(4, 0)]), &get(1), &window_update(1, 1).repeat(20_000)].concat();
    let narrow = |name, says: Part, told| Attack {
        client: says.ending(),
        server: Part::answers_last_frame(page.clone()),
        ..client(name, vec![], told)
    };
    let attacks = [
        narrow("at once", Part::says(&says[..]), "window_update_flood"),
        narrow("one by one", Part::says(&says[..]).in_pieces(window_update(1, 1).len()), CARRIED),
    ];
    measure(Attacker::Client, &attacks);
}
