//! The same from the other side: ambiguous responses, each followed by one that nobody has asked for. No client gets the one
//! or the other.

use std::sync::mpsc;

use super::MOST_FAILURES;
use crate::client::{self, Got};
use crate::message::{End, To, find, status};
use crate::script::{Act, Shape, Step, request, response};
use crate::server::Server;
use crate::ways::{Way, Ways};

/// What the response that nobody has asked for contains.
const MARKER: &[u8] = b"smuggled";

/// Fields of a response with the status 200, and what follows its head.
const FIELDS: [(&str, &str, &str); 17] = [
    ("both lengths", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ("both lengths, the other way round", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
    ("two lengths", "Content-Length: 0\r\nContent-Length: 5\r\n", "hello"),
    ("two lengths that agree", "Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
    ("a list of lengths", "Content-Length: 5, 5\r\n", "hello"),
    ("a length with a sign", "Content-Length: +5\r\n", "hello"),
    ("a hexadecimal length", "Content-Length: 0x5\r\n", "hello"),
    ("a length of too many digits", "Content-Length: 18446744073709551621\r\n", "hello"),
    ("a space before the colon of a length", "Content-Length : 5\r\n", "hello"),
    ("another coding", "Transfer-Encoding: identity\r\n", ""),
    ("another coding before", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
    ("a coding twice", "Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
    ("two codings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
    ("a continued length", "Content-Length:\r\n 5\r\n", "hello"),
    ("a bare LF between fields", "X-A: b\nContent-Length: 5\r\n", "hello"),
    ("a bare CR between fields", "X-A: b\rContent-Length: 5\r\n", "hello"),
    ("a NUL in a value", "X-A: b\0c\r\nContent-Length: 5\r\n", "hello"),
];

/// Whole responses.
const WHOLE: [(&str, &str); 9] = [
    ("chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("another version", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
    ("four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
    ("no status", "HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n"),
    ("no HTTP", "hello\r\n\r\n"),
    ("an empty line before", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("bare LFs everywhere", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    ("a switch that nobody has asked for", "HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n"),
];

/// What is sent in chunks.
const CHUNKS: [(&str, &str); 8] = [
    ("a bare LF after a size", "5\nhello\r\n0\r\n\r\n"),
    ("a bare LF after a chunk", "5\r\nhello\n0\r\n\r\n"),
    ("a bare LF at the end", "0\r\n\n"),
    ("a bare LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
    ("a size with a prefix", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("a size of too many digits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("a chunk that is longer than its size", "4\r\nhello\r\n0\r\n\r\n"),
    ("a length among the trailers", "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n"),
];

/// Responses that are whole and good, and nothing may follow them.
const GOOD: [(&str, &str); 5] = [
    ("a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ("204", "HTTP/1.1 204 No Content\r\n\r\n"),
    ("304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    ("an end that is said", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"),
];

fn ambiguous() -> Vec<(&'static str, String)> {
    let fields = FIELDS
        .iter()
        .map(|(name, fields, content)| (*name, format!("HTTP/1.1 200 OK\r\n{fields}\r\n{content}")));
    let whole = WHOLE.iter().map(|(name, response)| (*name, (*response).to_owned()));
    let chunks = CHUNKS.iter().map(|(name, chunks)| {
        (*name, format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"))
    });
    fields.chain(whole).chain(chunks).collect()
}

/// What a client gets that asks twice, when the server's first response is this, and another one follows it at once.
fn ask(ways: &Ways, way: Way, name: &str, first: &str) -> Got {
    let both = [first.as_bytes(), &response("200 OK", "", MARKER)].concat();
    let shape = Shape::new(name)
        .steps([Step::Send(request("GET /", "", "")), Step::Final(To::Get)])
        .acts([Act::Rest, Act::Say(both)]);
    let (signal, signals) = mpsc::channel();
    let server = Server::start(ways.pod(), Ways::ANY, &shape.acts, 0, signals);
    let target = ways.address(server.address().port());
    let got = ways.on(way, || client::converse(target, &shape, 0, &signal));
    server.finish();
    got
}

fn has_marker(got: &Got) -> bool {
    let bodies = got.messages.iter().map(|message| &message.framed);
    bodies.chain([&got.raw]).any(|bytes| find(bytes, MARKER).is_some())
}

/// Where that is not right on a way that a proxy is on.
fn failures(responses: &[(&str, String)], is_right: impl Fn(&Got) -> bool) -> Vec<String> {
    let ways = Ways::new();
    let all = Way::MESHED.into_iter().flat_map(|way| responses.iter().map(move |response| (way, response)));
    let failures = all.filter_map(|(way, (name, first))| {
        let got = ask(&ways, way, name, first);
        let is_wrong = !is_right(&got) || has_marker(&got) || got.end == End::Silent;
        is_wrong.then(|| format!("{name} ({way:?}): {got:?}"))
    });
    failures.take(MOST_FAILURES).collect()
}

#[test]
fn nothing_of_an_ambiguous_response_reaches_a_client_as_one() {
    let failures = failures(&ambiguous(), |got| {
        // A response whose head was good may have been on its way: then it is cut off.
        got.messages.first().is_some_and(|first| status(&first.head) == 502 || !first.is_complete)
    });
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn a_response_that_nobody_has_asked_for_answers_no_request() {
    let good: Vec<_> = GOOD.iter().map(|(name, response)| (*name, (*response).to_owned())).collect();
    let failures = failures(&good, |got| {
        let (first, more) = got.messages.split_first().expect("a response");
        let is_good = first.is_complete && status(&first.head) < 400;
        is_good && more.iter().all(|message| message.content == b"ok")
    });
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}
