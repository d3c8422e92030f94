//! Frames that carry next to nothing, as frames of short messages do.

use super::*;
use crate::attacks::{Attacker, measure};

/// What frames of a byte may take. h2 takes ten times as long for a frame as the kernel for its ten bytes, which is more than an
/// attack may cost; nothing can be refused here, since who speaks in short messages sends the like. It is still below the hundred
/// times that others call an attack.
const MOST_OF_SHORT: f64 = 100.0;

/// Content of a byte each, within the windows that there are at first.
const SHORT: usize = 60_000;

fn short(attack: Attack) -> Attack {
    Attack { most: MOST_OF_SHORT, ..attack }
}

/// Content in such frames, and its end.
fn content(data: &[u8], times: usize) -> Vec<u8> {
    [data.repeat(times), frame(DATA, END_STREAM, 1, b"")].concat()
}

#[test]
fn clients_pay_for_short_frames() {
    let call = [POST, &literal(b"content-type", b"application/grpc")].concat();
    // A message of gRPC without a byte.
    let messages = content(&frame(DATA, 0, 1, [0; 5]), SHORT / 5);
    let padded = frame(DATA, PADDED, 1, [&[255][..], b"x", &[0; 255]].concat());
    let attacks = [
        short(client(
            "DATA of a byte",
            [post(1), content(&frame(DATA, 0, 1, b"x"), SHORT)].concat(),
            ANSWERED,
        )),
        short(client("empty messages", [frame(HEADERS, END_HEADERS, 1, call), messages].concat(), ANSWERED)),
        client("DATA of a byte, padded", [post(1), content(&padded, SHORT / 257)].concat(), ANSWERED),
    ];
    measure(Attacker::Client, &attacks);
}

#[test]
fn servers_pay_for_short_frames() {
    let says = [frame(HEADERS, END_HEADERS, 1, OK), content(&frame(DATA, 0, 1, b"x"), SHORT)].concat();
    measure(Attacker::Server, &[short(super::servers::server("DATA of a byte", says, ANSWERED))]);
}
