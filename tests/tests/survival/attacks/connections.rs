//! Of connections themselves, and of the time that is waited for what a client says first.

use super::peers::Part;
use super::{Attack, Attacker, CARRIED, MOST, measure, measure_with};
use crate::frames::*;

/// The log of a client that had said nothing which is any protocol's; and of one that had broken off.
const OPAQUE: &str = "\"detected_protocol\":\"opaque\"";
const HTTP2: &str = "\"detected_protocol\":\"http2\"";
const LEFT: &str = "\"response_flags\":\"DC\"";

/// Of a server that was gone before it had answered.
const NO_ANSWER: &str = "\"response_code\":503";

/// As much as everybody says alike of a client's first record of TLS.
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// To a server that hears it.
fn client(name: &'static str, client: Part, told: &'static str) -> Attack {
    Attack { name, client, server: Part::says([]), told, most: MOST }
}

#[test]
fn clients_that_leave_at_once_pay_for_it() {
    let attacks = [
        client("connections", Part::says([]).closing(), OPAQUE),
        client("connections that are reset", Part::says([]).resetting(), LEFT),
        client("half a line", Part::says("GET / HT").closing(), OPAQUE),
        client("half a line, and an end", Part::says("GET / HT").ending(), OPAQUE),
        client(
            "half a head",
            Part::says("GET / HTTP/1.1\r\nHost: a\r\n").closing(),
            "http1.request_head_ended",
        ),
        client("half a preface", Part::says(&PREFACE[..10]).closing(), OPAQUE),
        client("a preface", Part::says(PREFACE).closing(), HTTP2),
        client("settings", Part::says(opening(b"")).closing(), HTTP2),
        client("half a hello", Part::says(HELLO).closing(), OPAQUE),
        client(
            "a hello byte by byte",
            Part::says([HELLO, &[0; 500]].concat()).in_pieces(1).closing(),
            OPAQUE,
        ),
    ];
    measure(Attacker::Client, &attacks);
}

#[test]
fn clients_that_are_slow_pay_for_it() {
    let get = frame(HEADERS, END_HEADERS | END_STREAM, 1, [GET, &literal(b"x", b"y")].concat());
    let (part, _) = get.split_at(get.len() - 1);
    let attacks = [
        client(
            "a head that does not end",
            Part::says("GET / HTTP/1.1\r\nHost: a\r\n"),
            "request_head_timeout",
        ),
        client("a head of HTTP/2 that does not end", Part::says(opening(part)), HTTP2),
    ];
    measure_with(&["--http-head-timeout", "1ms"], Attacker::Client, &attacks);
}

/// To a client that asks for something.
fn server(name: &'static str, server: Part, told: &'static str) -> Attack {
    Attack {
        name,
        client: Part::says("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        server,
        told,
        most: MOST,
    }
}

#[test]
fn servers_that_leave_at_once_pay_for_it() {
    let attacks = [
        server("connections", Part::says([]).closing(), CARRIED),
        server("connections that are reset", Part::says([]).resetting(), CARRIED),
        server("a request without an answer", Part::answers(b"\r\n\r\n", []).closing(), NO_ANSWER),
        server("half a line", Part::answers(b"\r\n\r\n", "HTTP/1.1 2").closing(), NO_ANSWER),
    ];
    measure(Attacker::Server, &attacks);
}
