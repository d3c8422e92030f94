//! Of HTTP/2: what the meter finds, what the library does, and what is left to us.

use conformance::frames::*;

use super::{CLIENT, Case, Group, Part, SERVER, assert_all_are_played};
use proxy::http::h2::Refusal;
use proxy::http::h2::meter::Violation;
use proxy::telemetry::Code;

/// `:status 200`; and 103, without an index.
const OK: &[u8] = b"\x88";
const HINTS: &[u8] = b"\x08\x03103";

const MANY: usize = 1_000;
const MOST_WINDOW: u32 = i32::MAX as u32;

/// Whether a frame is there that begins a request or a response.
fn is_head(heard: &[u8]) -> bool {
    let mut rest = heard.strip_prefix(PREFACE).unwrap_or(heard);
    while let Some(([high, middle, low, kind, ..], after)) = rest.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        match after.get(length..) {
            Some(_) if *kind == HEADERS => return true,
            Some(after) => rest = after,
            None => return false,
        }
    }
    false
}

fn greeted(says: impl AsRef<[u8]>) -> Vec<u8> {
    [PREFACE, &settings(&[]), says.as_ref()].concat()
}

fn answer() -> Part {
    Part { first: settings(&[]), then: headers(1, END_STREAM | END_HEADERS, OK), ends: false }
}

fn silent() -> Part {
    Part::says(settings(&[]))
}

/// To a server that answers what it is asked.
fn client(name: &'static str, says: impl AsRef<[u8]>, code: &'static str) -> Case {
    Case {
        name,
        options: &[],
        client: Part::says(greeted(says)),
        server: answer(),
        side: CLIENT,
        code,
        times: 1,
    }
}

/// To a server that answers nothing.
fn unanswered(name: &'static str, says: impl AsRef<[u8]>, code: &'static str) -> Case {
    Case { server: silent(), ..client(name, says, code) }
}

/// When a server has begun to answer, which it does not end.
fn amid(name: &'static str, asks: Vec<u8>, says: impl Into<Vec<u8>>, code: &'static str) -> Case {
    let client = Part { first: greeted(asks), then: says.into(), ends: false };
    let server = Part { first: settings(&[]), then: headers(1, END_HEADERS, OK), ends: false };
    Case { name, options: &[], client, server, side: CLIENT, code, times: 1 }
}

/// To a client that asks for it.
fn server(name: &'static str, says: impl Into<Vec<u8>>, code: &'static str) -> Case {
    let server = Part { first: settings(&[]), then: says.into(), ends: false };
    Case { name, options: &[], client: Part::says(greeted(get(1))), server, side: SERVER, code, times: 1 }
}

const GROUPS: [Group; 7] =
    [floods_of_clients, floods_of_servers, frames_that_must_not_be, ends, resets, heads, slow_peers];

fn play(group: Group) {
    group().into_iter().for_each(|case| case.is_told(is_head));
}

#[test]
fn floods_of_clients_are_told() {
    play(floods_of_clients);
}

#[test]
fn floods_of_servers_are_told() {
    play(floods_of_servers);
}

#[test]
fn frames_that_must_not_be_are_told() {
    play(frames_that_must_not_be);
}

#[test]
fn what_the_library_ends_connections_for_is_told() {
    play(ends);
}

#[test]
fn what_the_library_resets_streams_for_is_told() {
    play(resets);
}

#[test]
fn heads_are_told() {
    play(heads);
}

#[test]
fn who_is_slow_is_told() {
    play(slow_peers);
}

#[test]
fn all_that_is_refused_is_played() {
    // It follows many others, which are told, too.
    let is_alone = |code: &Code| code.name() != "http2.broken_stream_flood";
    let codes = [&Refusal::ALL.map(Refusal::code)[..], &Violation::ALL.map(Violation::code)].concat();
    assert_all_are_played(&GROUPS, &codes.into_iter().filter(is_alone).collect::<Vec<_>>());
}

