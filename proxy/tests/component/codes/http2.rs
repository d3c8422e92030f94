//! Of HTTP/2: what the meter finds, what the library does, and what is left to us.

use conformance::frames::*;

use super::{CLIENT, Case, Part, SERVER};

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

fn play(cases: impl IntoIterator<Item = Case>) {
    cases.into_iter().for_each(|case| case.is_told(is_head));
}

/// A block that is much longer than what is sent of it: a field of 4,000 bytes, and so many times the same again.
fn bomb(first: &[u8], times: usize) -> Vec<u8> {
    // RFC 7541, section 6.2.1: remembered; and section 2.3.3: the latest one.
    [first, b"\x40\x01x\x7f\xa1\x1e", &[b'v'; 4_000], &vec![0x80 + 62; times]].concat()
}

/// The same without remembering, in one frame after the other.
fn endless(first: &[u8]) -> Vec<u8> {
    let part = block(&[("x", &"y".repeat(16_000))]);
    [headers(1, END_STREAM, first), frame(CONTINUATION, 0, 1, part).repeat(20)].concat()
}

#[test]
fn floods_of_clients() {
    let pings = ping(&[0; 8]).repeat(MANY);
    let after = Part { first: greeted(get(1)), then: pings.clone(), ends: false };
    play([
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
    ]);
}

#[test]
fn floods_of_servers() {
    let begun = |more: Vec<u8>| [headers(1, END_HEADERS, OK), more].concat();
    play([
        server("PING", ping(&[0; 8]).repeat(MANY), "http2.ping_flood"),
        server("PING within a response", begun(ping(&[0; 8]).repeat(MANY)), "http2.ping_flood"),
        server("empty DATA", begun(frame(DATA, 0, 1, b"").repeat(MANY)), "http2.empty_data_flood"),
        server("windows", window_update(0, 1).repeat(MANY), "http2.window_update_flood"),
        server("interim responses", headers(1, END_HEADERS, HINTS).repeat(MANY), "http2.response_head_flood"),
        server("a push", frame(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2]), "http2.push"),
    ]);
}

#[test]
fn what_the_library_ends_connections_for() {
    let idle = frame(DATA, 0, 5, b"x");
    play([
        unanswered("too much CONTINUATION", endless(&get_with(&[])), "http2.enhance_your_calm"),
        unanswered(
            "a bomb",
            headers(1, END_STREAM | END_HEADERS, bomb(&get_with(&[]), 12_000)),
            "http2.enhance_your_calm",
        ),
        unanswered("DATA of an idle stream", [get(1), idle.clone()].concat(), "http2.protocol_error"),
        amid("DATA of an idle stream amid an exchange", get(1), idle.clone(), "http2.protocol_error"),
        unanswered("a window", [post(1), window_update(0, MOST_WINDOW)].concat(), "http2.flow_control_error"),
        server("too much CONTINUATION", endless(OK), "http2.enhance_your_calm"),
        server("a bomb", headers(1, END_STREAM | END_HEADERS, bomb(OK, 12_000)), "http2.enhance_your_calm"),
        server("DATA of an idle stream", idle, "http2.protocol_error"),
        server("a window", window_update(0, MOST_WINDOW), "http2.flow_control_error"),
    ]);
}

#[test]
fn what_the_library_resets_streams_for() {
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
    play([
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
    ]);
}

#[test]
fn heads() {
    let one = |block: Vec<u8>| headers(1, END_STREAM | END_HEADERS, block);
    let (get, post) = (get_with(&[]), post_with(&[]));
    let many = |first: &[u8]| one([first, &block(&[("x", ""); 210])].concat());
    play([
        client("many fields", many(&get), "http2.too_many_fields"),
        client("a head that is too long", one(bomb(&get, 20)), "http2.head_too_long"),
        client("one that the library answers", one(bomb(&get, 40)), "http2.head_too_long"),
        client("and resets", headers(1, END_HEADERS, bomb(&post, 40)), "http2.head_too_long"),
        server("many fields", many(OK), "http2.too_many_fields"),
        server("a head that is too long", one(bomb(OK, 20)), "http2.head_too_long"),
    ]);
}

#[test]
fn slow_peers() {
    let begun = headers(1, END_STREAM, get_with(&[]));
    let after = [post(1), headers(3, END_STREAM, get_with(&[]))].concat();
    let soon = &["--http-head-timeout=200ms"];
    let idle = &["--http-stream-idle-timeout=200ms"];
    play([
        unanswered("a slow head", begun, "request_head_timeout").with(soon).late(),
        unanswered("one beside a request", after, "request_head_timeout").with(soon).late(),
        unanswered("slow content", [post(1), frame(DATA, 0, 1, b"a")].concat(), "stream_idle_timeout")
            .with(idle)
            .late(),
        server("a slow response", headers(1, END_HEADERS, OK), "stream_idle_timeout").with(idle).late(),
    ]);
}
