//! Responses that are broken, each with the request that it is the answer to.

use super::rule::*;
use super::{GET, Message, Part, chunks};

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// To this request.
    pub asked: &'static str,
    /// What is answered.
    pub message: Message,
}

/// All of them.
pub fn responses() -> Vec<Response> {
    let heads = HEADS.iter().map(|(rule, head)| Message::new((*rule, Part::Head), head, *head));
    let to_get = heads.chain(fields()).chain(chunks::of_responses());
    to_get.map(|message| Response { asked: GET, message }).chain(switches()).collect()
}

/// With content and without.
fn fields() -> impl Iterator<Item = Message> {
    let of = |line: &'static str| {
        FIELDS.iter().map(move |(rule, fields)| {
            let head = format!("{line}\r\n{fields}\r\n");
            Message::new((*rule, Part::Head), &head, format!("{head}\r\n"))
        })
    };
    of("HTTP/1.1 200 OK").chain(of("HTTP/1.1 304 Not Modified"))
}

/// A switch of protocols needs an offer, and an offer needs the version, Connection and a protocol that may be switched to; and
/// the answer has to name one too.
fn switches() -> impl Iterator<Item = Response> {
    let message = |what: &str, head: &str| Message::new((UNASKED_SWITCH, Part::Head), what, head);
    let unasked = NO_OFFERS.iter().map(move |&asked| Response { asked, message: message(asked, SWITCH) });
    let unnamed = NO_SWITCHES.iter().map(move |head| Response { asked: OFFER, message: message(head, head) });
    unasked.chain(unnamed)
}

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

const OFFER: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

const NO_OFFERS: [&str; 9] = [
    GET,
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: TLS/1.2, HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket, H2C\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade:\r\n\r\n",
];

const NO_SWITCHES: [&str; 3] = [
    "HTTP/1.1 101 Ok\r\n\r\n",
    "HTTP/1.1 101 Ok\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.1 101 Ok\r\nConnection: upgrade\r\n\r\n",
];

const FIELDS: [(Rule, &str); 21] = [
    (LENGTH_TWICE, "Content-Length: 5\r\nTransfer-Encoding: chunked"),
    (LENGTH_TWICE, "Transfer-Encoding: chunked\r\nContent-Length: 5"),
    (CONTENT_LENGTH_REPEATED, "Content-Length: 0\r\nContent-Length: 5"),
    (CONTENT_LENGTH_REPEATED, "Content-Length: 5\r\nContent-Length: 5"),
    (CONTENT_LENGTH, "Content-Length: 5, 5"),
    (CONTENT_LENGTH, "Content-Length: +5"),
    (CONTENT_LENGTH, "Content-Length: 0x5"),
    (CONTENT_LENGTH, "Content-Length: 18446744073709551621"),
    (TRANSFER_ENCODING, "Transfer-Encoding: identity"),
    (TRANSFER_ENCODING, "Transfer-Encoding: gzip, chunked"),
    (TRANSFER_ENCODING, "Transfer-Encoding: chunked\t"),
    (TRANSFER_ENCODING_REPEATED, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    (TRANSFER_ENCODING_REPEATED, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
    (FIELD_NAME, "Content-Length : 5"),
    (FRAMING_LOOKALIKE, "Content_Length: 5"),
    (OBS_FOLD, "A: b\r\n c"),
    (OBS_FOLD, "Content-Length:\r\n 5"),
    (LINE_END, "A: b\nc: d"),
    (FIELD_VALUE, "A: b\rContent-Length: 5"),
    (FIELD_VALUE, "A: b\0"),
    (CONNECTION_NAMES, "Connection: content-length\r\nContent-Length: 5"),
];

/// Whole heads.
const HEADS: [(Rule, &str); 20] = [
    (EMPTY_LINE, "\r\nHTTP/1.1 200 OK\r\n\r\n"),
    (LINE_END, "\nHTTP/1.1 200 OK\r\n\r\n"),
    (LINE_END, "HTTP/1.1 200 OK\n\n"),
    (LINE_END, "HTTP/1.1 200 OK\r\n\n"),
    (VERSION, "HTTP/2 200 OK\r\n\r\n"),
    (VERSION, "HTTP/1.2 200 OK\r\n\r\n"),
    (VERSION, "ICY 200 OK\r\n\r\n"),
    (VERSION, "hello\r\n\r\n"),
    (STATUS_LINE, "HTTP/1.1 20 OK\r\n\r\n"),
    (STATUS_LINE, "HTTP/1.1 2000 OK\r\n\r\n"),
    (STATUS_LINE, "HTTP/1.1 +20 OK\r\n\r\n"),
    (STATUS_LINE, "HTTP/1.1 099 OK\r\n\r\n"),
    (STATUS_LINE, "HTTP/1.1 abc OK\r\n\r\n"),
    (STATUS_LINE, "HTTP/1.1 OK\r\n\r\n"),
    (VERSION, "HTTP/1.1\r\n\r\n"),
    (STATUS_LINE, "HTTP/1.1  200 OK\r\n\r\n"),
    (STATUS_LINE, "HTTP/1.1 200 O\0K\r\n\r\n"),
    (STATUS_LINE, "HTTP/1.1 200 O\rK\r\n\r\n"),
    (TRANSFER_ENCODING_IN_HTTP10, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (UNASKED_SWITCH, "HTTP/1.1 101 Ok\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
];
