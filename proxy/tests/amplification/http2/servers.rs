//! Hostile servers.

use super::*;

/// A client that lets everything come, and does not remember fields.
fn asking(count: u32) -> Part {
    let lets_all_come = [(INITIAL_WINDOW_SIZE, WIDE), (HEADER_TABLE_SIZE, 0)];
    client(&lets_all_come, [window(0, WIDE - 65_535), on_each(count, get)].concat())
}

/// In answer to one request.
fn says(name: &'static str, says: Vec<u8>) -> Case {
    case(name, asking(1), server(1, &[], says))
}

/// The same to a client that does not read.
fn deaf(name: &'static str, says: Vec<u8>) -> Case {
    case(name, asking(1).deaf(), server(1, &[], says))
}

/// After a head.
fn begun(more: &[u8]) -> Vec<u8> {
    [&headers(END_HEADERS, 1, &answers()), more].concat()
}

#[test]
fn heads() {
    let alone = crate::alone();
    let remembered = [answers(), field(REMEMBERED, "x", &"v".repeat(4000))].concat();
    let interim = headers(END_HEADERS, 1, &field(ONCE, ":status", "103"));
    let bombs = |name| server(100, &[], bombs(name, &answers(), END_HEADERS | END_STREAM, 100));
    measure(
        &alone,
        &[
            says("many fields", endless(&answers(), &field(ONCE, "a", ""), 1_000_000)),
            says("a bomb", endless(&remembered, &[LATEST], 100_000)),
            says("CONTINUATION without fields", endless_without_fields()),
            says("interim responses", interim.repeat(20_000)),
            deaf("interim responses to a deaf client", interim.repeat(20_000)),
            case("bombs", asking(100), bombs("x")),
            case("bombs to a deaf client", asking(100).deaf(), bombs("x")),
            case("bombs of cookies", asking(100).deaf(), bombs("set-cookie")),
        ],
    );
}

#[test]
fn content() {
    let alone = crate::alone();
    let small = field(ONCE, "a", "");
    measure(
        &alone,
        &[
            says("content", begun(&full(1, 600))),
            deaf("content to a deaf client", begun(&full(1, 600))),
            says("empty content", begun(&frame(DATA, 0, 1, b"").repeat(20_000))),
            says("content in short frames", begun(&bytes(1, 60_000))),
            deaf("content in short frames to a deaf client", begun(&bytes(1, 60_000))),
            says("trailers", begun(&headers(END_HEADERS | END_STREAM, 1, &small.repeat(190)))),
            says("many trailers", begun(&endless(b"", &small, 1_000_000))),
            says("window by window", begun(&window(1, 1).repeat(900))),
        ],
    );
}
