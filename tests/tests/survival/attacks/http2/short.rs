//! Frames that carry next to nothing, as frames of short messages do.

use super::*;
use crate::attacks::{Attacker, measure};

/// What frames of a byte may take that are not joined, since each is of another stream than the one before. h2 takes ten times as
/// long for a frame as the kernel for its ten bytes, which is more than an attack may cost; nothing can be refused here, since who
/// speaks in short messages sends the like. It is still below the hundred times that others call an attack.
const MOST_OF_SHORT: f64 = 100.0;

/// What those may take that are joined: each is looked at, which takes a tenth of what it took to pass it on.
const MOST_OF_JOINED: f64 = 20.0;

/// Content of a byte each, within the windows that there are at first.
const SHORT: usize = 60_000;

/// Content in such frames, and its end.
fn content(data: &[u8], times: usize) -> Vec<u8> {
    [data.repeat(times), frame(DATA, END_STREAM, 1, b"")].concat()
}

fn joined(attack: Attack) -> Attack {
    Attack { most: MOST_OF_JOINED, ..attack }
}

/// Frames of two streams, one of each after the other.
fn in_turn() -> Attack {
    let both = [1, 3].map(|stream| frame(DATA, 0, stream, b"x")).concat().repeat(SHORT / 2);
    let ends = [1, 3].map(|stream| frame(DATA, END_STREAM, stream, b"")).concat();
    let attack = client("DATA of a byte in turn", [post(1), post(3), both, ends].concat(), ANSWERED);
    let answers = [1, 3].map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, OK)).concat();
    Attack { server: Part::answers_last_frame(answers), most: MOST_OF_SHORT, ..attack }
}

#[test]
fn clients_pay_for_short_frames() {
    let call = [POST, &literal(b"content-type", b"application/grpc")].concat();
    // A message of gRPC without a byte.
    let messages = content(&frame(DATA, 0, 1, [0; 5]), SHORT / 5);
    let padded = frame(DATA, PADDED, 1, [&[255][..], b"x", &[0; 255]].concat());
    let attacks = [
        joined(client(
            "DATA of a byte",
            [post(1), content(&frame(DATA, 0, 1, b"x"), SHORT)].concat(),
            ANSWERED,
        )),
        joined(client("empty messages", [frame(HEADERS, END_HEADERS, 1, call), messages].concat(), ANSWERED)),
        in_turn(),
        client("DATA of a byte, padded", [post(1), content(&padded, SHORT / 257)].concat(), ANSWERED),
    ];
    measure(Attacker::Client, &attacks);
}

#[test]
fn servers_pay_for_short_frames() {
    let says = [frame(HEADERS, END_HEADERS, 1, OK), content(&frame(DATA, 0, 1, b"x"), SHORT)].concat();
    measure(Attacker::Server, &[joined(super::servers::server("DATA of a byte", says, ANSWERED))]);
}