/// A block that is much longer than what is sent of it: a field of 4,000 bytes, and so many times the same again.
fn bomb(first: &[u8], times: usize) -> Vec<u8> {
    // RFC 7541, section 6.2.1: remembered; and section 2.3.3: the latest one.
    [first, b"\x40\x01x\x7f\xa1\x1e", &[b'v'; 4_000], &vec![0x80 + 62; times]].concat()
}

/// Within a head that is too long.
fn value_without_end() -> Vec<u8> {
    // RFC 7541, section 5.1: 200,000 bytes.
    let begun = [bomb(&get_with(&[]), 40), b"\x00\x01z\x7f\xc1\x99\x0c".to_vec()].concat();
    [headers(1, END_STREAM, begun), frame(CONTINUATION, 0, 1, [b'v'; 16_384]).repeat(9)].concat()
}

/// The same without remembering, in one frame after the other.
fn endless(first: &[u8]) -> Vec<u8> {
    let part = block(&[("x", &"y".repeat(16_000))]);
    [headers(1, END_STREAM, first), frame(CONTINUATION, 0, 1, part).repeat(20)].concat()
}

fn floods_of_clients() -> Vec<Case> {
    let pings = ping(&[0; 8]).repeat(MANY);
    let after = Part { first: greeted(get(1)), then: pings.clone(), ends: false };
    let asked = |name, says: Vec<u8>, code| unanswered(name, [post(1), says].concat(), code);
    let more = frame(CONTINUATION, 0, 3, []);
    vec![
        unanswered("PING within a request", [post(1), pings.clone()].concat(), "http2.ping_flood"),
        client("PING without any", &pings, "http2.ping_flood"),
        amid("PING amid an exchange", post(1), pings, "http2.ping_flood"),
        Case { client: after, ..client("PING after an answer", "", "http2.ping_flood") },
        unanswered("SETTINGS", [post(1), settings(&[]).repeat(MANY)].concat(), "http2.settings_flood"),
        unanswered(
            "empty DATA",
            [post(1), frame(DATA, 0, 1, b"").repeat(MANY)].concat(),
            "http2.empty_data_flood",
        ),
        unanswered(
            "no end of fields",
            [headers(1, 0, get_with(&[])), ping(&[0; 8])].concat(),
            "http2.field_block",
        ),
        asked(
            "CONTINUATION",
            [headers(3, 0, get_with(&[])), more.repeat(MANY)].concat(),
            "http2.continuation_flood",
        ),
        asked("PRIORITY", frame(PRIORITY, 0, 1, [0; 5]).repeat(MANY), "http2.priority_flood"),
        asked("windows", window_update(0, 1).repeat(MANY), "http2.window_update_flood"),
        asked("GOAWAY", goaway(0, NO_ERROR).repeat(MANY), "http2.goaway_flood"),
        asked("unknown frames", frame(0xfa, 0, 0, []).repeat(MANY), "http2.unknown_frame_flood"),
        Case {
            client: Part { first: greeted(get(1)), then: reset(1, CANCEL).repeat(MANY), ends: false },
            ..client("resets after an answer", "", "http2.reset_flood")
        },
    ]
}

fn floods_of_servers() -> Vec<Case> {
    let begun = |more: Vec<u8>| [headers(1, END_HEADERS, OK), more].concat();
    vec![
        server("PING", ping(&[0; 8]).repeat(MANY), "http2.ping_flood"),
        server("PING within a response", begun(ping(&[0; 8]).repeat(MANY)), "http2.ping_flood"),
        server("empty DATA", begun(frame(DATA, 0, 1, b"").repeat(MANY)), "http2.empty_data_flood"),
        server("windows", window_update(0, 1).repeat(MANY), "http2.window_update_flood"),
        server("interim responses", headers(1, END_HEADERS, HINTS).repeat(MANY), "http2.response_head_flood"),
        server("a push", frame(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2]), "http2.push"),
    ]
}

