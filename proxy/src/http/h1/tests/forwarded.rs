//! What the next hop gets of a head.

use super::super::Room;
use super::super::request::{Asked, Request};
use super::super::response::Response;
use super::{GET, asked, settings};

fn request(head: &str, keep: bool) -> String {
    let (mut room, mut to) = (Room::new(), Vec::new());
    Request::parse(head.as_bytes(), &mut room, &settings()).unwrap().forward(keep, (&[], &[]), &mut to);
    String::from_utf8(to).unwrap()
}

fn response(head: &str, asked: Asked, keep: bool) -> String {
    let (mut room, mut to) = (Room::new(), Vec::new());
    Response::parse(head.as_bytes(), &mut room, asked, &settings()).unwrap().forward(keep, &mut to);
    String::from_utf8(to).unwrap()
}

/// Fields around those that are edited, which must stay as they are.
fn around(fields: &str) -> String {
    format!("hOsT:a\r\nb: 1\r\n{fields}B:2\r\nb:\t3 \r\n")
}

#[test]
fn requests_keep_their_bytes_but_for_this_hop() {
    const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: WebSocket\r\n";
    for (version, keep, fields, forwarded) in [
        ("1.1", true, "", ""),
        ("1.1", true, "Connection: Keep-Alive\r\n", "Connection: Keep-Alive\r\n"),
        ("1.1", true, "Connection: close\r\n", ""),
        ("1.1", false, "CONNECTION:CLOSE\r\n", "CONNECTION:CLOSE\r\n"),
        ("1.1", false, "connection: keep-alive\r\n", "connection: close\r\n"),
        ("1.1", true, "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n", ""),
        ("1.1", true, "Connection: X-A, x-b\r\nx-a: 1\r\nX-A: 2\r\nX-B: 3\r\nX-C: 4\r\n", "X-C: 4\r\n"),
        ("1.1", true, "X-A: 1\r\nConnection: x-a\r\nConnection: close\r\n", ""),
        ("1.1", false, "Connection: x-a\r\nA: 1\r\nConnection: close\r\n", "Connection: close\r\nA: 1\r\n"),
        ("1.1", true, WEBSOCKET, WEBSOCKET),
        (
            "1.1",
            true,
            "Connection: keep-alive, Upgrade\r\nUpgrade: a\r\n",
            "Connection: keep-alive, Upgrade\r\nUpgrade: a\r\n",
        ),
        ("1.1", false, WEBSOCKET, "Connection: close, upgrade\r\nUpgrade: WebSocket\r\n"),
        ("1.1", true, "Upgrade: websocket\r\n", ""),
        ("1.1", true, "Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n", ""),
        ("1.1", true, "Connection: upgrade\r\nUpgrade: TLS/1.2\r\n", ""),
        ("1.1", true, "TE: trailers\r\n", "TE: trailers\r\n"),
        ("1.1", true, "Connection: TE\r\nTE: trailers\r\n", "Connection: TE\r\nTE: trailers\r\n"),
        ("1.1", true, "Connection: te, close\r\nTE: Trailers\r\n", "Connection: TE\r\nTE: Trailers\r\n"),
        ("1.1", true, "Connection: TE\r\nTE: gzip, trailers\r\n", ""),
        (
            "1.1",
            true,
            "Trailer: x\r\nExpect: 100-continue\r\nProxy-Authorization: x\r\n",
            "Trailer: x\r\nExpect: 100-continue\r\nProxy-Authorization: x\r\n",
        ),
        ("1.1", true, "transfer-encoding:  Chunked\r\n", "transfer-encoding: chunked\r\n"),
        ("1.0", false, "", ""),
        ("1.0", true, "Connection: keep-alive\r\n", "Connection: keep-alive\r\n"),
        ("1.0", false, "Connection: keep-alive\r\n", ""),
        ("1.0", false, "Connection: close\r\n", "Connection: close\r\n"),
        (
            "1.0",
            true,
            "Connection: upgrade, keep-alive\r\nUpgrade: websocket\r\n",
            "Connection: keep-alive\r\n",
        ),
    ] {
        let line = format!("POST /%7e HTTP/{version}\r\n");
        let head = format!("{line}{}\r\n", around(fields));
        assert_eq!(request(&head, keep), format!("{line}{}\r\n", around(forwarded)), "{head:?} {keep}");
    }
}

