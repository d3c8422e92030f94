//! RFC 7541: blocks of fields of responses.
//!
//! Mirror of the server face's: the same representations, of which a client has to refuse the same ones.

use super::{Case, Dies, Lives, Status};
use crate::frames::*;

const BAD: &[u32] = &[COMPRESSION_ERROR, PROTOCOL_ERROR];

/// `:status 200`.
const OK: &[u8] = &[0x88];

fn whole(fields: &[u8]) -> Vec<u8> {
    headers(1, END_STREAM | END_HEADERS, fields)
}

fn raw(more: &[u8]) -> Vec<u8> {
    whole(&[OK, more].concat())
}

/// An interim response that puts a field into the table.
fn interim() -> Vec<u8> {
    headers(1, END_HEADERS, [block(&[(":status", "103")]), b"\x40\x01x\x01y".to_vec()].concat())
}

/// And the final one, which has it, too.
fn again(more: &[u8]) -> Vec<u8> {
    [interim(), raw(more)].concat()
}

/// The same where the table was emptied in between.
fn emptied(more: &[u8]) -> Vec<u8> {
    [interim(), whole(&[&[0x20], OK, more].concat())].concat()
}

pub(super) const CASES: &[Case] = &[
    ("7541 2.3.2", "a field of the table that was filled", || again(&[0x80 | 62]), Lives, Status(200)),
    ("7541 2.3.3", "a field beyond the table", || raw(&[0x80 | 70]), Dies(BAD), Status(502)),
    ("7541 2.3.3", "a name beyond the table", || raw(&[0x40 | 63, 1, b'y']), Dies(BAD), Status(502)),
    (
        "7541 2.3.3",
        "a field beyond the table that was filled",
        || again(&[0x80 | 63]),
        Dies(BAD),
        Status(502),
    ),
    ("7541 4.2", "a smaller table", || whole(&[0x20, 0x88]), Lives, Status(200)),
    (
        "7541 4.2",
        "a smaller table and the largest again",
        || whole(&[0x20, 0x3f, 0xe1, 0x1f, 0x88]),
        Lives,
        Status(200),
    ),
    ("7541 4.2", "another size of the table after fields", || raw(&[0x20]), Dies(BAD), Status(502)),
    ("7541 4.3", "a field of a table that was emptied", || emptied(&[0x80 | 62]), Dies(BAD), Status(502)),
    (
        "7541 5.1",
        "a number that no reader holds",
        || raw(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        Dies(BAD),
        Status(502),
    ),
    ("7541 5.1", "a number that does not end", || raw(&[0xff, 0x80]), Dies(BAD), Status(502)),
    (
        "7541 5.2",
        "a value longer than the block",
        || raw(&[0x00, 0x01, b'x', 0x05, b'a']),
        Dies(BAD),
        Status(502),
    ),
    ("7541 5.2", "a name longer than the block", || raw(&[0x00, 0x20, b'x']), Dies(BAD), Status(502)),
    ("7541 5.2", "a block that ends within a field", || raw(&[0x00]), Dies(BAD), Status(502)),
    (
        "7541 5.2",
        "a compressed value",
        || raw(&[0x00, 0x01, b'x', 0x83, 0x1c, 0x64, 0x5f]),
        Lives,
        Status(200),
    ),
    ("7541 5.2", "a value padded by zeros", || raw(&[0x00, 0x01, b'x', 0x81, 0x18]), Dies(BAD), Status(502)),
    (
        "7541 5.2",
        "a value padded by more than seven bits",
        || raw(&[0x00, 0x01, b'x', 0x82, 0x1f, 0xff]),
        Dies(BAD),
        Status(502),
    ),
    (
        "7541 5.2",
        "a value with the end of strings",
        || raw(&[0x00, 0x01, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]),
        Dies(BAD),
        Status(502),
    ),
    ("7541 6.1", "the field that is none", || raw(&[0x80]), Dies(BAD), Status(502)),
    ("7541 6.1", "fields of the static table", || raw(&[0x80 | 34, 0x80 | 51]), Lives, Status(200)),
    ("7541 6.2.1", "a field for the table", || raw(b"\x40\x01x\x01y"), Lives, Status(200)),
    ("7541 6.2.2", "a field for no table", || raw(b"\x00\x01x\x01y"), Lives, Status(200)),
    ("7541 6.2.3", "a field that is never for a table", || raw(b"\x10\x01x\x01y"), Lives, Status(200)),
    (
        "7541 6.3",
        "a table larger than is allowed",
        || whole(&[0x3f, 0xe2, 0x1f, 0x88]),
        Dies(BAD),
        Status(502),
    ),
    (
        "7541 6.3",
        "a table of 2^31",
        || whole(&[0x3f, 0xe1, 0xff, 0xff, 0xff, 0x07, 0x88]),
        Dies(BAD),
        Status(502),
    ),
];
