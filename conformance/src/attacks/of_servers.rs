//! What servers attack by.

use super::{Attack, LATEST, nothing, remembered};
use crate::frames::*;

/// `:status 200`, and `:status 103` without an index.
const OK: &[u8] = &[0x88];
const HINTS: &[u8] = &[0x08, 0x03, b'1', b'0', b'3'];

/// Of a server that has been asked once, whose stream is 1.
pub(super) const OTHERS: &[Attack] = &[
    Attack {
        source: "CVE-2023-44487",
        name: "resets",
        first: || reset(1, CANCEL),
        round: |_| reset(1, CANCEL),
        frames: 1,
    },
    Attack {
        source: "VU#421644",
        name: "empty CONTINUATION",
        first: || headers(1, 0, OK),
        round: |_| frame(CONTINUATION, 0, 1, []),
        frames: 1,
    },
    Attack {
        source: "VU#421644",
        name: "full CONTINUATION",
        first: || headers(1, 0, OK),
        round: |_| frame(CONTINUATION, 0, 1, block(&[("x", &"y".repeat(16_000))])),
        frames: 1,
    },
    Attack {
        source: "CVE-2019-9518",
        name: "empty DATA",
        first: || headers(1, END_HEADERS, OK),
        round: |_| frame(DATA, 0, 1, []),
        frames: 1,
    },
    Attack {
        source: "9113 10.5",
        name: "PRIORITY",
        first: nothing,
        round: |_| frame(PRIORITY, 0, 1, [0; 5]),
        frames: 1,
    },
    Attack { source: "9113 10.5", name: "GOAWAY", first: nothing, round: |_| goaway(1, NO_ERROR), frames: 1 },
    Attack {
        source: "9113 10.5",
        name: "interim responses",
        first: nothing,
        round: |_| headers(1, END_HEADERS, HINTS),
        frames: 1,
    },
    Attack {
        source: "9113 10.5",
        name: "content of a stream that was broken off",
        first: || [headers(1, END_HEADERS, OK), window_update(1, 0)].concat(),
        round: |_| frame(DATA, 0, 1, []),
        frames: 1,
    },
    Attack {
        source: "CVE-2016-6581",
        name: "a bomb of fields",
        first: || headers(1, 0, [OK.to_vec(), remembered(4_000)].concat()),
        round: |_| frame(CONTINUATION, 0, 1, [LATEST; 1_000]),
        frames: 1,
    },
];
