//! What servers send in answer to a request.

use super::*;
use crate::attacks::{Attacker, CARRIED, measure, measure_outbound};

/// A server that does not keep to the rules.
const VIOLATED: &str = "\"response_flags\":\"UPE\"";

pub(super) fn server(name: &'static str, says: Vec<u8>, told: &'static str) -> Attack {
    Attack {
        name,
        client: Part::says(leaving(&get(1))),
        server: Part::answers_frames(says),
        told,
        most: MOST,
    }
}

/// A head and no end, and then this.
fn begun(more: Vec<u8>) -> Vec<u8> {
    [frame(HEADERS, END_HEADERS, 1, OK), more].concat()
}

fn ends(fields: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, fields)
}

fn floods() -> Vec<Attack> {
    let flood = |frames: &[u8]| frames.repeat(MANY);
    let pushed = frame(PUSH_PROMISE, END_HEADERS, 1, [&[0, 0, 0, 2], GET].concat());
    vec![
        server("resets", flood(&reset(1, CANCEL)), "upstream_reset_before_response_started{remote_reset}"),
        server("CONTINUATION without fields", endless(OK, b"", MANY), VIOLATED),
        server("full CONTINUATION", endless(OK, &full_field(), 20), VIOLATED),
        server("a bomb of cookies", bomb(OK), VIOLATED),
        server("PING", flood(&ping(&[0; 8])), VIOLATED),
        server("answers to no PING", flood(&frame(PING, ACK, 0, [0; 8])), VIOLATED),
        server("SETTINGS", flood(&greeting()), VIOLATED),
        server("full SETTINGS", flood(&settings(&[(4, 70_000); 2_730])), VIOLATED),
        server("empty DATA", begun(flood(&frame(DATA, 0, 1, b""))), VIOLATED),
        server("DATA of padding", begun(flood(&frame(DATA, PADDED, 1, [1, 0]))), VIOLATED),
        server("windows", flood(&window_update(0, 1)), VIOLATED),
        server("windows of a stream", flood(&window_update(1, 1)), VIOLATED),
        server("windows of nothing", flood(&window_update(1, 0)), VIOLATED),
        server("PRIORITY", flood(&frame(PRIORITY, 0, 1, [0; 5])), VIOLATED),
        server("unknown frames", flood(&frame(0xfa, 0, 0, [])), VIOLATED),
        server("GOAWAY", flood(&goaway(1, NO_ERROR)), VIOLATED),
        server("PUSH_PROMISE", flood(&pushed), VIOLATED),
        server("interim responses", flood(&frame(HEADERS, END_HEADERS, 1, HINTS)), VIOLATED),
        server("trailers after trailers", begun(flood(&ends(&literal(b"a", b"")))), VIOLATED),
    ]
}

#[test]
fn servers_pay_for_floods() {
    measure(Attacker::Server, &floods());
}

#[test]
fn servers_of_shared_connections_pay_for_floods() {
    measure_outbound(Attacker::Server, &floods());
}

#[test]
fn servers_pay_for_what_they_cost() {
    let broken_off = [window_update(1, 0), frame(DATA, 0, 1, b"x").repeat(MANY)].concat();
    let attacks = [
        server("a malformed response", ends(&[OK, &literal(b"connection", b"x")].concat()), VIOLATED),
        server("content of a stream that is broken off", begun(broken_off), VIOLATED),
        server("more than a window", begun(frame(DATA, 0, 1, [0; 16_384]).repeat(20)), VIOLATED),
        server("GOAWAY before an answer", goaway(0, NO_ERROR), CARRIED),
    ];
    measure(Attacker::Server, &attacks);
}
