//! RFC 7541: blocks of fields.
//!
//! What cannot be decompressed is an error of the connection, for which RFC 9113, section 4.3, has a code of its own; many take the
//! general one.

use super::{Case, Dies, Responds};
use crate::frames::*;

const BAD: &[u32] = &[COMPRESSION_ERROR, PROTOCOL_ERROR];

fn raw(more: &[u8]) -> Vec<u8> {
    headers(1, END_STREAM | END_HEADERS, [get_with(&[]), more.to_vec()].concat())
}

fn first(more: &[u8]) -> Vec<u8> {
    headers(1, END_STREAM | END_HEADERS, [more.to_vec(), get_with(&[])].concat())
}

/// Two requests, of which the second has what the first has put into the table.
fn again(more: &[u8]) -> Vec<u8> {
    let one = headers(1, END_HEADERS, [get_with(&[]), b"\x40\x01x\x01y".to_vec()].concat());
    let other = headers(3, END_STREAM | END_HEADERS, [get_with(&[]), more.to_vec()].concat());
    [one, other].concat()
}

pub(super) const CASES: &[Case] = &[
    ("7541 2.3.2", "a field of the table that was filled", || again(&[0x80 | 62]), Responds),
    ("7541 2.3.3", "a field beyond the table", || raw(&[0x80 | 70]), Dies(BAD)),
    ("7541 2.3.3", "a name beyond the table", || raw(&[0x40 | 63, 1, b'y']), Dies(BAD)),
    ("7541 2.3.3", "a field beyond the table that was filled", || again(&[0x80 | 63]), Dies(BAD)),
    ("7541 4.2", "a smaller table", || first(&[0x20]), Responds),
    ("7541 4.2", "a smaller table and the largest again", || first(&[0x20, 0x3f, 0xe1, 0x1f]), Responds),
    ("7541 4.2", "another size of the table after fields", || raw(&[0x20]), Dies(BAD)),
    (
        "7541 5.1",
        "a number that no reader holds",
        || raw(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        Dies(BAD),
    ),
    ("7541 5.1", "a number that does not end", || raw(&[0xff, 0x80]), Dies(BAD)),
    ("7541 5.2", "a value longer than the block", || raw(&[0x00, 0x01, b'x', 0x05, b'a']), Dies(BAD)),
    ("7541 5.2", "a name longer than the block", || raw(&[0x00, 0x20, b'x']), Dies(BAD)),
    ("7541 5.2", "a block that ends within a field", || raw(&[0x00]), Dies(BAD)),
    ("7541 5.2", "a compressed value", || raw(&[0x00, 0x01, b'x', 0x83, 0x1c, 0x64, 0x5f]), Responds),
    ("7541 5.2", "a value padded by zeros", || raw(&[0x00, 0x01, b'x', 0x81, 0x18]), Dies(BAD)),
    (
        "7541 5.2",
        "a value padded by more than seven bits",
        || raw(&[0x00, 0x01, b'x', 0x82, 0x1f, 0xff]),
        Dies(BAD),
    ),
    (
        "7541 5.2",
        "a value with the end of strings",
        || raw(&[0x00, 0x01, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]),
        Dies(BAD),
    ),
    ("7541 6.1", "the field that is none", || raw(&[0x80]), Dies(BAD)),
    (
        "7541 6.1",
        "fields of the static table",
        || headers(1, END_STREAM | END_HEADERS, [0x82, 0x86, 0x84, 0x41, 1, b'a']),
        Responds,
    ),
    ("7541 6.2.1", "a field for the table", || raw(b"\x40\x01x\x01y"), Responds),
    ("7541 6.2.2", "a field for no table", || raw(b"\x00\x01x\x01y"), Responds),
    ("7541 6.2.3", "a field that is never for a table", || raw(b"\x10\x01x\x01y"), Responds),
    ("7541 6.3", "a table larger than is allowed", || first(&[0x3f, 0xe2, 0x1f]), Dies(BAD)),
    ("7541 6.3", "a table of 2^31", || first(&[0x3f, 0xe1, 0xff, 0xff, 0xff, 0x07]), Dies(BAD)),
];
