//! Requests that are broken in their heads.

use super::rule::*;
use super::{Message, Part};

/// All of them.
pub(super) fn all() -> Vec<Message> {
    let lines = LINES
        .iter()
        .map(|(rule, line)| Message::new((*rule, Part::Line), line, format!("{line}Host: a\r\n\r\n")));
    let fields = FIELDS.iter().map(|(rule, fields)| {
        let message = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{}", content(fields));
        Message::new((*rule, Part::Head), fields, message)
    });
    let heads = HEADS.iter().map(|(rule, head)| Message::new((*rule, Part::Head), head, *head));
    lines.chain(fields).chain(heads).chain(hosts()).chain(controls()).collect()
}

/// What somebody would find to be the content, who reads over what is wrong with its coding.
fn content(fields: &str) -> &'static str {
    if fields.contains("chunked") { "0\r\n\r\n" } else { "" }
}

/// Every Host that is none, for a request that needs one, and as the authority of a target.
fn hosts() -> Vec<Message> {
    const BAD: [&str; 15] = [
        ":80", "a b", "a,b", "a/b", "a@b", "u:p@b", "a:b", "a:80:80", "a:123456", "[::1", "[a]", "[::1]a",
        "a\\b", "\"a\"", "h\u{e4}",
    ];
    let mut all = Vec::new();
    for host in BAD {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        all.push(Message::new((HOST_INVALID, Part::Head), host, head));
        if !host.contains([' ', '/']) {
            let head = format!("GET http://{host}/ HTTP/1.1\r\nHost: a\r\n\r\n");
            all.push(Message::new((TARGET, Part::Head), host, head));
        }
    }
    all
}

/// Control characters wherever one could be.
fn controls() -> Vec<Message> {
    let mut all = Vec::new();
    for control in [b'\0', b'\x01', b'\x0b', b'\x0c', b'\x1b', b'\x7f'] {
        let control = char::from(control);
        for (rule, part, line) in [
            (REQUEST_LINE, Part::Line, format!("G{control}T / HTTP/1.1\r\nHost: a\r\n")),
            (REQUEST_LINE, Part::Line, format!("GET /{control} HTTP/1.1\r\nHost: a\r\n")),
            (FIELD_NAME, Part::Head, format!("GET / HTTP/1.1\r\nHost: a\r\na{control}: b\r\n")),
            (FIELD_VALUE, Part::Head, format!("GET / HTTP/1.1\r\nHost: a\r\na: b{control}c\r\n")),
        ] {
            all.push(Message::new((rule, part), &line, format!("{line}\r\n")));
        }
    }
    all
}

/// Request lines, before a good Host.
const LINES: [(Rule, &str); 46] = [
    (REQUEST_LINE, "GET  / HTTP/1.1\r\n"),
    (VERSION, "GET /  HTTP/1.1\r\n"),
    (REQUEST_LINE, " GET / HTTP/1.1\r\n"),
    (REQUEST_LINE, "GET\t/ HTTP/1.1\r\n"),
    (REQUEST_LINE, "GET /\tHTTP/1.1\r\n"),
    (REQUEST_LINE, "GET\t/\tHTTP/1.1\r\n"),
    (LINE_END, "GET / HTTP/1.1 \r\n"),
    (VERSION, "GET /a b HTTP/1.1\r\n"),
    (VERSION, "GET / HTTP/1.2\r\n"),
    (LINE_END, "GET / HTTP/1.10\r\n"),
    (VERSION, "GET / HTTP/1.\r\n"),
    (VERSION, "GET / HTTP/1\r\n"),
    (VERSION, "GET / HTTP/0.9\r\n"),
    (VERSION, "GET / HTTP/2.0\r\n"),
    (VERSION, "GET / HTTP/2\r\n"),
    (VERSION, "GET / HTTP/3\r\n"),
    (VERSION, "GET / http/1.1\r\n"),
    (VERSION, "GET / HTTP /1.1\r\n"),
    (VERSION, "GET / HTTP/01.1\r\n"),
    (VERSION, "GET / HTTPS/1.1\r\n"),
    (REQUEST_LINE, "GET /\r\n"),
    (REQUEST_LINE, "GET\r\n"),
    (REQUEST_LINE, "GET HTTP/1.1\r\n"),
    (REQUEST_LINE, "/ HTTP/1.1\r\n"),
    (REQUEST_LINE, "G(T / HTTP/1.1\r\n"),
    (REQUEST_LINE, "GET: / HTTP/1.1\r\n"),
    (REQUEST_LINE, "G\u{e4}T / HTTP/1.1\r\n"),
    (LINE_END, "GET / HTTP/1.1\n"),
    (LINE_END, "GET / HTTP/1.1\r"),
    (LINE_END, "GET / HTTP/1.1\r\r\n"),
    (LINE_END, "\nGET / HTTP/1.1\r\n"),
    (EMPTY_LINE, "\r\n\r\nGET / HTTP/1.1\r\n"),
    (FRAGMENT, "GET /#a HTTP/1.1\r\n"),
    (FRAGMENT, "GET /a?b#c HTTP/1.1\r\n"),
    (FRAGMENT, "GET http://a/#b HTTP/1.1\r\n"),
    (FRAGMENT, "GET # HTTP/1.1\r\n"),
    (TARGET, "GET a HTTP/1.1\r\n"),
    (TARGET, "GET * HTTP/1.1\r\n"),
    (TARGET, "GET a:80 HTTP/1.1\r\n"),
    (TARGET, "GET http:///a HTTP/1.1\r\n"),
    (TARGET, "GET http:/a HTTP/1.1\r\n"),
    (TARGET, "GET ftp://a/ HTTP/1.1\r\n"),
    (TARGET, "CONNECT / HTTP/1.1\r\n"),
    (TARGET, "CONNECT a HTTP/1.1\r\n"),
    (TARGET, "CONNECT http://a:80/ HTTP/1.1\r\n"),
    (TARGET, "OPTIONS ** HTTP/1.1\r\n"),
];