/// Of the frame that must not be; the request has been asked.
fn frames_that_must_not_be() -> Vec<Case> {
    let asked = |name, says: Vec<u8>, code| unanswered(name, [post(1), says].concat(), code);
    let push = frame(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2]);
    vec![
        asked("a short PING", frame(PING, 0, 0, [0; 7]), "http2.frame_size"),
        asked(
            "the beginning of a long frame",
            frame(DATA, 0, 1, vec![0; 16_385])[..9].to_vec(),
            "http2.frame_size",
        ),
        asked("a short PRIORITY", frame(PRIORITY, 0, 1, [0; 4]), "http2.frame_size"),
        asked("content of no stream", frame(DATA, 0, 0, [0]), "http2.frame_stream"),
        asked("padding as long as the frame", frame(DATA, PADDED, 1, [4, 0, 0, 0]), "http2.padding"),
        asked("a push", push, "http2.push"),
        asked("a window of 2^31", settings(&[(4, 1 << 31)]), "http2.window"),
        Case {
            client: Part::says([PREFACE, &ping(&[0; 8])].concat()),
            ..client("no settings", "", "http2.no_settings")
        },
        server(
            "the beginning of a long frame",
            frame(DATA, 0, 1, vec![0; 16_385])[..9].to_vec(),
            "http2.frame_size",
        ),
        server("a short PING", frame(PING, 0, 0, [0; 7]), "http2.frame_size"),
        server("content of no stream", frame(DATA, 0, 0, [0]), "http2.frame_stream"),
        server("padding as long as the frame", frame(DATA, PADDED, 1, [4, 0, 0, 0]), "http2.padding"),
        server("a window of 2^31", settings(&[(4, 1 << 31)]), "http2.window"),
        server("no end of fields", [headers(1, 0, OK), ping(&[0; 8])].concat(), "http2.field_block"),
    ]
}

fn ends() -> Vec<Case> {
    let idle = frame(DATA, 0, 5, b"x");
    vec![
        unanswered("too much CONTINUATION", endless(&get_with(&[])), "http2.enhance_your_calm"),
        unanswered(
            "a bomb",
            headers(1, END_STREAM | END_HEADERS, bomb(&get_with(&[]), 12_000)),
            "http2.enhance_your_calm",
        ),
        unanswered("a value without end in a long head", value_without_end(), "http2.compression_error"),
        unanswered("DATA of an idle stream", [get(1), idle.clone()].concat(), "http2.protocol_error"),
        amid("DATA of an idle stream amid an exchange", get(1), idle.clone(), "http2.protocol_error"),
        unanswered("a window", [post(1), window_update(0, MOST_WINDOW)].concat(), "http2.flow_control_error"),
        server("too much CONTINUATION", endless(OK), "http2.enhance_your_calm"),
        server("a bomb", headers(1, END_STREAM | END_HEADERS, bomb(OK, 12_000)), "http2.enhance_your_calm"),
        server("DATA of an idle stream", idle, "http2.protocol_error"),
        server("a window", window_update(0, MOST_WINDOW), "http2.flow_control_error"),
    ]
}

fn resets() -> Vec<Case> {
    let sent = |length, flags, content: &str| {
        [headers(1, END_HEADERS, post_with(&[("content-length", length)])), frame(DATA, flags, 1, content)]
            .concat()
    };
    let answered = |length, content: &str| {
        let head = [OK, &block(&[("content-length", length)])].concat();
        [headers(1, END_HEADERS, head), frame(DATA, END_STREAM, 1, content)].concat()
    };
    let malformed = [("connection", "close")];
    let one = |block: Vec<u8>| headers(1, END_STREAM | END_HEADERS, block);
    let another = |stream| headers(stream, END_STREAM | END_HEADERS, get_with(&malformed));
    vec![
        client("a head", one(get_with(&malformed)), "http2.malformed"),
        client("heads", [1, 3, 5].map(another).concat(), "http2.malformed").at_once(3),
        unanswered("content that is short", sent("5", END_STREAM, "abc"), "http2.malformed"),
        unanswered("content that is long", sent("3", 0, "abcde"), "http2.malformed"),
        unanswered(
            "a window of a stream",
            [get(1), window_update(1, MOST_WINDOW)].concat(),
            "http2.flow_control_error",
        ),
        client("a stream more", [get(1), get(3)].concat(), "http2.too_many_streams")
            .with(&["--http2-max-streams=1"]),
        server("a head", one([OK, &block(&malformed)].concat()), "http2.malformed"),
        server("content that is short", answered("5", "abc"), "http2.malformed"),
        server("content that is long", answered("3", "abcde"), "http2.malformed"),
        // Of a request that has ended it would matter to nobody.
        Case {
            client: Part::says(greeted(post(1))),
            ..server("a window of a stream", window_update(1, MOST_WINDOW), "http2.flow_control_error")
        },
    ]
}

