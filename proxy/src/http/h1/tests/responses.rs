//! Responses: how long they are for what was asked.

use super::super::body::Length;
use super::super::response::Response;
use super::super::{Room, request::Asked};
use super::{GET, asked, settings};

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
const CONNECT: &str = "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n";
const OLD: &str = "GET / HTTP/1.0\r\n\r\n";

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
