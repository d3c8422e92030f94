//! RFC 9113, sections 3.4 to 6.10: frames, by themselves and in their order.

use super::{Case, Closes, Dies, Lives, Resets, Responds};
use crate::frames::*;

const BAD: &[u32] = &[PROTOCOL_ERROR];
const SIZE: &[u32] = &[FRAME_SIZE_ERROR];
const WINDOW: &[u32] = &[FLOW_CONTROL_ERROR];

/// A request whose fields go on.
fn open_block() -> Vec<u8> {
    headers(1, END_STREAM, get_with(&[]).split_at(8).0)
}

fn rest_of_block(stream: u32) -> Vec<u8> {
    frame(CONTINUATION, END_HEADERS, stream, get_with(&[]).split_at(8).1)
}

pub(super) const CASES: &[Case] = &[
    ("9113 3.4", "a preface that ends otherwise", || b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec(), Closes),
    ("9113 3.4", "PING before settings", || [PREFACE, &ping(&[0; 8])].concat(), Dies(BAD)),
    ("9113 3.4", "a request before settings", || [PREFACE, &get(1)].concat(), Dies(BAD)),
    (
        "9113 3.4",
        "an acknowledgement before settings",
        || [PREFACE, &frame(SETTINGS, ACK, 0, [])].concat(),
        Dies(BAD),
    ),
    ("9113 3.4", "empty settings", || [PREFACE, &settings(&[]), &get(1)].concat(), Responds),
    ("9113 4.1", "a frame of an unknown type", || frame(0xfa, 0xff, 0, [1; 20]), Lives),
    ("9113 4.1", "a frame of an unknown type for a stream", || frame(0xfa, 0, 7, []), Lives),
    ("9113 4.1", "flags that PING does not have", || frame(PING, 0xfe, 0, [0; 8]), Lives),
    ("9113 4.1", "flags that SETTINGS does not have", || frame(SETTINGS, 0xfe, 0, []), Lives),
    (
        "9113 4.1",
        "flags that WINDOW_UPDATE does not have",
        || frame(WINDOW_UPDATE, 0xff, 0, 1_u32.to_be_bytes()),
        Lives,
    ),
    (
        "9113 4.1",
        "flags that a request does not have",
        || headers(1, 0xd2 | END_STREAM | END_HEADERS & !PADDED, get_with(&[])),
        Responds,
    ),
    ("9113 4.1", "the reserved bit of PING", || frame(PING, 0, 1 << 31, [0; 8]), Lives),
    (
        "9113 4.1",
        "the reserved bit of a request",
        || headers(1 << 31 | 1, END_STREAM | END_HEADERS, get_with(&[])),
        Responds,
    ),
    (
        "9113 4.2",
        "the longest content",
        || [post(1), frame(DATA, END_STREAM, 1, [0; 16_384])].concat(),
        Responds,
    ),
    (
        "9113 4.2",
        "content that is too long",
        || [post(1), frame(DATA, 0, 1, [0; 16_385])].concat(),
        Dies(SIZE),
    ),
    ("9113 4.2", "fields that are too long", || headers(1, END_HEADERS, [0x82; 16_385]), Dies(SIZE)),
    ("9113 4.2", "settings that are too long", || frame(SETTINGS, 0, 0, [0; 16_386]), Dies(SIZE)),
    ("9113 4.2", "an unknown frame that is too long", || frame(0xfa, 0, 0, [0; 16_385]), Dies(SIZE)),
    (
        "9113 4.2",
        "GOAWAY that says to be as long as possible",
        || long_frame(0xff_ffff, GOAWAY, 0, 0, &[0; 9]),
        Dies(SIZE),
    ),
    ("9113 4.3", "a block in two frames", || [open_block(), rest_of_block(1)].concat(), Responds),
    (
        "9113 4.3",
        "a block in three frames, of which one is empty",
        || [open_block(), frame(CONTINUATION, 0, 1, []), rest_of_block(1)].concat(),
        Responds,
    ),
    (
        "9113 4.3",
        "PRIORITY within a block",
        || [open_block(), frame(PRIORITY, 0, 1, [0; 5]), rest_of_block(1)].concat(),
        Dies(BAD),
    ),
    (
        "9113 4.3",
        "PING within a block",
        || [open_block(), ping(&[0; 8]), rest_of_block(1)].concat(),
        Dies(BAD),
    ),
    ("9113 4.3", "SETTINGS within a block", || [open_block(), settings(&[])].concat(), Dies(BAD)),
    ("9113 4.3", "DATA within a block", || [open_block(), frame(DATA, 0, 1, [0])].concat(), Dies(BAD)),
    ("9113 4.3", "RST_STREAM within a block", || [open_block(), reset(1, CANCEL)].concat(), Dies(BAD)),
    ("9113 4.3", "WINDOW_UPDATE within a block", || [open_block(), window_update(0, 1)].concat(), Dies(BAD)),
    ("9113 4.3", "GOAWAY within a block", || [open_block(), goaway(0, NO_ERROR)].concat(), Dies(BAD)),
    ("9113 4.3", "another request within a block", || [open_block(), get(3)].concat(), Dies(BAD)),
    (
        "9113 5.5",
        "an unknown frame within a block",
        || [open_block(), frame(0xfa, 0, 1, [])].concat(),
        Dies(BAD),
    ),
    ("9113 5.5", "an unknown setting", || settings(&[(0xff, 1)]), Lives),
    ("9113 6.1", "content of no stream", || frame(DATA, 0, 0, [0]), Dies(BAD)),
    (
        "9113 6.1",
        "padded content",
        || [post(1), frame(DATA, PADDED | END_STREAM, 1, [2, b'a', 0, 0])].concat(),
        Responds,
    ),
    (
        "9113 6.1",
        "content that is all padding",
        || [post(1), frame(DATA, PADDED | END_STREAM, 1, [3, 0, 0, 0])].concat(),
        Responds,
    ),
    (
        "9113 6.1",
        "padding as long as the frame",
        || [post(1), frame(DATA, PADDED, 1, [4, 0, 0, 0])].concat(),
        Dies(BAD),
    ),
    (
        "9113 6.1",
        "padding longer than the frame",
        || [post(1), frame(DATA, PADDED, 1, [255, 0, 0, 0])].concat(),
        Dies(BAD),
    ),
    (
        "9113 6.1",
        "padding that has no length",
        || [post(1), frame(DATA, PADDED, 1, [])].concat(),
        Dies(&[PROTOCOL_ERROR, FRAME_SIZE_ERROR]),
    ),
    ("9113 6.2", "a request of no stream", || headers(0, END_STREAM | END_HEADERS, get_with(&[])), Dies(BAD)),
    (
        "9113 6.2",
        "padded fields",
        || headers(1, PADDED | END_STREAM | END_HEADERS, [vec![2], get_with(&[]), vec![0, 0]].concat()),
        Responds,
    ),
    (
        "9113 6.2",
        "fields with padding as long as the frame",
        || headers(1, PADDED | END_STREAM | END_HEADERS, [2, 0x82]),
        Dies(BAD),
    ),
    (
        "9113 6.2",
        "fields with a priority",
        || {
            headers(
                1,
                WITH_PRIORITY | END_STREAM | END_HEADERS,
                [vec![0, 0, 0, 0, 9], get_with(&[])].concat(),
            )
        },
        Responds,
    ),
    (
        "9113 6.2",
        "fields with half a priority",
        || headers(1, WITH_PRIORITY | END_STREAM | END_HEADERS, [0, 0]),
        Dies(&[PROTOCOL_ERROR, FRAME_SIZE_ERROR]),
    ),
    (
        "9113 6.2",
        "fields whose padding leaves no room for their priority",
        || headers(1, PADDED | WITH_PRIORITY | END_HEADERS, [6, 0, 0, 0, 0, 0, 0, 0]),
        Dies(BAD),
    ),
    ("9113 6.3", "PRIORITY of no stream", || frame(PRIORITY, 0, 0, [0; 5]), Dies(BAD)),
    ("9113 6.3", "a short PRIORITY", || frame(PRIORITY, 0, 1, [0; 4]), Resets(SIZE)),
    ("9113 6.3", "a long PRIORITY", || frame(PRIORITY, 0, 1, [0; 6]), Resets(SIZE)),
    (
        "9113 6.3",
        "PRIORITY of a stream that is not yet open",
        || frame(PRIORITY, 0, 9, [0, 0, 0, 1, 7]),
        Lives,
    ),
    ("9113 6.4", "RST_STREAM of no stream", || reset(0, CANCEL), Dies(BAD)),
    ("9113 6.4", "a short RST_STREAM", || [post(1), frame(RST_STREAM, 0, 1, [0; 3])].concat(), Dies(SIZE)),
    ("9113 6.4", "a long RST_STREAM", || [post(1), frame(RST_STREAM, 0, 1, [0; 5])].concat(), Dies(SIZE)),
    ("9113 6.4", "RST_STREAM with an unknown code", || [post(1), reset(1, 0xffff)].concat(), Lives),
    ("9113 6.5", "settings of a stream", || frame(SETTINGS, 0, 1, []), Dies(BAD)),
    ("9113 6.5", "half a setting", || frame(SETTINGS, 0, 0, [0, 3, 0]), Dies(SIZE)),
    ("9113 6.5", "a setting and a half", || frame(SETTINGS, 0, 0, [0, 3, 0, 0, 0, 1, 0, 3, 0]), Dies(SIZE)),
    (
        "9113 6.5",
        "an acknowledgement that is not empty",
        || frame(SETTINGS, ACK, 0, [0, 3, 0, 0, 0, 1]),
        Dies(SIZE),
    ),
    ("9113 6.5", "an acknowledgement too many", || frame(SETTINGS, ACK, 0, []), Dies(BAD)),
    ("9113 6.5.2", "pushes that are neither allowed nor not", || settings(&[(2, 2)]), Dies(BAD)),
    ("9113 6.5.2", "pushes allowed", || settings(&[(2, 1)]), Lives),
    ("9113 6.5.2", "a window of 2^31", || settings(&[(4, 1 << 31)]), Dies(WINDOW)),
    ("9113 6.5.2", "a window of 2^32 - 1", || settings(&[(4, u32::MAX)]), Dies(WINDOW)),
    ("9113 6.5.2", "the largest window", || settings(&[(4, (1 << 31) - 1)]), Lives),
    ("9113 6.5.2", "frames of less than 2^14", || settings(&[(5, 16_383)]), Dies(BAD)),
    ("9113 6.5.2", "frames of 2^24", || settings(&[(5, 1 << 24)]), Dies(BAD)),
    ("9113 6.5.2", "the longest frames", || settings(&[(5, (1 << 24) - 1)]), Lives),
    ("9113 6.5.2", "no table", || [settings(&[(1, 0)]), get(1)].concat(), Responds),
    ("9113 6.5.2", "no bound of fields", || [settings(&[(6, u32::MAX)]), get(1)].concat(), Responds),
    ("9113 6.5.2", "a setting twice", || [settings(&[(4, 1), (4, 100)]), get(1)].concat(), Responds),
    ("9113 6.6", "a push", || frame(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2, 0x82]), Dies(BAD)),
    (
        "9113 6.6",
        "a push after a request",
        || [post(1), frame(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2, 0x82])].concat(),
        Dies(BAD),
    ),
    ("9113 6.7", "PING of a stream", || frame(PING, 0, 1, [0; 8]), Dies(BAD)),
    ("9113 6.7", "a short PING", || frame(PING, 0, 0, [0; 7]), Dies(SIZE)),
    ("9113 6.7", "a long PING", || frame(PING, 0, 0, [0; 9]), Dies(SIZE)),
    ("9113 6.7", "a long answer", || frame(PING, ACK, 0, [0; 9]), Dies(SIZE)),
    ("9113 6.7", "an answer to nothing", || frame(PING, ACK, 0, [0; 8]), Lives),
    ("9113 6.8", "GOAWAY of a stream", || frame(GOAWAY, 0, 1, [0; 8]), Dies(BAD)),
    ("9113 6.8", "a short GOAWAY", || frame(GOAWAY, 0, 0, [0; 7]), Dies(SIZE)),
    (
        "9113 6.8",
        "GOAWAY with something to read",
        || [post(1), frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0debug"), frame(DATA, END_STREAM, 1, [])].concat(),
        Responds,
    ),
    (
        "9113 6.8",
        "GOAWAY that names more streams than the one before",
        || [goaway(0, NO_ERROR), goaway(2, NO_ERROR)].concat(),
        Closes,
    ),
    ("9113 6.9", "a short WINDOW_UPDATE", || frame(WINDOW_UPDATE, 0, 0, [0; 3]), Dies(SIZE)),
    ("9113 6.9", "a long WINDOW_UPDATE", || frame(WINDOW_UPDATE, 0, 0, [0; 5]), Dies(SIZE)),
    ("9113 6.9", "nothing more for the connection", || window_update(0, 0), Dies(BAD)),
    ("9113 6.9", "nothing more for a stream", || [post(1), window_update(1, 0)].concat(), Resets(BAD)),
    ("9113 6.9", "the reserved bit and nothing more", || window_update(0, 1 << 31), Dies(BAD)),
    (
        "9113 6.9.1",
        "a window of the connection beyond 2^31 - 1",
        || window_update(0, (1 << 31) - 1),
        Dies(WINDOW),
    ),
    (
        "9113 6.9.1",
        "a window of the connection beyond it by steps",
        || [window_update(0, 1 << 30), window_update(0, 1 << 30)].concat(),
        Dies(WINDOW),
    ),
    (
        "9113 6.9.1",
        "a window of a stream beyond 2^31 - 1",
        || [post(1), window_update(1, (1 << 31) - 1)].concat(),
        Resets(WINDOW),
    ),
    (
        "9113 6.9.1",
        "the largest window of the connection",
        || [window_update(0, (1 << 31) - 1 - 65_535), get(1)].concat(),
        Responds,
    ),
    (
        "9113 6.9.2",
        "settings by which a stream's window is too large",
        || [post(1), window_update(1, (1 << 31) - 1 - 65_535), settings(&[(4, 65_536)])].concat(),
        Dies(WINDOW),
    ),
    ("9113 6.10", "the rest of no block", || rest_of_block(1), Dies(BAD)),
    (
        "9113 6.10",
        "the rest of a block that has ended",
        || [post(1), frame(CONTINUATION, END_HEADERS, 1, [])].concat(),
        Dies(BAD),
    ),
    (
        "9113 6.10",
        "the rest of another stream's block",
        || [open_block(), rest_of_block(3)].concat(),
        Dies(BAD),
    ),
    (
        "9113 6.10",
        "the rest of a block of no stream",
        || [open_block(), rest_of_block(0)].concat(),
        Dies(BAD),
    ),
    (
        "9113 6.10",
        "the rest of a block after content",
        || [post(1), frame(DATA, 0, 1, [0]), rest_of_block(1)].concat(),
        Dies(BAD),
    ),
];
