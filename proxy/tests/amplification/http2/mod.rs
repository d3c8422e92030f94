//! Peers of HTTP/2.
//!
//! Beyond what every peer may make the proxy hold, a connection has two sets of buffers and tables, and each stream that is open what
//! a connection of HTTP/1 has: that is there however little is sent. A field counts as RFC 9113 has peers count it (section 6.5.2).

mod clients;
mod servers;

use crate::peers::{Asked, Part};
use crate::{Alone, Case};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

const HEADER_TABLE_SIZE: u8 = 1;
const INITIAL_WINDOW_SIZE: u8 = 4;

/// The most that a window can be (RFC 9113, section 6.9.1).
const WIDE: u32 = 0x7fff_ffff;

/// What the proxy takes of a connection, and of its streams.
const STREAMS: u32 = 1000;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn settings(values: &[(u8, u32)]) -> Vec<u8> {
    let values: Vec<u8> =
        values.iter().flat_map(|(id, value)| [&[0, *id][..], &value.to_be_bytes()].concat()).collect();
    [frame(SETTINGS, 0, 0, &values), frame(SETTINGS, ACK, 0, &[])].concat()
}

fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

/// A field (RFC 7541, section 6.2) as it is; `first` says whether it is remembered.
fn field(first: u8, name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![first];
    for text in [name, value] {
        // Section 5.1: 127 and what is left of a length, by seven bits.
        match text.len() {
            short @ ..127 => field.push(u8::try_from(short).unwrap()),
            long => {
                let rest = long - 127;
                let digits = [rest % 128 + 128, rest / 128 % 128 + 128, rest / 128 / 128];
                field.push(127);
                field.extend(digits.map(|digit| u8::try_from(digit).expect("a length below 2 MiB")));
            }
        }
        field.extend(text.as_bytes());
    }
    field
}

const ONCE: u8 = 0x00;
const REMEMBERED: u8 = 0x40;

/// The latest field that is remembered (RFC 7541, section 2.3.3).
const LATEST: u8 = 0x80 + 62;

/// A request's fields.
fn asks(method: &str) -> Vec<u8> {
    [(":method", method), (":scheme", "http"), (":authority", "web"), (":path", "/")]
        .map(|(name, value)| field(ONCE, name, value))
        .concat()
}

/// A response's.
fn answers() -> Vec<u8> {
    field(ONCE, ":status", "200")
}

fn headers(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, flags, stream, block)
}

fn get(stream: u32) -> Vec<u8> {
    headers(END_HEADERS | END_STREAM, stream, &asks("GET"))
}

fn post(stream: u32) -> Vec<u8> {
    headers(END_HEADERS, stream, &asks("POST"))
}

/// Of a client.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| 2 * number + 1)
}

fn on_each(count: u32, frames: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    streams(count).flat_map(frames).collect()
}

fn client(values: &[(u8, u32)], says: impl AsRef<[u8]>) -> Part {
    let greeting = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings(values)[..]].concat();
    Part::new([&greeting[..], says.as_ref()].concat())
}

/// Answers when it has been asked `after` times.
fn server(after: u32, values: &[(u8, u32)], says: impl AsRef<[u8]>) -> Part {
    let after = after.try_into().unwrap();
    Part { greets: settings(values), after, frames: true, ..Part::new(says.as_ref().to_vec()) }
}

/// Reads, and says nothing but that it is there.
fn listens() -> Part {
    server(1, &[], [])
}

fn case(name: &'static str, client: Part, server: Part) -> Case {
    Case { name, client, server, fields: 0 }
}

/// What there is of a connection, whatever is sent on it, and of each of its streams.
const CONNECTION: usize = 256 * 1024;
const STREAM: usize = 6 * 1024;

/// What a field has besides its bytes, or the place of its bytes in a table.
const FIELD: usize = 32;

/// The streams that a client may have at once.
const MOST_STREAMS: usize = 1024;

fn measure(alone: &Alone, cases: &[Case]) {
    crate::measure(alone, (&ordinary(), cases), |case, sent| {
        let mut asked = Asked::default();
        case.client.says.iter().for_each(|byte| asked.read(*byte, true));
        4 * (sent + FIELD * case.fields) + 64 * 1024 + CONNECTION + STREAM * asked.times().min(MOST_STREAMS)
    });
}

fn ordinary() -> Case {
    let answer = headers(END_HEADERS | END_STREAM, 1, &answers());
    case("an exchange", client(&[], get(1)), server(1, &[], answer))
}

/// A block of fields in frames of some size, which does not end.
fn endless(begin: &[u8], repeated: &[u8], bytes: usize) -> Vec<u8> {
    let block = repeated.repeat(bytes / repeated.len());
    let parts = block.chunks(16_000).map(|part| frame(CONTINUATION, 0, 1, part));
    [headers(0, 1, begin), parts.collect::<Vec<_>>().concat()].concat()
}

fn endless_without_fields() -> Vec<u8> {
    [headers(0, 1, b""), frame(CONTINUATION, 0, 1, b"").repeat(20_000)].concat()
}

/// Blocks that refer to one long field again and again, up to what a head may have.
fn bombs(name: &str, begin: &[u8], flags: u8, count: u32) -> Vec<u8> {
    let long = field(REMEMBERED, name, &"v".repeat(4000));
    let first = [begin, &long].concat();
    on_each(count, |stream| match stream {
        1 => headers(flags, stream, &first),
        _ => headers(flags, stream, &[begin, &[LATEST; 15]].concat()),
    })
}

/// Frames of content of a byte.
fn bytes(stream: u32, count: usize) -> Vec<u8> {
    frame(DATA, 0, stream, b"x").repeat(count)
}

fn full(stream: u32, count: usize) -> Vec<u8> {
    frame(DATA, 0, stream, &[b'x'; 16_000]).repeat(count)
}
