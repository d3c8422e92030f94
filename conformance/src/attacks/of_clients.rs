//! What clients attack by.

use super::{Attack, LATEST, nothing, remembered};
use crate::frames::*;

/// The number of a client's stream.
fn odd(round: u32) -> u32 {
    2 * round + 3
}

/// Of a client; its first stream is open.
pub(super) const OTHERS: &[Attack] = &[
    Attack {
        source: "9113 10.5",
        name: "full SETTINGS",
        first: nothing,
        round: |_| settings(&[(4, 70_000); 2_730]),
        frames: 1,
    },
    Attack {
        source: "CVE-2023-44487",
        name: "resets",
        first: nothing,
        round: |round| [get(odd(round)), reset(odd(round), CANCEL)].concat(),
        frames: 2,
    },
    Attack {
        source: "9113 10.5",
        name: "resets of one stream",
        first: || reset(1, CANCEL),
        round: |_| reset(1, CANCEL),
        frames: 1,
    },
    Attack {
        source: "VU#421644",
        name: "empty CONTINUATION",
        first: || headers(3, END_STREAM, [0x82]),
        round: |_| frame(CONTINUATION, 0, 3, []),
        frames: 1,
    },
    Attack {
        source: "VU#421644",
        name: "full CONTINUATION",
        first: || headers(3, END_STREAM, [0x82]),
        round: |_| frame(CONTINUATION, 0, 3, block(&[("x", &"y".repeat(16_000))])),
        frames: 1,
    },
    Attack {
        source: "CVE-2019-9518",
        name: "empty DATA",
        first: nothing,
        round: |_| frame(DATA, 0, 1, []),
        frames: 1,
    },
    Attack {
        source: "9113 10.5",
        name: "DATA of padding",
        first: nothing,
        round: |_| frame(DATA, PADDED, 1, [1, 0]),
        frames: 1,
    },
    Attack {
        source: "9113 10.5",
        name: "PRIORITY",
        first: nothing,
        round: |round| frame(PRIORITY, 0, odd(round), [0; 5]),
        frames: 1,
    },
    Attack {
        source: "9113 10.5",
        name: "updates of priorities",
        first: nothing,
        round: |_| frame(0x10, 0, 0, [0, 0, 0, 1, b'u']),
        frames: 1,
    },
    Attack { source: "9113 10.5", name: "GOAWAY", first: nothing, round: |_| goaway(0, NO_ERROR), frames: 1 },
    Attack {
        source: "9113 10.5",
        name: "malformed requests",
        first: nothing,
        round: |round| headers(odd(round), END_STREAM | END_HEADERS, get_with(&[("connection", "x")])),
        frames: 1,
    },
    Attack {
        source: "9113 10.5",
        name: "requests that are refused",
        first: nothing,
        round: |round| headers(odd(round), END_STREAM | END_HEADERS, get_with(&[("host", "x")])),
        frames: 1,
    },
    Attack {
        source: "9113 10.5",
        name: "streams that a length breaks",
        first: nothing,
        round: |round| {
            [
                headers(odd(round), END_HEADERS, post_with(&[("content-length", "1")])),
                frame(DATA, 0, odd(round), [0; 2]),
            ]
            .concat()
        },
        frames: 2,
    },
    Attack {
        source: "9113 10.5",
        name: "streams that a window breaks",
        first: nothing,
        round: |round| [post(odd(round)), window_update(odd(round), i32::MAX as u32)].concat(),
        frames: 2,
    },
    Attack {
        source: "CVE-2016-6581",
        name: "a bomb of fields",
        first: || headers(3, 0, [get_with(&[]), remembered(4_000)].concat()),
        round: |_| frame(CONTINUATION, 0, 3, [LATEST; 1_000]),
        frames: 1,
    },
];
