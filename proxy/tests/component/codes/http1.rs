//! Of HTTP/1.

use super::{CLIENT, Case, Part, SERVER};

const GET: &str = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The begin of a TLS handshake.
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n";
/// What somebody answers who speaks TLS alone.
const ALERT: &[u8] = b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n";

fn is_head(heard: &[u8]) -> bool {
    heard.windows(4).any(|window| window == b"\r\n\r\n")
}

fn client(name: &'static str, client: Part, code: &'static str) -> Case {
    Case { name, options: &[], client, server: Part::answers(OK), side: CLIENT, code, times: 1 }
}

fn server(name: &'static str, server: Part, code: &'static str) -> Case {
    Case { name, options: &[], client: Part::says(GET), server, side: SERVER, code, times: 1 }
}

fn play(cases: impl IntoIterator<Item = Case>) {
    cases.into_iter().for_each(|case| case.is_told(is_head));
}

#[test]
fn heads() {
    let long = format!("GET / HTTP/1.1\r\nHost: web\r\nX: {}\r\n\r\n", "y".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\nHost: web\r\n{}\r\n", "X: y\r\n".repeat(100));
    let bad = "GET / HTTP/1.1\r\nHost: web\r\nHost: other\r\n\r\n";
    let cut = Part::says("GET / HTTP/1.1\r\nHost: w").and_ends();
    let mut tls = Part { first: GET.into(), then: HELLO.to_vec(), ends: false };
    play([
        client("two hosts", Part::says(bad), "http1.host_repeated"),
        client("a long head", Part::says(long), "http1.head_too_long"),
        client("many fields", Part::says(many), "http1.too_many_fields"),
        client("a head that ends early", cut, "http1.request_head_ended"),
        client("TLS after a request", tls.clone(), "http1.request_line"),
        server("no status", Part::answers("HTTP/1.1 20 OK\r\n\r\n"), "http1.status_line"),
        server("TLS", Part::answers(ALERT), "http1.version"),
        server(
            "a head that ends early",
            Part::answers("HTTP/1.1 200").and_ends(),
            "http1.response_head_ended",
        ),
    ]);
    // After a good one.
    tls.then = bad.into();
    play([client("two hosts in the second request", tls, "http1.host_repeated")]);
}

#[test]
fn content() {
    let post = |content: &str| format!("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 3\r\n\r\n{content}");
    let chunked = "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n";
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok";
    let in_chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
    play([
        // It is not answered before it is whole.
        Case {
            server: Part::default(),
            ..client("a short request", Part::says(post("ab")).and_ends(), "http1.content_ended")
        },
        client("a long request", Part::says(post("abcd\r\n\r\n")), "http1.request_line"),
        client("no chunk", Part::says([chunked, "x\r\n\r\n"].concat()), "http1.chunk_size"),
        server("a short response", Part::answers(response).and_ends(), "http1.content_ended"),
        server("too few chunks", Part::answers(in_chunks).and_ends(), "http1.content_ended"),
        server("no chunk", Part::answers([in_chunks, "x\r\n"].concat()), "http1.chunk_size"),
    ]);
}

#[test]
fn slow_peers() {
    let head = Part::says("GET / HTTP/1.1\r\nHost: web\r\n");
    let content = Part::says("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 3\r\n\r\na");
    play([
        client("a slow head", head, "request_head_timeout").with(&["--http-head-timeout=200ms"]).late(),
        Case {
            server: Part::default(),
            ..client("slow content", content, "stream_idle_timeout")
                .with(&["--http-stream-idle-timeout=200ms"])
                .late()
        },
        server("a slow response", Part::answers("HTTP/1.1 2"), "stream_idle_timeout")
            .with(&["--http-stream-idle-timeout=200ms"])
            .late(),
    ]);
}