#[test]
fn what_has_to_be_said_is_said_at_the_end_if_nothing_was() {
    assert_eq!(request(GET, false), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(request("GET / HTTP/1.0\r\n\r\n", true), "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(
        response("HTTP/1.1 204 \r\n\r\n", asked(GET), false),
        "HTTP/1.1 204 \r\nConnection: close\r\n\r\n"
    );
}

const OLD: &str = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const CONNECT: &str = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Yes\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n";

/// What was asked, whether the client's connection is kept, what the server says, and what the client gets.
const RESPONSES: [(&str, bool, &str, &str); 16] = [
    (
        GET,
        true,
        "HTTP/1.1 200 OK \u{e4}\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nx:y\r\n\r\n",
        "HTTP/1.1 200 OK \u{e4}\r\nConnection: keep-alive\r\nx:y\r\n\r\n",
    ),
    (
        GET,
        true,
        "HTTP/1.1 200\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        GET,
        false,
        "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie: b\r\nConnection: close\r\n\r\n",
    ),
    // Who reads or writes HTTP/1.0 has to be told, and who does not keep has not.
    (
        OLD,
        true,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
    ),
    (OLD, false, "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"),
    (
        GET,
        true,
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
    ),
    // Interim responses say nothing of the connection.
    (GET, false, "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"),
    (
        GET,
        false,
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    ),
    (UPGRADE, false, SWITCH, SWITCH),
    (
        UPGRADE,
        true,
        "HTTP/1.1 101 Yes\r\nUpgrade: a\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 101 Yes\r\nUpgrade: a\r\nConnection: Upgrade\r\n\r\n",
    ),
    (CONNECT, true, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"),
    (GET, true, "HTTP/1.1 204 No\r\nContent-Length: 5\r\nA: b\r\n\r\n", "HTTP/1.1 204 No\r\nA: b\r\n\r\n"),
    (
        GET,
        true,
        "HTTP/1.1 304 Not\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n",
        "HTTP/1.1 304 Not\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n",
    ),
    // What the server offers without having been asked.
    (
        GET,
        true,
        "HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        GET,
        true,
        "HTTP/1.1 426 No\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 426 No\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        GET,
        true,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\nTE: trailers\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
];

#[test]
fn responses_keep_their_bytes_but_for_this_hop() {
    for (request, keep, head, forwarded) in RESPONSES {
        assert_eq!(response(head, asked(request), keep), forwarded, "{request:?} {head:?} {keep}");
    }
}

#[test]
fn fields_are_replaced_by_name_and_others_added() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nB3: 1\r\nX: 1\r\nb3: 2\r\nB33: 3\r\n\r\n";
    let (mut room, mut to) = (Room::new(), Vec::new());
    let request = Request::parse(head.as_bytes(), &mut room, &settings()).unwrap();
    assert_eq!(request.fields().map(|(name, _)| name).collect::<Vec<_>>(), ["Host", "B3", "X", "b3", "B33"]);
    request.forward(true, (&["b3", "host"], b"b3: 4\r\n"), &mut to);
    // Only what is nothing to HTTP itself can be replaced.
    let expected = "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nB33: 3\r\nb3: 4\r\n\r\n";
    assert_eq!(String::from_utf8(to).unwrap(), expected);
    // What Connection names is nobody's beyond this hop, and what is added is not what it names.
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: B3, x\r\nb3: 1\r\nX: 1\r\nB33: 3\r\n\r\n";
    let (mut room, mut to) = (Room::new(), Vec::new());
    let request = Request::parse(head.as_bytes(), &mut room, &settings()).unwrap();
    assert_eq!(request.fields().map(|(name, _)| name).collect::<Vec<_>>(), ["Host", "Connection", "B33"]);
    request.forward(true, (&[], b"b3: 4\r\n"), &mut to);
    assert_eq!(String::from_utf8(to).unwrap(), "GET / HTTP/1.1\r\nHost: a\r\nB33: 3\r\nb3: 4\r\n\r\n");
}
