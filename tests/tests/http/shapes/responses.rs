//! Heads of responses, and those that have no content whatever their heads say.

use crate::message::To;
use crate::script::{Act, Shape, Step, noise, ok, request, response};

/// Responses to a GET without content.
const BODILESS: [(&str, &str); 6] = [
    ("204", "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"),
    ("204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
    ("304", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"),
    ("304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"a\"\r\n\r\n"),
    ("304 of chunks", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("200 of nothing", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
];

/// Heads of responses to a HEAD.
const TO_HEAD: [(&str, &str); 4] = [
    ("a length", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
    ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("neither", "HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n"),
    ("404", "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n"),
];

/// First lines.
const LINES: [(&str, &str); 8] = [
    ("no reason", "HTTP/1.1 200 "),
    ("a long reason", "HTTP/1.1 200 Everything went (very) well; \"thanks\""),
    ("a reason of bytes over 127", "HTTP/1.1 200 \u{e4}"),
    ("418", "HTTP/1.1 418 I'm a teapot"),
    ("599", "HTTP/1.1 599 Odd"),
    ("206", "HTTP/1.1 206 Partial Content"),
    ("407", "HTTP/1.1 407 Proxy Authentication Required"),
    ("503", "HTTP/1.1 503 Service Unavailable"),
];

/// Fields.
const FIELDS: [(&str, &str); 8] = [
    ("the case of names", "x-lower: 1\r\nX-UPPER: 2\r\nX-mIxEd: 3\r\n"),
    (
        "repeated cookies",
        "Set-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\nX-A: 1\r\nSet-Cookie: c=\"3, 4\"\r\n",
    ),
    ("spaces around a value", "X-A:1\r\nX-B:   2  \r\nX-C:\t3\t\r\n"),
    ("an empty value", "X-A:\r\n"),
    ("bytes over 127", "X-A: \u{e4}\r\n"),
    ("what the connection is", "Connection: keep-alive\r\nKeep-Alive: timeout=5, max=100\r\n"),
    ("fields that Connection names", "Connection: x-hop\r\nX-Hop: 1\r\nX-End: 2\r\n"),
    ("an offer nobody asked for", "Upgrade: h2,h2c\r\nConnection: Upgrade\r\n"),
];

pub(super) fn all() -> Vec<Shape> {
    let mut all = Vec::new();
    for (name, response) in BODILESS {
        all.push(Shape::new(&format!("response: {name}")).get(response));
    }
    for (name, response) in TO_HEAD {
        let shape = Shape::new(&format!("response to HEAD: {name}"));
        all.push(shape.exchange(request("HEAD /", "", ""), To::Head, response).for_all());
    }
    for (name, line) in LINES {
        all.push(
            Shape::new(&format!("response: {name}")).get(format!("{line}\r\nContent-Length: 2\r\n\r\nok")),
        );
    }
    for (name, fields) in FIELDS {
        all.push(Shape::new(&format!("response: {name}")).get(response("200 OK", fields, b"ok")));
    }
    let long = format!("X-Long: {}\r\n", "a".repeat(30 << 10));
    all.push(Shape::new("response: a field of 30 KiB").get(response("200 OK", &long, b"ok")));
    let many: String = (0..90).map(|number| format!("X-Field-{number}: {number}\r\n")).collect();
    all.push(Shape::new("response: 90 fields").get(response("200 OK", &many, b"ok")));
    let cut = response("200 OK", "X-A: 1\r\nX-a: 2\r\n", &noise(1, 5_000));
    all.push(
        Shape::new("response: cut at random")
            .step(Step::Send(request("GET /", "", "")))
            .step(Step::Final(To::Get))
            .acts([Act::Rest, Act::Cut(cut)]),
    );
    all.push(Shape::new("response: after another of the same connection").get(ok()).get(ok()).get(ok()));
    all
}
