//! RFC 9113, sections 5.1 to 5.4 and 8.1: streams, and which frames they may have when.

use super::{Case, Dies, Limited, Lives, Resets, Responds};
use crate::frames::*;

const BAD: &[u32] = &[PROTOCOL_ERROR];
/// RFC 9113, section 5.1, calls for the first; some make an error of the connection of it, and take the second.
const CLOSED_OR_BAD: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];

/// The first streams, all open.
fn posts(count: u32) -> Vec<u8> {
    (0..count).flat_map(|number| post(2 * number + 1)).collect()
}

/// For peers that say how many streams they take at once.
pub(super) const LIMITED: &[Limited] = &[
    (
        "9113 5.1.2",
        "as many streams as are allowed",
        |most| [posts(most), frame(DATA, END_STREAM, 2 * most - 1, [])].concat(),
        Responds,
    ),
    ("9113 5.1.2", "a stream too many", |most| posts(most + 1), Resets(&[REFUSED_STREAM, PROTOCOL_ERROR])),
    (
        "9113 5.1.2",
        "a stream after another has ended",
        |most| [posts(most), reset(1, CANCEL), get(2 * most + 1)].concat(),
        Responds,
    ),
];

pub(super) const CASES: &[Case] = &[
    ("9113 5.1", "content of an idle stream", || frame(DATA, END_STREAM, 1, [0]), Dies(BAD)),
    ("9113 5.1", "a reset of an idle stream", || reset(1, CANCEL), Dies(BAD)),
    ("9113 5.1", "a window of an idle stream", || window_update(1, 1), Dies(BAD)),
    ("9113 5.1", "the rest of an idle stream's block", || frame(CONTINUATION, END_HEADERS, 1, []), Dies(BAD)),
    ("9113 5.1", "a priority of an idle stream", || frame(PRIORITY, 0, 1, [0; 5]), Lives),
    (
        "9113 5.1",
        "content after the end",
        || [get(1), frame(DATA, 0, 1, [0])].concat(),
        Resets(CLOSED_OR_BAD),
    ),
    ("9113 5.1", "fields after the end", || [get(1), get(1)].concat(), Resets(CLOSED_OR_BAD)),
    (
        "9113 5.1",
        "the rest of a block after the end",
        || [get(1), frame(CONTINUATION, END_HEADERS, 1, [])].concat(),
        Dies(BAD),
    ),
    ("9113 5.1", "a window after the end", || [get(1), window_update(1, 1)].concat(), Lives),
    ("9113 5.1", "a priority after the end", || [get(1), frame(PRIORITY, 0, 1, [0; 5])].concat(), Lives),
    ("9113 5.1", "a reset after the end", || [get(1), reset(1, CANCEL)].concat(), Lives),
    (
        "9113 5.1",
        "content after a reset",
        || [post(1), reset(1, CANCEL), frame(DATA, 0, 1, [0])].concat(),
        Resets(CLOSED_OR_BAD),
    ),
    (
        "9113 5.1",
        "fields after a reset",
        || [post(1), reset(1, CANCEL), get(1)].concat(),
        Resets(CLOSED_OR_BAD),
    ),
    (
        "9113 5.1",
        "the rest of a block after a reset",
        || [post(1), reset(1, CANCEL), frame(CONTINUATION, 0, 1, [])].concat(),
        Dies(BAD),
    ),
    (
        "9113 5.1",
        "a window after a reset",
        || [post(1), reset(1, CANCEL), window_update(1, 1)].concat(),
        Lives,
    ),
    (
        "9113 5.1",
        "a priority after a reset",
        || [post(1), reset(1, CANCEL), frame(PRIORITY, 0, 1, [0; 5])].concat(),
        Lives,
    ),
    ("9113 5.1", "a second reset", || [post(1), reset(1, CANCEL), reset(1, CANCEL)].concat(), Lives),
    ("9113 5.1.1", "an even stream", || get(2), Dies(BAD)),
    ("9113 5.1.1", "a stream below the last one", || [get(5), get(3)].concat(), Dies(CLOSED_OR_BAD)),
    ("9113 5.1.1", "a stream that was left out", || [post(9), reset(3, CANCEL)].concat(), Lives),
    (
        "9113 5.1.1",
        "streams with others left out",
        || [post(5), reset(5, CANCEL), get(11)].concat(),
        Responds,
    ),
    ("9113 5.1.1", "the last stream that there is", || get(0x7fff_ffff), Responds),
    (
        "9113 5.3.1",
        "a priority that depends on itself",
        || frame(PRIORITY, 0, 1, [0, 0, 0, 1, 7]),
        Resets(BAD),
    ),
    (
        "9113 5.3.1",
        "a request that depends on itself",
        || {
            headers(
                1,
                WITH_PRIORITY | END_STREAM | END_HEADERS,
                [vec![0, 0, 0, 1, 7], get_with(&[])].concat(),
            )
        },
        Resets(BAD),
    ),
    ("9113 5.3.1", "a priority that excludes others", || frame(PRIORITY, 0, 3, [0x80, 0, 0, 1, 255]), Lives),
    (
        "9113 5.4.2",
        "a stream goes on beside one that is broken",
        || [post(1), reset(1, PROTOCOL_ERROR), get(3)].concat(),
        Responds,
    ),
    (
        "9113 8.1",
        "content and trailers",
        || {
            [post(1), frame(DATA, 0, 1, [0; 9]), headers(1, END_STREAM | END_HEADERS, block(&[("x", "y")]))]
                .concat()
        },
        Responds,
    ),
    (
        "9113 8.1",
        "trailers without content",
        || [post(1), headers(1, END_STREAM | END_HEADERS, block(&[("x", "y")]))].concat(),
        Responds,
    ),
    (
        "9113 8.1",
        "trailers that are not the end",
        || [post(1), headers(1, END_HEADERS, block(&[("x", "y")]))].concat(),
        Resets(BAD),
    ),
    (
        "9113 8.1",
        "a second head",
        || [post(1), headers(1, END_HEADERS, post_with(&[]))].concat(),
        Resets(BAD),
    ),
    (
        "9113 8.1",
        "content after trailers",
        || [post(1), headers(1, END_STREAM | END_HEADERS, block(&[])), frame(DATA, 0, 1, [0])].concat(),
        Resets(CLOSED_OR_BAD),
    ),
    (
        "9113 8.1",
        "empty content before the end",
        || [post(1), frame(DATA, 0, 1, []), frame(DATA, END_STREAM, 1, [])].concat(),
        Responds,
    ),
    (
        "9113 8.1.1",
        "as much content as is announced",
        || {
            [
                headers(1, END_HEADERS, post_with(&[("content-length", "3")])),
                frame(DATA, END_STREAM, 1, [0; 3]),
            ]
            .concat()
        },
        Responds,
    ),
    (
        "9113 8.1.1",
        "padding that is not content",
        || {
            [
                headers(1, END_HEADERS, post_with(&[("content-length", "1")])),
                frame(DATA, PADDED | END_STREAM, 1, [2, 0, 0, 0]),
            ]
            .concat()
        },
        Responds,
    ),
    (
        "9113 8.1.1",
        "more content than is announced",
        || {
            [
                headers(1, END_HEADERS, post_with(&[("content-length", "3")])),
                frame(DATA, END_STREAM, 1, [0; 4]),
            ]
            .concat()
        },
        Resets(BAD),
    ),
    (
        "9113 8.1.1",
        "more content than is announced, in two frames",
        || {
            [
                headers(1, END_HEADERS, post_with(&[("content-length", "3")])),
                frame(DATA, 0, 1, [0; 3]),
                frame(DATA, END_STREAM, 1, [0]),
            ]
            .concat()
        },
        Resets(BAD),
    ),
    (
        "9113 8.1.1",
        "less content than is announced",
        || {
            [
                headers(1, END_HEADERS, post_with(&[("content-length", "3")])),
                frame(DATA, END_STREAM, 1, [0; 2]),
            ]
            .concat()
        },
        Resets(BAD),
    ),
    (
        "9113 8.1.1",
        "less content than is announced, before trailers",
        || {
            [
                headers(1, END_HEADERS, post_with(&[("content-length", "3")])),
                headers(1, END_STREAM | END_HEADERS, block(&[])),
            ]
            .concat()
        },
        Resets(BAD),
    ),
    (
        "9113 8.1.1",
        "no content where some is announced",
        || headers(1, END_STREAM | END_HEADERS, post_with(&[("content-length", "3")])),
        Resets(BAD),
    ),
    (
        "9113 8.1.1",
        "no content where none is announced",
        || headers(1, END_STREAM | END_HEADERS, post_with(&[("content-length", "0")])),
        Responds,
    ),
    (
        "9113 8.1.1",
        "a length that is not a number",
        || headers(1, END_HEADERS, post_with(&[("content-length", "3x")])),
        Resets(BAD),
    ),
    (
        "9113 8.1.1",
        "a negative length",
        || headers(1, END_HEADERS, post_with(&[("content-length", "-3")])),
        Resets(BAD),
    ),
    (
        "9113 8.1.1",
        "a length with a sign",
        || headers(1, END_HEADERS, post_with(&[("content-length", "+3")])),
        Resets(BAD),
    ),
    (
        "9113 8.1.1",
        "a length that no number holds",
        || headers(1, END_HEADERS, post_with(&[("content-length", "99999999999999999999")])),
        Resets(BAD),
    ),
    (
        "9113 8.1.1",
        "a list of lengths",
        || headers(1, END_HEADERS, post_with(&[("content-length", "3, 3")])),
        Resets(BAD),
    ),
    (
        "9113 8.1.1",
        "two lengths",
        || headers(1, END_HEADERS, post_with(&[("content-length", "3"), ("content-length", "4")])),
        Resets(BAD),
    ),
    (
        "9113 8.1.1",
        "a length twice",
        || headers(1, END_HEADERS, post_with(&[("content-length", "3"), ("content-length", "3")])),
        Resets(BAD),
    ),
    (
        "9113 5.1",
        "content of a stream below the last one",
        || [get(5), frame(DATA, 0, 3, [0])].concat(),
        Resets(CLOSED_OR_BAD),
    ),
    ("9113 5.1", "content of a stream that the server would open", || frame(DATA, 0, 2, [0]), Dies(BAD)),
    ("9113 5.1", "a reset of a stream that the server would open", || reset(2, CANCEL), Dies(BAD)),
    ("9113 5.1", "a window of a stream that the server would open", || window_update(2, 1), Dies(BAD)),
    (
        "9113 5.1",
        "a second end",
        || [post(1), frame(DATA, END_STREAM, 1, []), frame(DATA, END_STREAM, 1, [])].concat(),
        Resets(CLOSED_OR_BAD),
    ),
];
