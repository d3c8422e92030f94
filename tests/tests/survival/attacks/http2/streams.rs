//! What clients do by opening streams.

use super::*;
use crate::attacks::{Attacker, CARRIED, measure, measure_with};

/// What requests of a few bytes may take, each of which becomes up to 200 fields, or 64 KiB of them. Nearly all of it is h2's, which
/// decodes and encodes some twelve million fields a second (72 to 78 times the client's time for 190 fields each); and nothing can be
/// refused, since references are what they are for. It is below the hundred times that others call an attack.
const MOST_OF_REQUESTS: f64 = 100.0;

/// A thousand requests, whose client leaves when it has asked.
fn asks(name: &'static str, says: &dyn Fn(u32) -> Vec<u8>) -> Attack {
    let says = Part::says(opening(&on_each(1_000, says))).ending();
    Attack { client: says, most: MOST_OF_REQUESTS, ..client(name, vec![], CARRIED) }
}

/// Streams that break rules, each in another way.
#[test]
fn clients_pay_for_broken_streams() {
    let itself = |stream: u32| frame(PRIORITY, 0, stream, [&stream.to_be_bytes()[..], &[0]].concat());
    let trailers = |stream, flags| frame(HEADERS, END_HEADERS | flags, stream, literal(b"a", b""));
    let of_a_byte =
        |stream| frame(HEADERS, END_HEADERS, stream, [POST, &literal(b"content-length", b"1")].concat());
    let each = |name, told, frames: &dyn Fn(u32) -> Vec<u8>| client(name, on_each(MANY, frames), told);
    let attacks = [
        each("windows of nothing", BROKEN, &|stream| [post(stream), window_update(stream, 0)].concat()),
        each("too large windows", CARRIED, &|stream| {
            [post(stream), window_update(stream, 0x7fff_ffff)].concat()
        }),
        each("DATA after the end", BROKEN, &|stream| [get(stream), frame(DATA, 0, stream, b"x")].concat()),
        each("HEADERS after the end", BROKEN, &|stream| get(stream).repeat(2)),
        each("trailers after trailers", BROKEN, &|stream| {
            [post(stream), trailers(stream, END_STREAM).repeat(2)].concat()
        }),
        each("trailers without an end", CARRIED, &|stream| [post(stream), trailers(stream, 0)].concat()),
        each("streams that depend on themselves", CARRIED, &|stream| [post(stream), itself(stream)].concat()),
        each("a wrong length", CARRIED, &|stream| {
            [of_a_byte(stream), frame(DATA, 0, stream, b"xx")].concat()
        }),
        each("malformed requests", "broken_stream_flood", &|stream| {
            get_with(stream, &literal(b"connection", b"x"))
        }),
        each("refused requests", "http2.host_not_authority", &|stream| {
            get_with(stream, &literal(b"host", b"x"))
        }),
    ];
    measure(Attacker::Client, &attacks);
}

/// All but the first, so that it is these which are measured.
#[test]
fn clients_pay_for_streams_that_are_too_many() {
    let attacks = [client("streams", on_each(10_000, post), CARRIED)];
    measure_with(&["--http2-max-streams", "1"], Attacker::Client, &attacks);
}

/// Requests within all limits, each of a few bytes. They cost what they are for; what is measured is that this has a bound, too.
#[test]
fn clients_pay_for_requests_that_unfold() {
    let bombs = |name: &'static str| {
        move |stream| match stream {
            1 => get_with(stream, &long_field(name)),
            _ => get_with(stream, &[LATEST; 15]),
        }
    };
    let sizes = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, [b"\x20\x20", GET].concat());
    let attacks = [
        asks("requests", &get),
        asks("many fields of the table", &|stream| get_with(stream, &[0x90; 190])),
        asks("bombs", &bombs("x")),
        asks("bombs of cookies", &bombs("cookie")),
        asks("entries of the table", &|stream| get_with(stream, b"\x40\x01x\x01v")),
        asks("sizes of the table", &sizes),
    ];
    measure(Attacker::Client, &attacks);
}
