//! Responses: how long they are for what was asked, and those that are refused.

use super::super::Refusal::{self, *};
use super::super::body::Length;
use super::super::response::Response;
use super::super::{Room, request::Asked};
use super::{GET, Speaker, all_refused, asked, settings};

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
const CONNECT: &str = "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n";
const OLD: &str = "GET / HTTP/1.0\r\n\r\n";

#[test]
fn none_is_accepted() {
    all_refused(Speaker::Server(asked(GET)), matrix());
    // A switch needs an offer, and an offer needs the version, Connection and a protocol that may be switched to.
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    for request in [
        GET,
        HEAD,
        CONNECT,
        "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: TLS/1.2, HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket, H2C\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade:\r\n\r\n",
    ] {
        all_refused(Speaker::Server(asked(request)), [(UnaskedSwitch, switch.to_vec())]);
    }
    // And the answer has to name one too.
    for head in [
        "HTTP/1.1 101 Ok\r\n\r\n",
        "HTTP/1.1 101 Ok\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Ok\r\nConnection: upgrade\r\n\r\n",
    ] {
        all_refused(Speaker::Server(asked(UPGRADE)), [(UnaskedSwitch, head.into())]);
    }
}

/// All of them, in answer to a GET.
pub(super) fn matrix() -> Vec<(Refusal, Vec<u8>)> {
    let mut all: Vec<_> =
        RESPONSES.iter().map(|(reason, head)| (*reason, head.as_bytes().to_vec())).collect();
    let fields = [
        (LengthTwice, "Content-Length: 5\r\nTransfer-Encoding: chunked"),
        (LengthTwice, "Transfer-Encoding: chunked\r\nContent-Length: 5"),
        (ContentLengthRepeated, "Content-Length: 5\r\nContent-Length: 5"),
        (ContentLength, "Content-Length: 5, 5"),
        (ContentLength, "Content-Length: +5"),
        (ContentLength, "Content-Length: 0x5"),
        (TransferEncoding, "Transfer-Encoding: gzip, chunked"),
        (TransferEncoding, "Transfer-Encoding: chunked\t"),
        (TransferEncodingRepeated, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        (FieldName, "Content-Length : 5"),
        (FramingLookalike, "Content_Length: 5"),
        (ObsFold, "A: b\r\n c"),
        (LineEnd, "A: b\nc: d"),
        (FieldValue, "A: b\0"),
        (ConnectionNames, "Connection: content-length\r\nContent-Length: 5"),
    ];
    for status in ["200 OK", "304 Not Modified"] {
        all.extend(fields.iter().map(|(reason, fields)| {
            (*reason, format!("HTTP/1.1 {status}\r\n{fields}\r\n\r\n").into_bytes())
        }));
    }
    all.push((HeadTooLong, ["HTTP/1.1 200 ", &"a".repeat(70_000)].concat().into_bytes()));
    all.push((TooManyFields, format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101)).into_bytes()));
    all
}

const RESPONSES: [(Refusal, &str); 18] = [
    (EmptyLine, "\r\nHTTP/1.1 200 OK\r\n\r\n"),
    (LineEnd, "\nHTTP/1.1 200 OK\r\n\r\n"),
    (LineEnd, "HTTP/1.1 200 OK\n\n"),
    (LineEnd, "HTTP/1.1 200 OK\r\n\n"),
    (Version, "HTTP/2 200 OK\r\n\r\n"),
    (Version, "HTTP/1.2 200 OK\r\n\r\n"),
    (Version, "ICY 200 OK\r\n\r\n"),
    (StatusLine, "HTTP/1.1 20 OK\r\n\r\n"),
    (StatusLine, "HTTP/1.1 2000 OK\r\n\r\n"),
    (StatusLine, "HTTP/1.1 +20 OK\r\n\r\n"),
    (StatusLine, "HTTP/1.1 099 OK\r\n\r\n"),
    (StatusLine, "HTTP/1.1 abc OK\r\n\r\n"),
    (Version, "HTTP/1.1\r\n\r\n"),
    (StatusLine, "HTTP/1.1  200 OK\r\n\r\n"),
    (StatusLine, "HTTP/1.1 200 O\0K\r\n\r\n"),
    (StatusLine, "HTTP/1.1 200 O\rK\r\n\r\n"),
    (TransferEncodingInOld, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (UnaskedSwitch, "HTTP/1.1 101 Ok\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
];

#[test]
fn the_length_depends_on_what_was_asked() {
    let [sized, chunked, neither] = ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", ""];
    for (request, status, fields, length, persists) in [
        (GET, 200, sized, Length::Exact(5), true),
        (GET, 200, chunked, Length::Chunked, true),
        (GET, 200, neither, Length::UntilClose, false),
        (GET, 999, neither, Length::UntilClose, false),
        (GET, 200, "Content-Length: 5\r\nConnection: close\r\n", Length::Exact(5), false),
        (GET, 204, neither, Length::Exact(0), true),
        (GET, 204, sized, Length::Exact(0), true),
        (GET, 204, chunked, Length::Exact(0), true),
        (GET, 304, sized, Length::Exact(0), true),
        (GET, 304, chunked, Length::Exact(0), true),
        (GET, 100, neither, Length::Exact(0), true),
        (GET, 103, sized, Length::Exact(0), true),
        (HEAD, 200, sized, Length::Exact(0), true),
        (HEAD, 200, chunked, Length::Exact(0), true),
        (HEAD, 500, neither, Length::Exact(0), true),
        (CONNECT, 200, neither, Length::Tunnel, false),
        (CONNECT, 299, sized, Length::Tunnel, false),
        (CONNECT, 403, sized, Length::Exact(5), true),
        (CONNECT, 403, neither, Length::UntilClose, false),
        (UPGRADE, 101, "Connection: Upgrade\r\nUpgrade: websocket\r\n", Length::Tunnel, false),
        (UPGRADE, 200, sized, Length::Exact(5), true),
        (OLD, 200, sized, Length::Exact(5), true),
        (OLD, 200, neither, Length::UntilClose, false),
    ] {
        let head = format!("HTTP/1.1 {status} Reason\r\n{fields}\r\n");
        let (mut room, settings) = (Room::new(), settings());
        let response = Response::parse(head.as_bytes(), &mut room, asked(request), &settings).unwrap();
        assert_eq!((response.length(), response.persists()), (length, persists), "{request:?} {head:?}");
        assert_eq!(response.is_interim(), matches!(status, 100 | 103));
        assert_eq!(response.status(), status);
    }
}

#[test]
fn an_old_server_keeps_its_connection_if_it_says_so() {
    let of = |head: &str, asked: Asked| {
        let (mut room, settings) = (Room::new(), settings());
        Response::parse(head.as_bytes(), &mut room, asked, &settings).unwrap().persists()
    };
    for (connection, persists) in
        [("", false), ("Connection: keep-alive\r\n", true), ("Connection: Keep-Alive, close\r\n", false)]
    {
        let head = format!("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n{connection}\r\n");
        assert_eq!(of(&head, asked(GET)), persists, "{head:?}");
    }
}
