//! RFC 9113, sections 3.4 to 6.10: frames of servers, by themselves and in their order.

use super::{Broken, Case, Closes, Dies, Lives, Nothing, Reset, Resets, Status};
use crate::frames::*;

const BAD: &[u32] = &[PROTOCOL_ERROR];
const SIZE: &[u32] = &[FRAME_SIZE_ERROR];
const WINDOW: &[u32] = &[FLOW_CONTROL_ERROR];
const CLOSED_OR_BAD: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];

/// `:status 200`.
const OK: &[u8] = &[0x88];

fn ok() -> Vec<u8> {
    headers(1, END_STREAM | END_HEADERS, OK)
}

fn head() -> Vec<u8> {
    headers(1, END_HEADERS, OK)
}

fn open_block() -> Vec<u8> {
    headers(1, END_STREAM, OK)
}

fn rest_of_block(stream: u32) -> Vec<u8> {
    frame(CONTINUATION, END_HEADERS, stream, block(&[("x", "y")]))
}

pub(super) const CASES: &[Case] = &[
    ("9113 3.4", "a response before settings", ok, Dies(BAD), Status(502)),
    ("9113 3.4", "PING before settings", || ping(&[0; 8]), Dies(BAD), Status(502)),
    (
        "9113 3.4",
        "an acknowledgement before settings",
        || frame(SETTINGS, ACK, 0, []),
        Dies(BAD),
        Status(502),
    ),
    ("9113 3.4", "HTTP/1", || b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Closes, Status(502)),
    ("9113 3.4", "TLS", || vec![0x16, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], Dies(BAD), Status(502)),
    ("9113 3.4", "settings and a response", || [settings(&[]), ok()].concat(), Lives, Status(200)),
    (
        "9113 4.1",
        "a frame of an unknown type",
        || [frame(0xfa, 0xff, 0, [1; 20]), ok()].concat(),
        Lives,
        Status(200),
    ),
    (
        "9113 4.1",
        "flags that PING does not have",
        || [frame(PING, 0xfe, 0, [0; 8]), ok()].concat(),
        Lives,
        Status(200),
    ),
    (
        "9113 4.1",
        "the reserved bit of a response",
        || headers(1 << 31 | 1, END_STREAM | END_HEADERS, OK),
        Lives,
        Status(200),
    ),
    (
        "9113 4.2",
        "the longest content",
        || [head(), frame(DATA, END_STREAM, 1, [0; 16_384])].concat(),
        Lives,
        Status(200),
    ),
    (
        "9113 4.2",
        "content that is too long",
        || [head(), frame(DATA, 0, 1, [0; 16_385])].concat(),
        Dies(SIZE),
        Status(502),
    ),
    (
        "9113 4.2",
        "fields that are too long",
        || headers(1, END_HEADERS, [0x88; 16_385]),
        Dies(SIZE),
        Status(502),
    ),
    (
        "9113 4.2",
        "an unknown frame that is too long",
        || frame(0xfa, 0, 0, [0; 16_385]),
        Dies(SIZE),
        Status(502),
    ),
    ("9113 4.3", "a block in two frames", || [open_block(), rest_of_block(1)].concat(), Lives, Status(200)),
    ("9113 4.3", "PING within a block", || [open_block(), ping(&[0; 8])].concat(), Dies(BAD), Status(502)),
    (
        "9113 4.3",
        "content within a block",
        || [open_block(), frame(DATA, 0, 1, [0])].concat(),
        Dies(BAD),
        Status(502),
    ),
    ("9113 4.3", "another head within a block", || [open_block(), ok()].concat(), Dies(BAD), Status(502)),
    (
        "9113 4.3",
        "what cannot be decompressed",
        || headers(1, END_STREAM | END_HEADERS, [0x80 | 70]),
        Dies(&[PROTOCOL_ERROR, COMPRESSION_ERROR]),
        Status(502),
    ),
    (
        "9113 4.3",
        "a table larger than is allowed",
        || headers(1, END_STREAM | END_HEADERS, [0x3f, 0xe2, 0x1f, 0x88]),
        Dies(&[PROTOCOL_ERROR, COMPRESSION_ERROR]),
        Status(502),
    ),
    (
        "9113 4.3",
        "a block that ends within a field",
        || headers(1, END_STREAM | END_HEADERS, [0x88, 0]),
        Dies(&[PROTOCOL_ERROR, COMPRESSION_ERROR]),
        Status(502),
    ),
    ("9113 5.1", "an early response", ok, Lives, Status(200)),
    ("9113 5.1", "content before a head", || frame(DATA, END_STREAM, 1, [0]), Resets(BAD), Status(502)),
    (
        "9113 5.1",
        "content after the end",
        || [ok(), frame(DATA, 0, 1, [0])].concat(),
        Resets(CLOSED_OR_BAD),
        Broken(200, INTERNAL_ERROR),
    ),
    (
        "9113 5.1",
        "fields after the end",
        || [ok(), ok()].concat(),
        Resets(CLOSED_OR_BAD),
        Broken(200, INTERNAL_ERROR),
    ),
    ("9113 5.1", "a window after the end", || [ok(), window_update(1, 1)].concat(), Lives, Status(200)),
    ("9113 5.1", "a reset after the end", || [ok(), reset(1, NO_ERROR)].concat(), Lives, Status(200)),
    (
        "9113 5.1",
        "a response to what was not asked",
        || headers(3, END_STREAM | END_HEADERS, OK),
        Dies(BAD),
        Status(502),
    ),
    ("9113 5.1", "content of what was not asked", || frame(DATA, 0, 3, [0]), Dies(BAD), Status(502)),
    ("9113 5.1", "a reset of what was not asked", || reset(3, CANCEL), Dies(BAD), Status(502)),
    ("9113 5.1", "a window of what was not asked", || window_update(3, 1), Dies(BAD), Status(502)),
    (
        "9113 5.1",
        "a priority of what was not asked",
        || [frame(PRIORITY, 0, 3, [0; 5]), ok()].concat(),
        Lives,
        Status(200),
    ),
    (
        "9113 5.1.1",
        "a stream of its own",
        || headers(2, END_STREAM | END_HEADERS, OK),
        Dies(BAD),
        Status(502),
    ),
    ("9113 5.1.1", "content of a stream of its own", || frame(DATA, 0, 2, [0]), Dies(BAD), Status(502)),
    ("9113 5.1.1", "a reset of a stream of its own", || reset(2, CANCEL), Dies(BAD), Status(502)),
    ("9113 6.1", "content of no stream", || frame(DATA, 0, 0, [0]), Dies(BAD), Status(502)),
    (
        "9113 6.1",
        "padded content",
        || [head(), frame(DATA, PADDED | END_STREAM, 1, [2, b'a', 0, 0])].concat(),
        Lives,
        Status(200),
    ),
    (
        "9113 6.1",
        "padding as long as the frame",
        || [head(), frame(DATA, PADDED, 1, [4, 0, 0, 0])].concat(),
        Dies(BAD),
        Status(502),
    ),
    (
        "9113 6.2",
        "a response of no stream",
        || headers(0, END_STREAM | END_HEADERS, OK),
        Dies(BAD),
        Status(502),
    ),
    (
        "9113 6.2",
        "fields with padding as long as the frame",
        || headers(1, PADDED | END_HEADERS, [2, 0x88]),
        Dies(BAD),
        Status(502),
    ),
    (
        "9113 6.2",
        "fields with a priority",
        || headers(1, WITH_PRIORITY | END_STREAM | END_HEADERS, [0, 0, 0, 0, 9, 0x88]),
        Lives,
        Status(200),
    ),
    ("9113 6.3", "a short PRIORITY", || frame(PRIORITY, 0, 1, [0; 4]), Resets(SIZE), Status(502)),
    ("9113 6.4", "RST_STREAM of no stream", || reset(0, CANCEL), Dies(BAD), Status(502)),
    ("9113 6.4", "a short RST_STREAM", || frame(RST_STREAM, 0, 1, [0; 3]), Dies(SIZE), Status(502)),
    (
        "9113 6.4",
        "a stream that is refused, and is asked for again",
        || reset(1, REFUSED_STREAM),
        Lives,
        Nothing,
    ),
    ("9113 6.4", "a reset with an unknown code", || reset(1, 0xffff), Lives, Reset(0xffff)),
    (
        "9113 6.4",
        "a reset after the head",
        || [head(), reset(1, CANCEL)].concat(),
        Lives,
        Broken(200, CANCEL),
    ),
    ("9113 6.5", "settings of a stream", || frame(SETTINGS, 0, 1, []), Dies(BAD), Status(502)),
    ("9113 6.5", "half a setting", || frame(SETTINGS, 0, 0, [0, 3, 0]), Dies(SIZE), Status(502)),
    (
        "9113 6.5",
        "an acknowledgement that is not empty",
        || frame(SETTINGS, ACK, 0, [0; 6]),
        Dies(SIZE),
        Status(502),
    ),
    ("9113 6.5", "an acknowledgement too many", || frame(SETTINGS, ACK, 0, []), Dies(BAD), Status(502)),
    ("9113 6.5.2", "that it would take pushes", || settings(&[(2, 1)]), Dies(BAD), Status(502)),
    ("9113 6.5.2", "pushes that are neither allowed nor not", || settings(&[(2, 2)]), Dies(BAD), Status(502)),
    ("9113 6.5.2", "that it takes no pushes", || [settings(&[(2, 0)]), ok()].concat(), Lives, Status(200)),
    ("9113 6.5.2", "a window of 2^31", || settings(&[(4, 1 << 31)]), Dies(WINDOW), Status(502)),
    ("9113 6.5.2", "frames of less than 2^14", || settings(&[(5, 16_383)]), Dies(BAD), Status(502)),
    ("9113 6.5.2", "frames of 2^24", || settings(&[(5, 1 << 24)]), Dies(BAD), Status(502)),
    (
        "9113 6.5.2",
        "no streams at all, from now on",
        || [settings(&[(3, 0)]), ok()].concat(),
        Lives,
        Status(200),
    ),
    ("9113 6.5.2", "no table", || [settings(&[(1, 0)]), ok()].concat(), Lives, Status(200)),
    (
        "9113 6.6",
        "a push",
        || frame(PUSH_PROMISE, END_HEADERS, 1, [vec![0, 0, 0, 2], get_with(&[])].concat()),
        Dies(BAD),
        Status(502),
    ),
    (
        "9113 6.6",
        "a push of no stream",
        || frame(PUSH_PROMISE, END_HEADERS, 0, [0, 0, 0, 2, 0x82]),
        Dies(BAD),
        Status(502),
    ),
    ("9113 6.6", "a short push", || frame(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0]), Dies(SIZE), Status(502)),
    ("9113 6.7", "PING of a stream", || frame(PING, 0, 1, [0; 8]), Dies(BAD), Status(502)),
    ("9113 6.7", "a short PING", || frame(PING, 0, 0, [0; 7]), Dies(SIZE), Status(502)),
    ("9113 6.7", "an answer to nothing", || [frame(PING, ACK, 0, [0; 8]), ok()].concat(), Lives, Status(200)),
    ("9113 6.8", "GOAWAY of a stream", || frame(GOAWAY, 0, 1, [0; 8]), Dies(BAD), Status(502)),
    ("9113 6.8", "a short GOAWAY", || frame(GOAWAY, 0, 0, [0; 7]), Dies(SIZE), Status(502)),
    // Another connection cannot be made.
    ("9113 6.8", "GOAWAY before the stream was taken", || goaway(0, NO_ERROR), Closes, Status(503)),
    (
        "9113 6.8",
        "GOAWAY with an error before the stream was taken",
        || goaway(0, INTERNAL_ERROR),
        Closes,
        Status(503),
    ),
    (
        "9113 6.8",
        "GOAWAY that names more streams than the one before",
        || [goaway(1, NO_ERROR), goaway(5, NO_ERROR)].concat(),
        Closes,
        Status(502),
    ),
    ("9113 6.8", "GOAWAY and the response", || [goaway(1, NO_ERROR), ok()].concat(), Closes, Status(200)),
    ("9113 6.9", "a short WINDOW_UPDATE", || frame(WINDOW_UPDATE, 0, 0, [0; 3]), Dies(SIZE), Status(502)),
    ("9113 6.9", "nothing more for the connection", || window_update(0, 0), Dies(BAD), Status(502)),
    ("9113 6.9", "nothing more for a stream", || window_update(1, 0), Resets(BAD), Status(502)),
    (
        "9113 6.9.1",
        "a window of the connection beyond 2^31 - 1",
        || window_update(0, (1 << 31) - 1),
        Dies(WINDOW),
        Status(502),
    ),
    (
        "9113 6.9.1",
        "a window of a stream beyond 2^31 - 1",
        || window_update(1, (1 << 31) - 1),
        Resets(WINDOW),
        Status(502),
    ),
    ("9113 6.10", "the rest of no block", || rest_of_block(1), Dies(BAD), Status(502)),
    (
        "9113 6.10",
        "the rest of another stream's block",
        || [open_block(), rest_of_block(3)].concat(),
        Dies(BAD),
        Status(502),
    ),
    ("9113 5.5", "no answer", Vec::new, Lives, Nothing),
];
