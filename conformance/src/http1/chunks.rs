//! Content in chunks that are broken, of requests and responses alike.

use super::rule::*;
use super::{Message, Part};

/// Of requests.
pub(super) fn of_requests() -> Vec<Message> {
    behind("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
}

/// Of responses.
pub(super) fn of_responses() -> Vec<Message> {
    behind("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
}

fn behind(head: &str) -> Vec<Message> {
    let message = |(rule, content): &(Rule, &str)| {
        Message::new((*rule, Part::Content), content, [head, content].concat())
    };
    CONTENTS.iter().map(message).collect()
}

const CONTENTS: [(Rule, &str); 69] = [
    // Sizes.
    (CHUNK_SIZE, "\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "g\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "-1\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "+1\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "0x1\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, " 1\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "\t1\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "1 \r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "1\t\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "1 ;a\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "1 1\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "1_0\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "1.\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "1,1\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "1h\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "\"1\"\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "1\0\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "\u{661}\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, ";a\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "00000000000000001\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "10000000000000000\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "ffffffffffffffffff\r\na\r\n0\r\n\r\n"),
    (CHUNK_SIZE, "1\r\na\r\n\r\n"),
    (CHUNK_SIZE, "GET / HTTP/1.1\r\n\r\n"),
    // Line ends.
    (LINE_END, "1\na\r\n0\r\n\r\n"),
    (LINE_END, "\n1\r\na\r\n0\r\n\r\n"),
    (LINE_END, "1\r\r\na\r\n0\r\n\r\n"),
    (LINE_END, "1\ra\r\n0\r\n\r\n"),
    (LINE_END, "1;a\na\r\n0\r\n\r\n"),
    (LINE_END, "1;a\ra\r\n0\r\n\r\n"),
    (LINE_END, "1;a=b\nc\r\na\r\n0\r\n\r\n"),
    (LINE_END, "1\r\na\r\n0\n\r\n"),
    (LINE_END, "1\r\na\r\n0\r\n\n"),
    (LINE_END, "1\r\na\r\n0\r\n\r\r\n"),
    (LINE_END, "1\r\na\r\n0\r\n\rX"),
    (LINE_END, "0\na: b\r\n\r\n"),
    (LINE_END, "0\r\na: b\n\r\n"),
    (LINE_END, "0\r\na: b\rc\r\n\r\n"),
    (LINE_END, "0\r\na: b\r\n\n"),
    (CHUNK_END, "1\r\na\n0\r\n\r\n"),
    (CHUNK_END, "1\r\na\r0\r\n\r\n"),
    // Contents of another length.
    (CHUNK_END, "1\r\nab\r\n0\r\n\r\n"),
    (CHUNK_END, "3\r\na\r\n0\r\n\r\n"),
    (CHUNK_END, "1\r\na0\r\n\r\n"),
    (CHUNK_END, "1\r\naXX0\r\n\r\n"),
    (CHUNK_END, "2\r\na\r\n0\r\n\r\n"),
    // Extensions.
    (CHUNK_EXTENSION, "1;\0\r\na\r\n0\r\n\r\n"),
    (CHUNK_EXTENSION, "1;a\x0b\r\na\r\n0\r\n\r\n"),
    (CHUNK_EXTENSION, "1;a\x7f\r\na\r\n0\r\n\r\n"),
    (CHUNK_EXTENSION, "1;a=\"b\r\na\r\n0\r\n\r\n"),
    (CHUNK_EXTENSION, "1;a=\"b\\\r\na\r\n0\r\n\r\n"),
    (CHUNK_EXTENSION, "1;a=\"\r\n\"\r\na\r\n0\r\n\r\n"),
    (CHUNK_EXTENSION, "1;a=\"b\0\"\r\na\r\n0\r\n\r\n"),
    (CHUNK_EXTENSION, "1;a=(b)\r\na\r\n0\r\n\r\n"),
    (CHUNK_EXTENSION, "1;a=b,c\r\na\r\n0\r\n\r\n"),
    (CHUNK_EXTENSION, "1;\u{e4}\r\na\r\n0\r\n\r\n"),
    (LINE_END, "1;a=\"\n\"\r\na\r\n0\r\n\r\n"),
    (CHUNK_EXTENSION, "0;a=\"b\r\n\r\n"),
    // Trailers.
    (TRAILER, "0\r\na\r\n\r\n"),
    (TRAILER, "0\r\n: a\r\n\r\n"),
    (TRAILER, "0\r\n a: b\r\n\r\n"),
    (TRAILER, "0\r\na : b\r\n\r\n"),
    (TRAILER, "0\r\na: b\r\n c\r\n\r\n"),
    (TRAILER, "0\r\na: b\0\r\n\r\n"),
    (TRAILER, "0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (TRAILER_FORBIDDEN, "0\r\nContent-Length: 5\r\n\r\n"),
    (TRAILER_FORBIDDEN, "0\r\ntransfer-encoding: chunked\r\n\r\n"),
    (TRAILER_FORBIDDEN, "0\r\na: b\r\nHOST: a\r\n\r\n"),
    (TRAILER_FORBIDDEN, "0\r\nTransfer_Encoding: chunked\r\n\r\n"),
];
