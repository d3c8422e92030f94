//! Heads of requests: methods, targets, fields.

use crate::message::To;
use crate::script::{HOST, Shape, ok, request};

/// With a name each; all of them begin with a slash.
pub(crate) const TARGETS: [(&str, &str); 14] = [
    ("two slashes", "//"),
    ("slashes within", "/a//b///"),
    ("an encoded slash", "/a%2fb%2F"),
    ("parameters", "/a;x=1/b;y"),
    ("a bar", "/a|b"),
    ("dot segments", "/a/./b/../c"),
    ("encoded dots", "/%2e%2E/a"),
    ("an encoded backslash", "/a%5cb"),
    ("an empty query", "/?"),
    ("a query of everything", "/a?b=c&d=/?:@!$'()*+,;="),
    ("brackets, quotes, and a caret", "/\"<>{}[]^`"),
    ("a tilde, both ways", "/~a/%7Ea"),
    ("bytes over 127", "/\u{e4}\u{20ac}"),
    ("a colon", "/a:b@c"),
];

/// Known ones, and others.
pub(crate) const METHODS: [&str; 10] =
    ["GET", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "M-SEARCH", "get", "Get", "X!#$%&'*+.^_`|~", "TRACE"];

/// Fields of a GET.
const FIELDS: [(&str, &str); 17] = [
    ("the case of names", "x-lower: 1\r\nX-UPPER: 2\r\nX-mIxEd: 3\r\n"),
    ("a repeated field", "X-A: 1\r\nx-a: 2\r\nX-B: 3\r\nX-A: 1\r\n"),
    ("repeated cookies", "Cookie: a=1\r\nCookie: b=2; c=3\r\n"),
    ("spaces around a value", "X-A:1\r\nX-B:   2  \r\nX-C:\t3\t\r\n"),
    ("an empty value", "X-A:\r\nX-B: \r\n"),
    ("bytes over 127", "X-A: \u{e4}\r\n"),
    ("tabs within a value", "X-A: a\tb\r\n"),
    ("a name of every character", "!#$%&'*+-.^_`|~9z: 1\r\n"),
    ("TE for trailers", "TE: trailers\r\nConnection: TE\r\n"),
    ("TE for codings", "TE: gzip;q=0.5, trailers\r\nConnection: TE\r\n"),
    ("fields that Connection names", "Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nX-End: 2\r\n"),
    ("Keep-Alive and Proxy-Connection", "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n"),
    ("what other proxies add", "Via: 1.1 a\r\nForwarded: for=192.0.2.1\r\nX-Forwarded-For: 192.0.2.1\r\n"),
    ("credentials", "Authorization: Basic YTpi\r\nProxy-Authorization: Basic YTpi\r\n"),
    ("conditions", "If-None-Match: \"a\", W/\"b\"\r\nIf-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n"),
    ("an id of its own", "x-request-ID: a, b\r\n"),
    ("a range", "Range: bytes=0-1\r\n"),
];

pub(super) fn all() -> Vec<Shape> {
    let one = |name: String, request: Vec<u8>| Shape::new(&name).exchange(request, To::Get, ok()).for_all();
    let mut all = Vec::new();
    for (name, target) in TARGETS {
        all.push(one(format!("target: {name}"), request(&format!("GET {target}"), "", "")));
    }
    for method in METHODS {
        all.push(one(
            format!("method {method}"),
            request(&format!("{method} /"), "X-Request-Id: own\r\n", ""),
        ));
    }
    for (name, fields) in FIELDS {
        let mut shape = one(format!("fields: {name}"), request("GET /", fields, ""));
        // What an application makes of those that are for its server alone is no matter.
        shape.is_for_all = !fields.contains("X-Hop");
        all.push(shape);
    }
    let long = "a".repeat(8 << 10);
    all.push(one("target: 8 KiB".to_owned(), request(&format!("GET /{long}"), "", "")));
    all.push(one("fields: one of 8 KiB".to_owned(), request("GET /", &format!("X-Long: {long}\r\n"), "")));
    let many: String = (0..90).map(|number| format!("X-Field-{number}: {number}\r\n")).collect();
    all.push(one("fields: 90".to_owned(), request("GET /", &many, "")));
    let four = format!("X-A: {long}\r\nX-B: {long}\r\nX-C: {long}\r\nX-D: {long}\r\n");
    all.push(Shape::new("fields: 32 KiB").exchange(request("GET /", &four, ""), To::Get, ok()));
    all.extend(forms());
    all
}

/// RFC 9112, section 3.2.
fn forms() -> Vec<Shape> {
    let one = |name: &str, request: String| {
        Shape::new(&format!("form: {name}")).exchange(request, To::Get, ok()).for_all()
    };
    vec![
        one("absolute", format!("GET http://server.example/a?b HTTP/1.1\r\n{HOST}\r\n")),
        one("absolute, without a path", format!("GET http://server.example HTTP/1.1\r\n{HOST}\r\n")),
        one(
            "absolute, upper case and a port",
            format!("GET HTTP://SERVER.example:80/ HTTP/1.1\r\n{HOST}\r\n"),
        ),
        one("asterisk", format!("OPTIONS * HTTP/1.1\r\n{HOST}\r\n")),
        one("Host with a port", "GET / HTTP/1.1\r\nHost: server.example:8080\r\n\r\n".to_owned()),
        one("Host of digits", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n".to_owned()),
        one("an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n".to_owned()),
        one("Host at the end", "GET / HTTP/1.1\r\nX-A: 1\r\nHOST: server.example\r\n\r\n".to_owned()),
        // There are servers that refuse it.
        Shape {
            is_for_all: false,
            ..one("an empty line before", format!("\r\nGET / HTTP/1.1\r\n{HOST}\r\n"))
        },
    ]
}
