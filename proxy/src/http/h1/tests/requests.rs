//! Requests that are refused for their heads.

use super::super::Refusal::{self, *};
use super::{Speaker, all_refused};

#[test]
fn none_is_accepted() {
    all_refused(Speaker::Client, matrix());
}

/// All of them, with their reasons.
pub(super) fn matrix() -> Vec<(Refusal, Vec<u8>)> {
    let mut all = Vec::new();
    all.extend(LINES.iter().map(|(reason, line)| (*reason, format!("{line}Host: a\r\n\r\n").into_bytes())));
    all.extend(FIELDS.iter().map(|(reason, fields)| {
        (*reason, format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes())
    }));
    all.extend(HEADS.iter().map(|(reason, head)| (*reason, head.as_bytes().to_vec())));
    all.extend(hosts());
    all.extend(controls());
    all.push((HeadTooLong, [b"GET /", "a".repeat(70_000).as_bytes()].concat()));
    all.push((
        HeadTooLong,
        [b"GET / HTTP/1.1\r\nHost: a\r\n", "a: b\r\n".repeat(20_000).as_bytes()].concat(),
    ));
    all.push((
        TooManyFields,
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(100)).into_bytes(),
    ));
    all.push((
        ConnectionOptions,
        format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {}\r\n\r\n", "a,".repeat(17)).into_bytes(),
    ));
    // Behind a good one on the same connection.
    all.push((LengthTwice, b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()));
    all.push((
        RequestLine,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc<GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            .to_vec(),
    ));
    all
}

