//! Of HTTP/1.

use super::{CLIENT, Case, Group, Part, SERVER, assert_all_are_played};
use proxy::http::h1::Refusal;

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

/// A request after a good one, so that it is taken for HTTP whatever it is.
fn second(name: &'static str, says: impl Into<Vec<u8>>, code: &'static str) -> Case {
    client(name, Part { first: GET.into(), then: says.into(), ends: false }, code)
}

/// With these lines behind the first.
fn with(name: &'static str, lines: &str, code: &'static str) -> Case {
    second(name, format!("POST / HTTP/1.1\r\n{lines}\r\n\r\n"), code)
}

const GROUPS: [Group; 6] = [heads, first_lines, fields, of_servers, content, slow_peers];

fn play(group: Group) {
    group().into_iter().for_each(|case| case.is_told(is_head));
}

#[test]
fn heads_are_told() {
    play(heads);
}

#[test]
fn first_lines_are_told() {
    play(first_lines);
}

#[test]
fn fields_are_told() {
    play(fields);
}

#[test]
fn what_servers_say_is_told() {
    play(of_servers);
}

#[test]
fn content_is_told() {
    play(content);
}

#[test]
fn who_is_slow_is_told() {
    play(slow_peers);
}

#[test]
fn all_that_is_refused_is_played() {
    assert_all_are_played(&GROUPS, &Refusal::ALL.map(Refusal::code));
}

fn heads() -> Vec<Case> {
    let long = format!("GET / HTTP/1.1\r\nHost: web\r\nX: {}\r\n\r\n", "y".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\nHost: web\r\n{}\r\n", "X: y\r\n".repeat(100));
    let bad = "GET / HTTP/1.1\r\nHost: web\r\nHost: other\r\n\r\n";
    let cut = Part::says("GET / HTTP/1.1\r\nHost: w").and_ends();
    vec![
        client("two hosts", Part::says(bad), "http1.host_repeated"),
        client("a long head", Part::says(long), "http1.head_too_long"),
        client("many fields", Part::says(many), "http1.too_many_fields"),
        client("a head that ends early", cut, "http1.request_head_ended"),
        second("TLS after a request", HELLO, "http1.request_line"),
        second("two hosts in the second request", bad, "http1.host_repeated"),
        server("no status", Part::answers("HTTP/1.1 20 OK\r\n\r\n"), "http1.status_line"),
        server("TLS", Part::answers(ALERT), "http1.version"),
        server(
            "a head that ends early",
            Part::answers("HTTP/1.1 200").and_ends(),
            "http1.response_head_ended",
        ),
    ]
}

fn first_lines() -> Vec<Case> {
    let line = |name, line: &str, code| second(name, format!("{line}\r\nHost: web\r\n\r\n"), code);
    vec![
        second("no CR", "GET / HTTP/1.1\nHost: web\n\n", "http1.line_end"),
        second("two empty lines", "\r\n\r\nGET / HTTP/1.1\r\nHost: web\r\n\r\n", "http1.empty_line"),
        line("a new version", "GET / HTTP/9.9", "http1.version"),
        line("no path", "GET a HTTP/1.1", "http1.target"),
        line("a fragment", "GET /a#b HTTP/1.1", "http1.fragment"),
        second("no host", "GET / HTTP/1.1\r\n\r\n", "http1.host_missing"),
        line("two names of the host", "GET http://other/ HTTP/1.1", "http1.host_not_target"),
        second("a list of hosts", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "http1.host_invalid"),
        second(
            "a tunnel with content",
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\nx",
            "http1.connect_content",
        ),
    ]
}

fn fields() -> Vec<Case> {
    let host = |name, more: &str, code| with(name, &format!("Host: web\r\n{more}"), code);
    let options = format!("Connection: {}", ["x"; 200].join(","));
    vec![
        host("a name with a space", "X Y: z", "http1.field_name"),
        host("NUL", "X: a\0b", "http1.field_value"),
        host("a folded line", "X: a\r\n b", "http1.obs_fold"),
        host("no number", "Content-Length: x", "http1.content_length"),
        host("a length twice", "Content-Length: 1\r\nContent-Length: 1", "http1.content_length_repeated"),
        host("an unknown coding", "Transfer-Encoding: gzip", "http1.transfer_encoding"),
        host(
            "chunks in chunks",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "http1.transfer_encoding_repeated",
        ),
        second(
            "chunks of HTTP/1.0",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "http1.transfer_encoding_in_http10",
        ),
        host("a length and chunks", "Content-Length: 1\r\nTransfer-Encoding: chunked", "http1.length_twice"),
        host("nearly a length", "Content_Length: 1", "http1.framing_lookalike"),
        host("the length of one hop", "Connection: Content-Length", "http1.connection_names"),
        host("many options", &options, "http1.connection_options"),
    ]
}

fn of_servers() -> Vec<Case> {
    let says = |name, head: &str, code| server(name, Part::answers(format!("{head}\r\n\r\n")), code);
    let hint = "HTTP/1.1 103 Early Hints\r\n\r\n";
    vec![
        says("no CR", "HTTP/1.1 200 OK\nX: y", "http1.line_end"),
        says("a name with a space", "HTTP/1.1 200 OK\r\nX Y: z", "http1.field_name"),
        says(
            "a length and chunks",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
            "http1.length_twice",
        ),
        says("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1, 2", "http1.content_length"),
        says("a switch", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x", "http1.unasked_switch"),
        server("interim responses", Part::answers(hint.repeat(2_000)), "http1.interim_flood"),
    ]
}

fn content() -> Vec<Case> {
    let post = |content: &str| format!("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 3\r\n\r\n{content}");
    let chunked = "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n";
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok";
    let in_chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
    let chunks = |name, says: &str, code| client(name, Part::says([chunked, says].concat()), code);
    let long = "e".repeat(70_000);
    vec![
        // It is not answered before it is whole.
        Case {
            server: Part::default(),
            ..client("a short request", Part::says(post("ab")).and_ends(), "http1.content_ended")
        },
        client("a long request", Part::says(post("abcd\r\n\r\n")), "http1.request_line"),
        chunks("no chunk", "x\r\n\r\n", "http1.chunk_size"),
        chunks("an extension that is none", "1;(\r\nx\r\n", "http1.chunk_extension"),
        chunks("a long extension", &format!("1;{long}"), "http1.chunk_extension_too_long"),
        chunks("a long chunk", "1\r\nxyz\r\n", "http1.chunk_end"),
        chunks("a trailer that is none", "0\r\n(: x\r\n\r\n", "http1.trailer"),
        chunks("a length behind", "0\r\nContent-Length: 1\r\n\r\n", "http1.trailer_forbidden"),
        chunks("long trailers", &format!("0\r\nx: {long}"), "http1.trailers_too_long"),
        server("a short response", Part::answers(response).and_ends(), "http1.content_ended"),
        server("too few chunks", Part::answers(in_chunks).and_ends(), "http1.content_ended"),
        server("no chunk", Part::answers([in_chunks, "x\r\n"].concat()), "http1.chunk_size"),
    ]
}

fn slow_peers() -> Vec<Case> {
    let head = Part::says("GET / HTTP/1.1\r\nHost: web\r\n");
    let content = Part::says("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 3\r\n\r\na");
    vec![
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
    ]
}
