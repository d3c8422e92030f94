//! RFC 9113, sections 8.2 to 8.5, and RFC 8441: requests that are carried, and those that are not.

use super::{Case, Resets, Responds};
use crate::frames::*;

const BAD: &[u32] = &[PROTOCOL_ERROR];
/// What is found while fields are decompressed may be an error of the connection, by either of these codes.
const DEAD: &[u32] = &[PROTOCOL_ERROR, COMPRESSION_ERROR];

fn request(fields: &[(&str, &str)]) -> Vec<u8> {
    headers(1, END_STREAM | END_HEADERS, block(fields))
}

fn with(fields: &[(&str, &str)]) -> Vec<u8> {
    headers(1, END_STREAM | END_HEADERS, get_with(fields))
}

fn with_literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    headers(1, END_STREAM | END_HEADERS, [get_with(&[]), literal(name, value)].concat())
}

fn with_trailers(fields: &[(&str, &str)]) -> Vec<u8> {
    [post(1), headers(1, END_STREAM | END_HEADERS, block(fields))].concat()
}

const M: (&str, &str) = (":method", "GET");
const S: (&str, &str) = (":scheme", "http");
const A: (&str, &str) = (":authority", "a");
const P: (&str, &str) = (":path", "/");

pub(super) const CASES: &[Case] = &[
    ("9113 8.2", "a name that is not lower case", || with(&[("X-Upper", "a")]), Resets(DEAD)),
    ("9113 8.2.1", "an empty name", || with_literal(b"", b"a"), Resets(DEAD)),
    ("9113 8.2.1", "a name with a space", || with_literal(b"x y", b"a"), Resets(DEAD)),
    ("9113 8.2.1", "a name with a colon", || with_literal(b"x:y", b"a"), Resets(DEAD)),
    ("9113 8.2.1", "a name with a control character", || with_literal(b"x\x01", b"a"), Resets(DEAD)),
    ("9113 8.2.1", "a name with a byte above ASCII", || with_literal(b"x\xe9", b"a"), Resets(DEAD)),
    ("9113 8.2.1", "a name with a line's end", || with_literal(b"x\r\ny", b"a"), Resets(DEAD)),
    ("9113 8.2.1", "a value with NUL", || with_literal(b"x", b"a\0b"), Resets(DEAD)),
    ("9113 8.2.1", "a value with LF", || with_literal(b"x", b"a\nb"), Resets(DEAD)),
    ("9113 8.2.1", "a value with CR", || with_literal(b"x", b"a\rb"), Resets(DEAD)),
    (
        "9113 8.2.1",
        "a value with another request",
        || with_literal(b"x", b"a\r\n\r\nGET / HTTP/1.1\r\n"),
        Resets(DEAD),
    ),
    ("9113 8.2.1", "a value that begins with a space", || with(&[("x", " a")]), Resets(BAD)),
    ("9113 8.2.1", "a value that ends with a space", || with(&[("x", "a ")]), Resets(BAD)),
    ("9113 8.2.1", "a value that begins with a tab", || with(&[("x", "\ta")]), Resets(BAD)),
    ("9113 8.2.1", "a value that ends with a tab", || with(&[("x", "a\t")]), Resets(BAD)),
    ("9113 8.2.1", "a value with spaces within", || with(&[("x", "a b\tc")]), Responds),
    ("9113 8.2.1", "a value above ASCII", || with_literal(b"x", b"\xe9"), Responds),
    ("9113 8.2.1", "an empty value", || with(&[("x", "")]), Responds),
    ("9113 8.2.2", "connection", || with(&[("connection", "close")]), Resets(BAD)),
    ("9113 8.2.2", "keep-alive", || with(&[("keep-alive", "timeout=5")]), Resets(BAD)),
    ("9113 8.2.2", "proxy-connection", || with(&[("proxy-connection", "close")]), Resets(BAD)),
    ("9113 8.2.2", "transfer-encoding", || with(&[("transfer-encoding", "chunked")]), Resets(BAD)),
    ("9113 8.2.2", "upgrade", || with(&[("upgrade", "websocket")]), Resets(BAD)),
    ("9113 8.2.2", "te of trailers", || with(&[("te", "trailers")]), Responds),
    ("9113 8.2.2", "te of something else", || with(&[("te", "gzip")]), Resets(BAD)),
    ("9113 8.2.2", "te of trailers and more", || with(&[("te", "trailers, deflate")]), Resets(BAD)),
    (
        "9113 8.2.3",
        "cookies in crumbs",
        || with(&[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]),
        Responds,
    ),
    ("9113 8.3", "an unknown pseudo-header field", || request(&[M, S, A, P, (":test", "x")]), Resets(DEAD)),
    ("9113 8.3", "the one of responses", || request(&[M, S, A, P, (":status", "200")]), Resets(BAD)),
    ("9113 8.3", "a pseudo-header field after others", || request(&[M, S, A, ("x", "y"), P]), Resets(BAD)),
    (
        "9113 8.3",
        "a pseudo-header field that is empty but for its colon",
        || request(&[M, S, A, P, (":", "x")]),
        Resets(DEAD),
    ),
    ("9113 8.3.1", "no method", || request(&[S, A, P]), Resets(BAD)),
    ("9113 8.3.1", "no scheme", || request(&[M, A, P]), Resets(BAD)),
    ("9113 8.3.1", "no path", || request(&[M, S, A]), Resets(BAD)),
    ("9113 8.3.1", "an empty path", || request(&[M, S, A, (":path", "")]), Resets(BAD)),
    ("9113 8.3.1", "nothing at all", || request(&[]), Resets(BAD)),
    ("9113 8.3.1", "two methods", || request(&[M, M, S, A, P]), Resets(BAD)),
    ("9113 8.3.1", "two schemes", || request(&[M, S, S, A, P]), Resets(BAD)),
    ("9113 8.3.1", "two paths", || request(&[M, S, A, P, P]), Resets(BAD)),
    ("9113 8.3.1", "two authorities", || request(&[M, S, A, A, P]), Resets(BAD)),
    ("9113 8.3.1", "an empty method", || request(&[(":method", ""), S, A, P]), Resets(DEAD)),
    ("9113 8.3.1", "a method with a space", || request(&[(":method", "GET /x"), S, A, P]), Resets(DEAD)),
    ("9113 8.3.1", "a method of one's own", || request(&[(":method", "PURGE"), S, A, P]), Responds),
    (
        "9113 8.3.1",
        "a path that does not begin with a slash",
        || request(&[M, S, A, (":path", "x")]),
        Resets(BAD),
    ),
    (
        "9113 8.3.1",
        "a path that is a whole address",
        || request(&[M, S, A, (":path", "http://a/x")]),
        Resets(BAD),
    ),
    ("9113 8.3.1", "a path with a fragment", || request(&[M, S, A, (":path", "/a#b")]), Resets(BAD)),
    ("9113 8.3.1", "a path with a space", || request(&[M, S, A, (":path", "/a b")]), Resets(BAD)),
    (
        "9113 8.3.1",
        "a path with a line's end",
        || {
            headers(
                1,
                END_STREAM | END_HEADERS,
                [block(&[M, S, A]), literal(b":path", b"/\r\nx: y")].concat(),
            )
        },
        Resets(DEAD),
    ),
    ("9113 8.3.1", "an asterisk that is not of OPTIONS", || request(&[M, S, A, (":path", "*")]), Resets(BAD)),
    (
        "9113 8.3.1",
        "the asterisk of OPTIONS",
        || request(&[(":method", "OPTIONS"), S, A, (":path", "*")]),
        Responds,
    ),
    ("9113 8.3.1", "a query", || request(&[M, S, A, (":path", "/?a=b&c")]), Responds),
    ("9113 8.3.1", "another scheme", || request(&[M, (":scheme", "https"), A, P]), Responds),
    ("9113 8.3.1", "a scheme that is none", || request(&[M, (":scheme", "h/ttp"), A, P]), Resets(BAD)),
    (
        "9113 8.3.1",
        "an authority with userinfo",
        || request(&[M, S, (":authority", "u:p@a"), P]),
        Resets(BAD),
    ),
    ("9113 8.3.1", "an authority with a path", || request(&[M, S, (":authority", "a/b"), P]), Resets(BAD)),
    (
        "9113 8.3.1",
        "an authority that could be two",
        || request(&[M, S, (":authority", "a,b"), P]),
        Resets(BAD),
    ),
    ("9113 8.3.1", "an empty authority", || request(&[M, S, (":authority", ""), P]), Resets(BAD)),
    ("9113 8.3.1", "an authority with a port", || request(&[M, S, (":authority", "a:8080"), P]), Responds),
    (
        "9113 8.3.1",
        "an authority with a port that is none",
        || request(&[M, S, (":authority", "a:http"), P]),
        Resets(BAD),
    ),
    ("9113 8.3.1", "host instead of an authority", || request(&[M, S, P, ("host", "a")]), Responds),
    ("9113 8.3.1", "host and the same authority", || with(&[("host", "a")]), Responds),
    ("9113 8.3.1", "host unlike the authority", || with(&[("host", "b")]), Resets(BAD)),
    ("9113 8.3.1", "host with userinfo", || request(&[M, S, P, ("host", "u@a")]), Resets(BAD)),
    ("9113 8.3.1", "two hosts", || request(&[M, S, P, ("host", "a"), ("host", "a")]), Resets(BAD)),
    ("9113 8.3.1", "neither host nor authority", || request(&[M, S, P]), Resets(BAD)),
    (
        "9113 8.1",
        "trailers with a pseudo-header field",
        || with_trailers(&[(":path", "/"), ("x", "y")]),
        Resets(BAD),
    ),
    ("9113 8.1", "trailers with connection", || with_trailers(&[("connection", "close")]), Resets(BAD)),
    ("9113 8.1", "trailers with a length", || with_trailers(&[("content-length", "0")]), Resets(BAD)),
    (
        "9113 8.1",
        "trailers with a value that ends with a space",
        || with_trailers(&[("x", "y ")]),
        Resets(BAD),
    ),
    (
        "9113 8.1",
        "trailers with a name that is not lower case",
        || with_trailers(&[("X", "y")]),
        Resets(DEAD),
    ),
    (
        "9113 8.5",
        "CONNECT with a path",
        || request(&[(":method", "CONNECT"), (":authority", "a:1"), P]),
        Resets(BAD),
    ),
    (
        "9113 8.5",
        "CONNECT with a scheme",
        || request(&[(":method", "CONNECT"), S, (":authority", "a:1")]),
        Resets(BAD),
    ),
    (
        "9113 8.5",
        "CONNECT with an authority that has no port",
        || request(&[(":method", "CONNECT"), (":authority", "a")]),
        Resets(BAD),
    ),
    ("9113 8.5", "CONNECT without an authority", || request(&[(":method", "CONNECT")]), Resets(BAD)),
    (
        "8441 4",
        "a protocol that was not asked for",
        || request(&[(":method", "CONNECT"), (":protocol", "websocket"), S, A, P]),
        Resets(BAD),
    ),
    (
        "8441 4",
        "a protocol of another method",
        || request(&[M, (":protocol", "websocket"), S, A, P]),
        Resets(BAD),
    ),
];
