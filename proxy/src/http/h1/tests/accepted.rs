//! Requests that are carried, however unusual: where they end, and what has to be known of them.

use super::super::body::Length;
use super::super::request::{Method, Request};
use super::super::{Room, Version};
use super::{GET, Speaker, asked, judge, length, settings};

#[test]
fn every_form_of_target_is_carried() {
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /?a=b&c HTTP/1.1\r\nHost: a.example:8080\r\n\r\n",
        "GET //a/%2e%2E/./..;b/\\\"<>{}|^` HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "GET /\u{e4} HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a_b\r\n\r\n",
        "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/b HTTP/1.1\r\nHost: A\r\n\r\n",
        "GET HTTP://a:80/b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET https://a?b HTTP/1.1\r\nHost: a:443\r\n\r\n",
        "GET http://[::1]/ HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "GET http://a/ HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS /a HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        "CONNECT a:443 HTTP/1.0\r\n\r\n",
        "get / HTTP/1.1\r\nHost: a\r\n\r\n",
        "M-SEARCH!#$%&'*+.^_`|~ / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\nHOST: \t a \t\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nx:\ty \t z\t\r\n!#$%&'*+.^_`|~9:\r\nu: \u{e4}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nCookie: a\r\nCookie: b\r\nSet-Cookie: \"c\r\n\r\n",
    ] {
        let stream = [head, GET].concat();
        // A tunnel begins with the response only; until then what follows could be a request.
        let messages =
            judge(Speaker::Client, stream.as_bytes()).unwrap_or_else(|refusal| panic!("{refusal}: {head:?}"));
        assert_eq!(messages.len(), 2, "{head:?}");
        if !head.contains("HTTP/1.0") {
            assert_eq!(messages[0].head, head, "its own bytes");
        }
    }
}

#[test]
fn pipelined_requests_end_where_they_should() {
    let parts = [
        ("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        ("POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\n", "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", ""),
        (
            "PUT /4 HTTP/1.1\r\ntransfer-encoding:chunked\r\nhost:a\r\n\r\n",
            "5;x=\"y\"\r\n0\r\n\r\n\r\n0\r\nT: u\r\n\r\n",
        ),
        ("GET /5 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", "\n"),
        ("DELETE /6 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:   chunked\r\n\r\n", "0\r\n\r\n"),
    ];
    // An empty line before a request is not passed on.
    let stream: String = parts.iter().map(|(head, content)| format!("\r\n{head}{content}")).collect();
    let messages = judge(Speaker::Client, stream.as_bytes()).unwrap();
    assert_eq!(messages.len(), parts.len());
    for (message, (head, content)) in messages.iter().zip(parts) {
        assert_eq!((message.head.as_str(), message.content.as_slice()), (head, content.as_bytes()));
        assert!(message.is_complete);
    }
}

#[test]
fn an_end_within_a_message_is_no_end() {
    for (stream, is_complete) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", true),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab", false),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", false),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true),
    ] {
        let messages = judge(Speaker::Client, stream.as_bytes()).unwrap();
        assert_eq!(messages[0].is_complete, is_complete, "{stream:?}");
    }
    let server = Speaker::Server(asked(GET));
    for (stream, is_complete) in [
        ("HTTP/1.1 200 OK\r\n\r\nab", true),
        ("HTTP/1.0 200\r\n\r\n", true),
        ("HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nab", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab", false),
    ] {
        let messages = judge(server, stream.as_bytes()).unwrap();
        assert_eq!(messages[0].is_complete, is_complete, "{stream:?}");
    }
}

#[test]
fn what_is_known_for_the_response() {
    let with = |line: &str, fields: &str| asked(&format!("{line}\r\nHost: a\r\n{fields}\r\n"));
    for (line, fields, persists) in [
        ("GET / HTTP/1.1", "", true),
        ("GET / HTTP/1.1", "Connection: close\r\n", false),
        ("GET / HTTP/1.1", "Connection: keep-alive\r\n", true),
        ("GET / HTTP/1.1", "Connection: keep-alive\r\nConnection: , CLOSE\r\n", false),
        ("GET / HTTP/1.1", "Connection: closed\r\n", true),
        ("GET / HTTP/1.0", "", false),
        ("GET / HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("GET / HTTP/1.0", "Connection: close, keep-alive\r\n", false),
        ("GET / HTTP/1.0", "Proxy-Connection: keep-alive\r\n", false),
    ] {
        assert_eq!(with(line, fields).persists, persists, "{line} {fields:?}");
    }
    let upgrade = |connection: &str, upgrade: &str| {
        with("GET / HTTP/1.1", &format!("Connection: {connection}\r\nUpgrade: {upgrade}\r\n")).upgrade
    };
    assert!(upgrade("Upgrade", "websocket"));
    assert!(upgrade("keep-alive, upgrade", "SPDY/3.1, WebSocket"));
    assert!(!upgrade("keep-alive", "websocket") && !upgrade("upgrade", "h2c"));
    assert_eq!(with("HEAD / HTTP/1.1", "").method, Method::Head);
    assert_eq!(with("head / HTTP/1.1", "").method, Method::Other, "methods are case-sensitive");
    assert_eq!(asked("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").method, Method::Connect);
    assert_eq!(with("GET / HTTP/1.0", "").version, Version::Old);
}

#[test]
fn the_largest_length_is_counted() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999999999\r\n\r\n";
    assert_eq!(length(head), Length::Exact(999_999_999_999_999_999));
    let (mut room, settings) = (Room::new(), settings());
    let request = Request::parse(head.as_bytes(), &mut room, &settings).unwrap();
    assert_eq!((request.method(), request.target(), request.host()), ("POST", "/", Some(&b"a"[..])));
}

#[test]
fn heads_up_to_the_limit_are_carried() {
    let begin = "GET / HTTP/1.1\r\nHost: a\r\na: ";
    let most = settings().http_max_head as usize;
    for (length, is_carried) in [(most, true), (most + 1, false)] {
        let stream = format!("{begin}{}\r\n\r\n", "b".repeat(length - begin.len() - 4));
        assert_eq!(stream.len(), length);
        assert_eq!(judge(Speaker::Client, stream.as_bytes()).is_ok(), is_carried);
        let (left, right) = stream.as_bytes().split_at(length - 1);
        assert_eq!(super::read(Speaker::Client, [left, right]).is_ok(), is_carried);
    }
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(count - 1));
    assert_eq!(judge(Speaker::Client, fields(100).as_bytes()).map(|messages| messages.len()), Ok(1));
}
