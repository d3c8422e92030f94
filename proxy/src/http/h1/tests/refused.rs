//! Messages that are refused, each for its reason.

use std::collections::HashSet;

use conformance::http1;

use super::super::Refusal::{self, *};
use super::{GET, Speaker, asked, judge, read};

/// Requests that only a limit forbids.
fn requests() -> [(Refusal, Vec<u8>); 5] {
    let with = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes();
    [
        (HeadTooLong, [b"GET /", "a".repeat(70_000).as_bytes()].concat()),
        (HeadTooLong, with(&"a: b\r\n".repeat(20_000))),
        (TooManyFields, with(&"a: b\r\n".repeat(100))),
        (ConnectionOptions, with(&format!("Connection: {}\r\n", "a,".repeat(17)))),
        (ConnectionOptions, with(&format!("Connection: a{}\r\n", ",".repeat(16)))),
    ]
}

/// The same for responses.
fn responses() -> [(Refusal, Vec<u8>); 2] {
    [
        (HeadTooLong, ["HTTP/1.1 200 ", &"a".repeat(70_000)].concat().into_bytes()),
        (TooManyFields, format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101)).into_bytes()),
    ]
}

/// The same for content in chunks.
fn contents() -> [(Refusal, String); 5] {
    [
        (ChunkExtensionTooLong, format!("1;{}\r\na\r\n0\r\n\r\n", "a".repeat(1025))),
        (ChunkExtensionTooLong, format!("0;a=\"{}\"\r\n\r\n", "b".repeat(1025))),
        (TrailersTooLong, format!("0\r\na: {}\r\n\r\n", "b".repeat(17_000))),
        (TrailersTooLong, format!("0\r\n{}: b\r\n\r\n", "a".repeat(17_000))),
        (TrailersTooLong, format!("0\r\n{}\r\n", "a: b\r\n".repeat(101))),
    ]
}

/// As the rule is named that a message breaks.
fn rule(refusal: Refusal) -> &'static str {
    refusal.code().name().strip_prefix("http1.").expect("one of HTTP/1")
}

/// They are refused for these reasons, at the beginning of a stream and behind something good.
fn assert_refused<'r>(speaker: Speaker, good: &str, table: impl IntoIterator<Item = (&'r str, Vec<u8>)>) {
    let mut wrong = Vec::new();
    for (reason, stream) in table {
        let first = judge(speaker, &stream);
        let behind = read(speaker, [good.as_bytes(), &stream]);
        for judged in [first, behind] {
            if judged.as_ref().map_err(|refusal| rule(*refusal)) != Err(reason) {
                let begin = stream.get(..200).unwrap_or(&stream).escape_ascii();
                wrong.push(format!("{begin}\n    is {judged:?}, and should be {reason}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ambiguous_messages() {
    let requests = http1::requests();
    let good = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    assert_refused(Speaker::Client, good, requests.into_iter().map(|case| (case.rule.name, case.bytes)));
    for http1::Response { asked: request, message } in http1::responses() {
        let interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
        let case = [(message.rule.name, message.bytes)];
        assert_refused(Speaker::Server(asked(request)), interim, case);
    }
}

#[test]
fn messages_that_only_a_limit_forbids() {
    let server = Speaker::Server(asked(GET));
    let coded = |(reason, stream): (Refusal, Vec<u8>)| (rule(reason), stream);
    assert_refused(Speaker::Client, GET, requests().map(coded));
    assert_refused(server, "", responses().map(coded));
    let behind = |head: &'static str| {
        contents().map(move |(reason, content)| (rule(reason), [head, &content].concat().into_bytes()))
    };
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_refused(Speaker::Client, GET, behind(request));
    assert_refused(server, "", behind("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
}

#[test]
fn every_reason_is_among_them() {
    let ambiguous = http1::requests().into_iter().map(|case| case.rule);
    let ambiguous = ambiguous.chain(http1::responses().into_iter().map(|case| case.message.rule));
    let limits = requests().map(|(reason, _)| reason).into_iter();
    let limits = limits.chain(contents().map(|(reason, _)| reason));
    // Which takes time to see.
    let limits = limits.chain([InterimFlood]);
    let found: HashSet<_> = ambiguous.map(|rule| rule.name).chain(limits.map(rule)).collect();
    assert_eq!(found, Refusal::ALL.map(rule).into_iter().collect());
}