fn heads() -> Vec<Case> {
    let asks = |fields: &[(&str, &str)]| headers(1, END_STREAM | END_HEADERS, block(fields));
    let path = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "*")];
    let nobody = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    let length = [("content-length", "1"), ("content-length", "1")];
    let one = |block: Vec<u8>| headers(1, END_STREAM | END_HEADERS, block);
    let (get, posting) = (get_with(&[]), post_with(&[]));
    let many = |first: &[u8]| one([first, &block(&[("x", ""); 210])].concat());
    vec![
        client("many fields", many(&get), "http2.too_many_fields"),
        client("a head that is too long", one(bomb(&get, 20)), "http2.head_too_long"),
        client("one that the library answers", one(bomb(&get, 40)), "http2.head_too_long"),
        client("and resets", headers(1, END_HEADERS, bomb(&posting, 40)), "http2.head_too_long"),
        server("many fields", many(OK), "http2.too_many_fields"),
        server("a head that is too long", one(bomb(OK, 20)), "http2.head_too_long"),
        client("a path that is none", asks(&path), "http2.path"),
        client("no host", asks(&nobody), "http2.authority_missing"),
        client(
            "a host that is none",
            asks(&[&nobody[..], &[("host", "a@b")]].concat()),
            "http2.authority_invalid",
        ),
        client("another host", one(get_with(&[("host", "b")])), "http2.host_not_authority"),
        client("two hosts", one(get_with(&[("host", "a"), ("host", "a")])), "http2.host_repeated"),
        client("a value that ends with a space", one(get_with(&[("x", "y ")])), "http2.field_value"),
        client(
            "a length twice",
            headers(1, END_HEADERS, post_with(&length)),
            "http2.content_length_repeated",
        ),
        client(
            "a tunnel to no port",
            asks(&[(":method", "CONNECT"), (":authority", "a")]),
            "http2.connect_target",
        ),
        unanswered("a length behind", [post(1), asks(&length[..1])].concat(), "http2.trailer_forbidden"),
        unanswered("long trailers", [post(1), one(bomb(&[], 20))].concat(), "http2.trailers_too_long"),
        server("a switch", headers(1, END_HEADERS, block(&[(":status", "101")])), "http2.switch"),
        server(
            "a value that ends with a space",
            one([OK, &block(&[("x", "y ")])].concat()),
            "http2.field_value",
        ),
    ]
}

fn slow_peers() -> Vec<Case> {
    let begun = headers(1, END_STREAM, get_with(&[]));
    let after = [post(1), headers(3, END_STREAM, get_with(&[]))].concat();
    let soon = &["--http-head-timeout=200ms"];
    let idle = &["--http-stream-idle-timeout=200ms"];
    vec![
        unanswered("a slow head", begun, "request_head_timeout").with(soon).late(),
        unanswered("one beside a request", after, "request_head_timeout").with(soon).late(),
        unanswered("slow content", [post(1), frame(DATA, 0, 1, b"a")].concat(), "stream_idle_timeout")
            .with(idle)
            .late(),
        server("a slow response", headers(1, END_HEADERS, OK), "stream_idle_timeout").with(idle).late(),
    ]
}
