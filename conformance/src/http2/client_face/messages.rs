//! RFC 9113, section 8: responses that are carried, and those that are not.

use super::{Broken, Case, Lives, Nothing, Resets, Status};
use crate::frames::*;

const BAD: &[u32] = &[PROTOCOL_ERROR];
/// What is found while fields are decompressed may be an error of the connection, by either of these codes.
const DEAD: &[u32] = &[PROTOCOL_ERROR, COMPRESSION_ERROR];

fn response(fields: &[(&str, &str)]) -> Vec<u8> {
    headers(1, END_STREAM | END_HEADERS, block(fields))
}

fn ok_with(fields: &[(&str, &str)]) -> Vec<u8> {
    response(&[&[OK], fields].concat())
}

fn head_with(fields: &[(&str, &str)]) -> Vec<u8> {
    headers(1, END_HEADERS, block(&[&[OK], fields].concat()))
}

fn interim(status: &str) -> Vec<u8> {
    headers(1, END_HEADERS, block(&[(":status", status)]))
}

fn trailers(fields: &[(&str, &str)]) -> Vec<u8> {
    headers(1, END_STREAM | END_HEADERS, block(fields))
}

const OK: (&str, &str) = (":status", "200");

pub(super) const CASES: &[Case] = &[
    ("9113 8.1", "a response", || ok_with(&[]), Lives, Status(200)),
    (
        "9113 8.1",
        "an interim response and a final one",
        || [interim("103"), ok_with(&[])].concat(),
        Lives,
        Status(200),
    ),
    (
        "9113 8.1",
        "many interim responses",
        || [interim("102").repeat(50), ok_with(&[])].concat(),
        Lives,
        Status(200),
    ),
    ("9113 8.1", "an interim response alone", || interim("100"), Lives, Nothing),
    (
        "9113 8.1",
        "an interim response that is the end",
        || response(&[(":status", "103")]),
        Lives,
        Status(502),
    ),
    (
        "9113 8.1",
        "an interim response after the final one",
        || [head_with(&[]), interim("103")].concat(),
        Resets(BAD),
        Broken(200, INTERNAL_ERROR),
    ),
    (
        "9113 8.1",
        "content after an interim response",
        || [interim("103"), frame(DATA, 0, 1, [0])].concat(),
        Resets(BAD),
        Status(502),
    ),
    (
        "9113 8.1",
        "trailers",
        || [head_with(&[]), frame(DATA, 0, 1, [0]), trailers(&[("x", "y")])].concat(),
        Lives,
        Status(200),
    ),
    (
        "9113 8.1",
        "trailers that are not the end",
        || [head_with(&[]), headers(1, END_HEADERS, block(&[("x", "y")]))].concat(),
        Resets(BAD),
        Broken(200, INTERNAL_ERROR),
    ),
    (
        "9113 8.1",
        "trailers with connection",
        || [head_with(&[]), trailers(&[("connection", "x")])].concat(),
        Resets(BAD),
        Broken(200, INTERNAL_ERROR),
    ),
    (
        "9113 8.1",
        "trailers with a length",
        || [head_with(&[]), trailers(&[("content-length", "0")])].concat(),
        Lives,
        Broken(200, INTERNAL_ERROR),
    ),
    (
        "9113 8.1.1",
        "as much content as is announced",
        || [head_with(&[("content-length", "3")]), frame(DATA, END_STREAM, 1, [0; 3])].concat(),
        Lives,
        Status(200),
    ),
    (
        "9113 8.1.1",
        "more content than is announced",
        || [head_with(&[("content-length", "3")]), frame(DATA, END_STREAM, 1, [0; 4])].concat(),
        Resets(BAD),
        Broken(200, INTERNAL_ERROR),
    ),
    (
        "9113 8.1.1",
        "less content than is announced",
        || [head_with(&[("content-length", "3")]), frame(DATA, END_STREAM, 1, [0; 2])].concat(),
        Resets(BAD),
        Broken(200, INTERNAL_ERROR),
    ),
    (
        "9113 8.1.1",
        "no content where some is announced",
        || ok_with(&[("content-length", "3")]),
        Lives,
        Status(502),
    ),
    (
        "9113 8.1.1",
        "no content of 304, whatever is announced",
        || response(&[(":status", "304"), ("content-length", "3")]),
        Lives,
        Status(304),
    ),
    (
        "9113 8.1.1",
        "a length that is not a number",
        || head_with(&[("content-length", "x")]),
        Resets(BAD),
        Status(502),
    ),
    (
        "9113 8.1.1",
        "two lengths",
        || head_with(&[("content-length", "1"), ("content-length", "2")]),
        Resets(BAD),
        Status(502),
    ),
    (
        "9113 8.1.1",
        "a length twice",
        || head_with(&[("content-length", "1"), ("content-length", "1")]),
        Resets(BAD),
        Status(502),
    ),
    ("9113 8.2", "a name that is not lower case", || ok_with(&[("X", "y")]), Resets(DEAD), Status(502)),
    ("9113 8.2.1", "a name with a space", || ok_with(&[("x y", "z")]), Resets(DEAD), Status(502)),
    (
        "9113 8.2.1",
        "a value with a line's end",
        || ok_with(&[("x", "a\r\nset-cookie: b")]),
        Resets(DEAD),
        Status(502),
    ),
    ("9113 8.2.1", "a value with NUL", || ok_with(&[("x", "a\0b")]), Resets(DEAD), Status(502)),
    ("9113 8.2.1", "a value that ends with a space", || ok_with(&[("x", "a ")]), Lives, Status(502)),
    ("9113 8.2.2", "connection", || ok_with(&[("connection", "close")]), Resets(BAD), Status(502)),
    ("9113 8.2.2", "keep-alive", || ok_with(&[("keep-alive", "timeout=5")]), Resets(BAD), Status(502)),
    (
        "9113 8.2.2",
        "proxy-connection",
        || ok_with(&[("proxy-connection", "close")]),
        Resets(BAD),
        Status(502),
    ),
    (
        "9113 8.2.2",
        "transfer-encoding",
        || ok_with(&[("transfer-encoding", "chunked")]),
        Resets(BAD),
        Status(502),
    ),
    ("9113 8.2.2", "upgrade", || ok_with(&[("upgrade", "websocket")]), Resets(BAD), Status(502)),
    ("9113 8.3", "an unknown pseudo-header field", || ok_with(&[(":test", "x")]), Resets(DEAD), Status(502)),
    (
        "9113 8.3",
        "a pseudo-header field of requests",
        || response(&[OK, (":path", "/")]),
        Resets(BAD),
        Status(502),
    ),
    (
        "9113 8.3",
        "a pseudo-header field after others",
        || response(&[("x", "y"), OK]),
        Resets(BAD),
        Status(502),
    ),
    ("9113 8.3.2", "no status", || response(&[("x", "y")]), Lives, Status(502)),
    ("9113 8.3.2", "nothing at all", || response(&[]), Lives, Status(502)),
    ("9113 8.3.2", "two statuses", || response(&[OK, OK]), Resets(BAD), Status(502)),
    ("9113 8.3.2", "a status of two digits", || response(&[(":status", "20")]), Resets(DEAD), Status(502)),
    ("9113 8.3.2", "a status of four digits", || response(&[(":status", "2000")]), Resets(DEAD), Status(502)),
    ("9113 8.3.2", "a status below 100", || response(&[(":status", "099")]), Resets(DEAD), Status(502)),
    (
        "9113 8.3.2",
        "a status that is not a number",
        || response(&[(":status", "abc")]),
        Resets(DEAD),
        Status(502),
    ),
    ("9113 8.3.2", "a status that nobody knows", || response(&[(":status", "599")]), Lives, Status(599)),
    ("9113 8.6", "a switch of protocols", || interim("101"), Resets(BAD), Status(502)),
];