/// Fields of a POST of HTTP/1.1 that has a Host.
const FIELDS: [(Rule, &str); 78] = [
    // Two lengths.
    (LENGTH_TWICE, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    (LENGTH_TWICE, "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    (LENGTH_TWICE, "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
    (LENGTH_TWICE, "transfer-encoding: chunked\r\ncontent-length: 5\r\n"),
    (LENGTH_TWICE, "Transfer-Encoding: chunked\r\nX: y\r\nContent-Length: 5\r\n"),
    // Content-Length.
    (CONTENT_LENGTH_REPEATED, "Content-Length: 5\r\nContent-Length: 6\r\n"),
    (CONTENT_LENGTH_REPEATED, "Content-Length: 5\r\nContent-Length: 5\r\n"),
    (CONTENT_LENGTH_REPEATED, "Content-Length: 0\r\ncontent-length: 0\r\n"),
    (CONTENT_LENGTH, "Content-Length: 4, 4\r\n"),
    (CONTENT_LENGTH, "Content-Length: 4,4\r\n"),
    (CONTENT_LENGTH, "Content-Length: 4,\r\n"),
    (CONTENT_LENGTH, "Content-Length: +4\r\n"),
    (CONTENT_LENGTH, "Content-Length: -4\r\n"),
    (CONTENT_LENGTH, "Content-Length: -0\r\n"),
    (CONTENT_LENGTH, "Content-Length: 0x4\r\n"),
    (CONTENT_LENGTH, "Content-Length: 4.0\r\n"),
    (CONTENT_LENGTH, "Content-Length: 4e1\r\n"),
    (CONTENT_LENGTH, "Content-Length: 4_0\r\n"),
    (CONTENT_LENGTH, "Content-Length: 4 0\r\n"),
    (CONTENT_LENGTH, "Content-Length: 04\r\n"),
    (CONTENT_LENGTH, "Content-Length: 00\r\n"),
    (CONTENT_LENGTH, "Content-Length: a\r\n"),
    (CONTENT_LENGTH, "Content-Length: \"4\"\r\n"),
    (CONTENT_LENGTH, "Content-Length:\r\n"),
    (CONTENT_LENGTH, "Content-Length: \r\n"),
    (CONTENT_LENGTH, "Content-Length:\t4\r\n"),
    (CONTENT_LENGTH, "Content-Length: 4\t\r\n"),
    (CONTENT_LENGTH, "Content-Length: 4 \r\n"),
    (CONTENT_LENGTH, "Content-Length: 4;\r\n"),
    (CONTENT_LENGTH, "Content-Length: \u{664}\r\n"),
    (CONTENT_LENGTH, "Content-Length: 1000000000000000000\r\n"),
    (CONTENT_LENGTH, "Content-Length: 18446744073709551616\r\n"),
    (CONTENT_LENGTH, "Content-Length: 99999999999999999999999999\r\n"),
    // Transfer-Encoding.
    (TRANSFER_ENCODING, "Transfer-Encoding: gzip\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: identity\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: gzip, chunked\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: chunked, gzip\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: chunked, chunked\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: chunked, identity\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: identity, chunked\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: ,chunked\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: chunked,\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: chunked;q=1\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: xchunked\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: chunkedx\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: \"chunked\"\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: 'chunked'\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding:\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding:\tchunked\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: \tchunked\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: chunked\t\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: chunked \r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: chunke\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: chunk\u{e9}d\r\n"),
    (FIELD_VALUE, "Transfer-Encoding: \x0bchunked\r\n"),
    (FIELD_VALUE, "Transfer-Encoding: chunked\0\r\n"),
    (TRANSFER_ENCODING_REPEATED, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    (TRANSFER_ENCODING_REPEATED, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
    (TRANSFER_ENCODING, "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"),
    // Names.
    (FIELD_NAME, "Transfer-Encoding : chunked\r\n"),
    (FIELD_NAME, "Transfer-Encoding\t: chunked\r\n"),
    (FIELD_NAME, "Content-Length : 5\r\n"),
    (FIELD_NAME, "Transfer Encoding: chunked\r\n"),
    (FIELD_NAME, "Content\u{2d}Length\u{a0}: 5\r\n"),
    (FIELD_NAME, ": chunked\r\n"),
    (FIELD_NAME, "Transfer-Encoding\r\n"),
    (FIELD_NAME, "[a]: b\r\n"),
    (FRAMING_LOOKALIKE, "Transfer_Encoding: chunked\r\n"),
    (FRAMING_LOOKALIKE, "content_length: 5\r\n"),
    // Lines.
    (OBS_FOLD, "A: b\r\n c\r\n"),
    (OBS_FOLD, "A: b\r\n\tc\r\n"),
    (OBS_FOLD, "Transfer-Encoding:\r\n chunked\r\n"),
    (OBS_FOLD, "Content-Length: 1\r\n 0\r\n"),
    (LINE_END, "A: b\nTransfer-Encoding: chunked\r\n"),
    (FIELD_VALUE, "A: b\rTransfer-Encoding: chunked\r\n"),
    // Connection.
    (CONNECTION_NAMES, "Connection: close, content-length\r\nContent-Length: 5\r\n"),
    (CONNECTION_NAMES, "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n"),
    (CONNECTION_OPTIONS, "Connection: a b\r\n"),
];

/// Whole heads, some with content.
const HEADS: [(Rule, &str); 30] = [
    (TARGET, "GET http://a\\@b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (TARGET, "GET http://a\\b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (TARGET, "CONNECT :80 HTTP/1.1\r\nHost: :80\r\n\r\n"),
    (HOST_MISSING, "GET / HTTP/1.1\r\n\r\n"),
    (HOST_MISSING, "GET / HTTP/1.1\r\nA: b\r\n\r\n"),
    (HOST_MISSING, "GET http://a/ HTTP/1.1\r\n\r\n"),
    (HOST_MISSING, "CONNECT a:80 HTTP/1.1\r\n\r\n"),
    (HOST_REPEATED, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    (HOST_REPEATED, "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
    (HOST_REPEATED, "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    (HOST_NOT_TARGET, "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"),
    (HOST_NOT_TARGET, "GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n"),
    (HOST_NOT_TARGET, "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (HOST_NOT_TARGET, "GET http://a/ HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    (HOST_NOT_TARGET, "GET https://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n"),
    (HOST_NOT_TARGET, "GET http://a?@b/ HTTP/1.1\r\nHost: b\r\n\r\n"),
    (TARGET, "GET http://a\\@b/ HTTP/1.1\r\nHost: b\r\n\r\n"),
    (HOST_NOT_TARGET, "GET http://a/ HTTP/1.0\r\nHost: b\r\n\r\n"),
    (HOST_NOT_TARGET, "CONNECT a:80 HTTP/1.1\r\nHost: b:80\r\n\r\n"),
    (HOST_NOT_TARGET, "CONNECT a:80 HTTP/1.1\r\nHost: a:81\r\n\r\n"),
    (
        TRANSFER_ENCODING_IN_HTTP10,
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (TRANSFER_ENCODING_IN_HTTP10, "POST / HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n"),
    (
        TRANSFER_ENCODING_IN_HTTP10,
        "POST / HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    (CONNECT_CONTENT, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nabcde"),
    (CONNECT_CONTENT, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (OBS_FOLD, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    (OBS_FOLD, "GET / HTTP/1.1\r\n\tHost: a\r\nHost: b\r\n\r\n"),
    (CONNECTION_NAMES, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n"),
    (LINE_END, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    (LINE_END, "GET / HTTP/1.1\nHost: a\n\n"),
];