/// Every Host that is none, for a request that needs one, and as the authority of a target.
fn hosts() -> Vec<(Refusal, Vec<u8>)> {
    const BAD: [&str; 15] = [
        ":80", "a b", "a,b", "a/b", "a@b", "u:p@b", "a:b", "a:80:80", "a:123456", "[::1", "[a]", "[::1]a",
        "a\\b", "\"a\"", "h\u{e4}",
    ];
    let mut all = Vec::new();
    for host in BAD {
        all.push((HostInvalid, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()));
        if !host.contains([' ', '/']) {
            all.push((Target, format!("GET http://{host}/ HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()));
        }
    }
    all
}

/// Control characters wherever one could be.
fn controls() -> Vec<(Refusal, Vec<u8>)> {
    let mut all = Vec::new();
    for control in [b'\0', b'\x01', b'\x0b', b'\x0c', b'\x1b', b'\x7f'] {
        let control = char::from(control);
        for (reason, head) in [
            (RequestLine, format!("G{control}T / HTTP/1.1\r\nHost: a\r\n\r\n")),
            (RequestLine, format!("GET /{control} HTTP/1.1\r\nHost: a\r\n\r\n")),
            (FieldName, format!("GET / HTTP/1.1\r\nHost: a\r\na{control}: b\r\n\r\n")),
            (FieldValue, format!("GET / HTTP/1.1\r\nHost: a\r\na: b{control}c\r\n\r\n")),
        ] {
            all.push((reason, head.into_bytes()));
        }
    }
    all
}

/// Request lines, before a good Host.
const LINES: [(Refusal, &str); 45] = [
    (RequestLine, "GET  / HTTP/1.1\r\n"),
    (Version, "GET /  HTTP/1.1\r\n"),
    (RequestLine, " GET / HTTP/1.1\r\n"),
    (RequestLine, "GET\t/ HTTP/1.1\r\n"),
    (RequestLine, "GET /\tHTTP/1.1\r\n"),
    (RequestLine, "GET\t/\tHTTP/1.1\r\n"),
    (LineEnd, "GET / HTTP/1.1 \r\n"),
    (Version, "GET /a b HTTP/1.1\r\n"),
    (Version, "GET / HTTP/1.2\r\n"),
    (LineEnd, "GET / HTTP/1.10\r\n"),
    (Version, "GET / HTTP/1.\r\n"),
    (Version, "GET / HTTP/1\r\n"),
    (Version, "GET / HTTP/0.9\r\n"),
    (Version, "GET / HTTP/2.0\r\n"),
    (Version, "GET / HTTP/2\r\n"),
    (Version, "GET / HTTP/3\r\n"),
    (Version, "GET / http/1.1\r\n"),
    (Version, "GET / HTTP /1.1\r\n"),
    (Version, "GET / HTTP/01.1\r\n"),
    (Version, "GET / HTTPS/1.1\r\n"),
    (RequestLine, "GET /\r\n"),
    (RequestLine, "GET\r\n"),
    (RequestLine, "GET HTTP/1.1\r\n"),
    (RequestLine, "/ HTTP/1.1\r\n"),
    (RequestLine, "G(T / HTTP/1.1\r\n"),
    (RequestLine, "GET: / HTTP/1.1\r\n"),
    (RequestLine, "G\u{e4}T / HTTP/1.1\r\n"),
    (LineEnd, "GET / HTTP/1.1\n"),
    (LineEnd, "GET / HTTP/1.1\r\r\n"),
    (LineEnd, "\nGET / HTTP/1.1\r\n"),
    (EmptyLine, "\r\n\r\nGET / HTTP/1.1\r\n"),
    (Fragment, "GET /#a HTTP/1.1\r\n"),
    (Fragment, "GET /a?b#c HTTP/1.1\r\n"),
    (Fragment, "GET http://a/#b HTTP/1.1\r\n"),
    (Fragment, "GET # HTTP/1.1\r\n"),
    (Target, "GET a HTTP/1.1\r\n"),
    (Target, "GET * HTTP/1.1\r\n"),
    (Target, "GET a:80 HTTP/1.1\r\n"),
    (Target, "GET http:///a HTTP/1.1\r\n"),
    (Target, "GET http:/a HTTP/1.1\r\n"),
    (Target, "GET ftp://a/ HTTP/1.1\r\n"),
    (Target, "CONNECT / HTTP/1.1\r\n"),
    (Target, "CONNECT a HTTP/1.1\r\n"),
    (Target, "CONNECT http://a:80/ HTTP/1.1\r\n"),
    (Target, "OPTIONS ** HTTP/1.1\r\n"),
];

/// Fields of a POST of HTTP/1.1 that has a Host.
const FIELDS: [(Refusal, &str); 78] = [
    // Two lengths.
    (LengthTwice, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    (LengthTwice, "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    (LengthTwice, "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
    (LengthTwice, "transfer-encoding: chunked\r\ncontent-length: 5\r\n"),
    (LengthTwice, "Transfer-Encoding: chunked\r\nX: y\r\nContent-Length: 5\r\n"),
    // Content-Length.
    (ContentLengthRepeated, "Content-Length: 5\r\nContent-Length: 6\r\n"),
    (ContentLengthRepeated, "Content-Length: 5\r\nContent-Length: 5\r\n"),
    (ContentLengthRepeated, "Content-Length: 0\r\ncontent-length: 0\r\n"),
    (ContentLength, "Content-Length: 4, 4\r\n"),
    (ContentLength, "Content-Length: 4,4\r\n"),
    (ContentLength, "Content-Length: 4,\r\n"),
    (ContentLength, "Content-Length: +4\r\n"),
    (ContentLength, "Content-Length: -4\r\n"),
    (ContentLength, "Content-Length: -0\r\n"),
    (ContentLength, "Content-Length: 0x4\r\n"),
    (ContentLength, "Content-Length: 4.0\r\n"),
    (ContentLength, "Content-Length: 4e1\r\n"),
    (ContentLength, "Content-Length: 4_0\r\n"),
    (ContentLength, "Content-Length: 4 0\r\n"),
    (ContentLength, "Content-Length: 04\r\n"),
    (ContentLength, "Content-Length: 00\r\n"),
    (ContentLength, "Content-Length: a\r\n"),
    (ContentLength, "Content-Length: \"4\"\r\n"),
    (ContentLength, "Content-Length:\r\n"),
    (ContentLength, "Content-Length: \r\n"),
    (ContentLength, "Content-Length:\t4\r\n"),
    (ContentLength, "Content-Length: 4\t\r\n"),
    (ContentLength, "Content-Length: 4 \r\n"),
    (ContentLength, "Content-Length: 4;\r\n"),
    (ContentLength, "Content-Length: \u{664}\r\n"),
    (ContentLength, "Content-Length: 1000000000000000000\r\n"),
    (ContentLength, "Content-Length: 18446744073709551616\r\n"),
    (ContentLength, "Content-Length: 99999999999999999999999999\r\n"),
    // Transfer-Encoding.
    (TransferEncoding, "Transfer-Encoding: gzip\r\n"),
    (TransferEncoding, "Transfer-Encoding: identity\r\n"),
    (TransferEncoding, "Transfer-Encoding: gzip, chunked\r\n"),
    (TransferEncoding, "Transfer-Encoding: chunked, gzip\r\n"),
    (TransferEncoding, "Transfer-Encoding: chunked, chunked\r\n"),
    (TransferEncoding, "Transfer-Encoding: chunked, identity\r\n"),
    (TransferEncoding, "Transfer-Encoding: identity, chunked\r\n"),
    (TransferEncoding, "Transfer-Encoding: ,chunked\r\n"),
    (TransferEncoding, "Transfer-Encoding: chunked,\r\n"),
    (TransferEncoding, "Transfer-Encoding: chunked;q=1\r\n"),
    (TransferEncoding, "Transfer-Encoding: xchunked\r\n"),
    (TransferEncoding, "Transfer-Encoding: chunkedx\r\n"),
    (TransferEncoding, "Transfer-Encoding: \"chunked\"\r\n"),
    (TransferEncoding, "Transfer-Encoding: 'chunked'\r\n"),
    (TransferEncoding, "Transfer-Encoding:\r\n"),
    (TransferEncoding, "Transfer-Encoding:\tchunked\r\n"),
    (TransferEncoding, "Transfer-Encoding: \tchunked\r\n"),
    (TransferEncoding, "Transfer-Encoding: chunked\t\r\n"),
    (TransferEncoding, "Transfer-Encoding: chunked \r\n"),
    (TransferEncoding, "Transfer-Encoding: chunke\r\n"),
    (TransferEncoding, "Transfer-Encoding: chunk\u{e9}d\r\n"),
    (FieldValue, "Transfer-Encoding: \x0bchunked\r\n"),
    (FieldValue, "Transfer-Encoding: chunked\0\r\n"),
    (TransferEncodingRepeated, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    (TransferEncodingRepeated, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
    (TransferEncoding, "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"),
    // Names.
    (FieldName, "Transfer-Encoding : chunked\r\n"),
    (FieldName, "Transfer-Encoding\t: chunked\r\n"),
    (FieldName, "Content-Length : 5\r\n"),
    (FieldName, "Transfer Encoding: chunked\r\n"),
    (FieldName, "Content\u{2d}Length\u{a0}: 5\r\n"),
    (FieldName, ": chunked\r\n"),
    (FieldName, "Transfer-Encoding\r\n"),
    (FieldName, "[a]: b\r\n"),
    (FramingLookalike, "Transfer_Encoding: chunked\r\n"),
    (FramingLookalike, "content_length: 5\r\n"),
    // Lines.
    (ObsFold, "A: b\r\n c\r\n"),
    (ObsFold, "A: b\r\n\tc\r\n"),
    (ObsFold, "Transfer-Encoding:\r\n chunked\r\n"),
    (ObsFold, "Content-Length: 1\r\n 0\r\n"),
    (LineEnd, "A: b\nTransfer-Encoding: chunked\r\n"),
    (FieldValue, "A: b\rTransfer-Encoding: chunked\r\n"),
    // Connection.
    (ConnectionNames, "Connection: close, content-length\r\nContent-Length: 5\r\n"),
    (ConnectionNames, "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n"),
    (ConnectionOptions, "Connection: a b\r\n"),
];

/// Whole heads.
const HEADS: [(Refusal, &str); 30] = [
    (Target, "GET http://a\\@b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (Target, "GET http://a\\b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (Target, "CONNECT :80 HTTP/1.1\r\nHost: :80\r\n\r\n"),
    (HostMissing, "GET / HTTP/1.1\r\n\r\n"),
    (HostMissing, "GET / HTTP/1.1\r\nA: b\r\n\r\n"),
    (HostMissing, "GET http://a/ HTTP/1.1\r\n\r\n"),
    (HostMissing, "CONNECT a:80 HTTP/1.1\r\n\r\n"),
    (HostRepeated, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    (HostRepeated, "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
    (HostRepeated, "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    (HostNotTarget, "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"),
    (HostNotTarget, "GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n"),
    (HostNotTarget, "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (HostNotTarget, "GET http://a/ HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    (HostNotTarget, "GET https://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n"),
    (HostNotTarget, "GET http://a?@b/ HTTP/1.1\r\nHost: b\r\n\r\n"),
    (Target, "GET http://a\\@b/ HTTP/1.1\r\nHost: b\r\n\r\n"),
    (HostNotTarget, "GET http://a/ HTTP/1.0\r\nHost: b\r\n\r\n"),
    (HostNotTarget, "CONNECT a:80 HTTP/1.1\r\nHost: b:80\r\n\r\n"),
    (HostNotTarget, "CONNECT a:80 HTTP/1.1\r\nHost: a:81\r\n\r\n"),
    (TransferEncodingInOld, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (TransferEncodingInOld, "POST / HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n"),
    (TransferEncodingInOld, "POST / HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (ConnectContent, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nabcde"),
    (ConnectContent, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (ObsFold, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    (ObsFold, "GET / HTTP/1.1\r\n\tHost: a\r\nHost: b\r\n\r\n"),
    (ConnectionNames, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n"),
    (LineEnd, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    (LineEnd, "GET / HTTP/1.1\nHost: a\n\n"),
];
