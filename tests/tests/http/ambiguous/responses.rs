//! The same from the other side: ambiguous responses, each followed by one that nobody has asked for. No client gets the one
//! or the other.

use std::sync::mpsc;

use conformance::http1;

use super::MOST_FAILURES;
use crate::client::{self, Got};
use crate::message::{End, To, find, status};
use crate::script::{Act, Shape, Step, request, response};
use crate::server::Server;
use crate::ways::{Way, Ways};

/// What the response that nobody has asked for contains.
const MARKER: &[u8] = b"smuggled";

/// Responses that are whole and good, and nothing may follow them.
const GOOD: [(&str, &str); 5] = [
    ("a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ("204", "HTTP/1.1 204 No Content\r\n\r\n"),
    ("304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    ("an end that is said", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"),
];

/// The conformance crate's, of those that answer the request of [`ask`].
fn ambiguous() -> Vec<(String, Vec<u8>)> {
    let all = http1::responses().into_iter().filter(|response| response.asked == http1::GET);
    all.map(|response| (response.message.name, response.message.bytes)).collect()
}

/// What a client gets that asks twice, when the server's first response is this, and another one follows it at once.
fn ask(ways: &Ways, way: Way, name: &str, first: &[u8]) -> Got {
    let both = [first, &response("200 OK", "", MARKER)].concat();
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
fn failures(responses: &[(String, Vec<u8>)], is_right: impl Fn(&Got) -> bool) -> Vec<String> {
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
    let ambiguous = ambiguous();
    println!("{} responses", ambiguous.len());
    let failures = failures(&ambiguous, |got| {
        // A response whose head was good may have been on its way: then it is cut off.
        got.messages.first().is_some_and(|first| status(&first.head) == 502 || !first.is_complete)
    });
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn a_response_that_nobody_has_asked_for_answers_no_request() {
    let good = GOOD.map(|(name, response)| (name.to_owned(), response.as_bytes().to_vec()));
    let failures = failures(&good, |got| {
        let (first, more) = got.messages.split_first().expect("a response");
        let is_good = first.is_complete && status(&first.head) < 400;
        is_good && more.iter().all(|message| message.content == b"ok")
    });
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}
