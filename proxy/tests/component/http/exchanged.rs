//! Messages in good order.

use serde_json::json;

use super::{AS_SENT, Ends, GET, OK, address, expect, proxy, rest, told};
use crate::support::{INBOUND, OUTBOUND, Proxy, Seen, THIS_POD, Way, accept, next};
use std::io::Write;

/// Nothing of these is for one hop alone, so nothing is changed.
const UNCHANGED: [(&str, &str); 9] = [
    (GET, OK),
    (
        "GET /a//b/../c%2f;x?q=|&q=%20 HTTP/1.1\r\nhOsT: Web.Example:80\r\nx-b: 2\r\nX-A: 1\r\nX-b: 3\r\n\r\n",
        "HTTP/1.1 200 Very Well\r\nX-z: 1\r\nx-Y: 2\r\nSet-Cookie: a\r\nsEt-cookie: b\r\ncontent-length: 0\r\n\r\n",
    ),
    (
        "POST /c HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n5;name=\"va\\\"lue\"\r\nhello\r\n0;x\r\nX-Sum: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n00a\r\n0123456789\r\n0\r\nX-Sum: 2\r\nx-sum: 3\r\n\r\n",
    ),
    ("HEAD / HTTP/1.1\r\nHost: web\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
    ("GET /no HTTP/1.1\r\nHost: web\r\n\r\n", "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"),
    ("GET /old HTTP/1.1\r\nHost: web\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
    ("OPTIONS * HTTP/1.1\r\nHost: web\r\n\r\n", OK),
    ("GET http://web/absolute HTTP/1.1\r\nHost: web\r\n\r\n", OK),
    (
        "PURGE /x HTTP/1.1\r\nHost: web\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 599 Own\r\nContent-Length: 1\r\n\r\n!",
    ),
];

#[test]
fn messages_come_as_they_were_sent_over_one_connection() {
    for way in Way::all() {
        let proxy = proxy(&[]);
        let mut ends = Ends::of(&proxy, way);
        for (request, response) in UNCHANGED.iter().cycle().take(3 * UNCHANGED.len()) {
            ends.exchange(request, response);
        }
        ends.client_ends();
        assert_eq!(next(&ends.server), Seen::End);
        assert_eq!(next(&ends.client), Seen::End);
        let lines = proxy.stop();
        assert_eq!(lines.len(), 3 * UNCHANGED.len(), "one for each request, and none for the connection");
        let path = UNCHANGED[1].0.split(' ').nth(1).unwrap();
        assert_eq!(
            told(
                &lines[1..2],
                ["method", "path", "protocol", "authority", "response_code", "response_flags"]
            ),
            [[
                &json!("GET"),
                &json!(path),
                &json!("HTTP/1.1"),
                &json!("Web.Example:80"),
                &json!(200),
                &json!("-")
            ]],
        );
        assert_eq!(told(&lines[8..9], ["bytes_received", "bytes_sent"]), [[&json!(3), &json!(1)]]);
        assert_eq!(lines[0]["upstream_host"], address(&ends.listener).to_string());
    }
}

#[test]
fn any_cut_of_both_streams_gives_the_same() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    let seed = std::env::var("FUZZ_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    println!("FUZZ_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..200 {
        let (request, response) = UNCHANGED[random.usize(..UNCHANGED.len())];
        for piece in pieces(request.as_bytes(), &mut random) {
            ends.asks(piece);
        }
        ends.is_asked(request);
        for piece in pieces(response.as_bytes(), &mut random) {
            ends.answers(piece);
        }
        ends.is_answered(response);
    }
}

fn pieces<'b>(mut bytes: &'b [u8], random: &mut fastrand::Rng) -> Vec<&'b [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(random.usize(1..=bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

#[test]
fn what_is_for_one_hop_stays_there() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    ends.asks(
        "GET / HTTP/1.1\r\nHost: web\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTE: gzip\r\nX: y\r\n\r\n",
    );
    ends.is_asked("GET / HTTP/1.1\r\nHost: web\r\nX: y\r\n\r\n");
    ends.answers(
        "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nContent-Length: 0\r\n\r\n",
    );
    ends.is_answered("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn requests_that_come_together_are_answered_in_their_order() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    let requests = [1, 2, 3].map(|number| {
        format!("POST /{number} HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{number}\r\n0\r\n\r\n")
    });
    ends.asks(requests.concat());
    ends.client_ends();
    for request in &requests {
        ends.is_asked(request);
        ends.answers(OK);
    }
    assert_eq!(rest(&ends.client), OK.repeat(3), "all answers, then the end");
    assert_eq!(next(&ends.server), Seen::End);
}

#[test]
fn interim_responses_are_all_passed_on() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    let head = "PUT / HTTP/1.1\r\nHost: web\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    ends.asks(head);
    ends.is_asked(head);
    for interim in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"] {
        ends.answers(interim);
        ends.is_answered(interim);
    }
    ends.asks("body");
    ends.is_asked("body");
    ends.answers(["HTTP/1.1 102 Processing\r\n\r\n", OK].concat());
    ends.is_answered(["HTTP/1.1 102 Processing\r\n\r\n", OK].concat());
    ends.exchange(GET, OK);
    // An older client does not know them.
    let old = "PUT / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n";
    ends.asks(old);
    ends.is_asked(old);
    ends.answers(["HTTP/1.1 100 Continue\r\n\r\n", OK].concat());
    ends.is_answered("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok");
}

#[test]
fn an_expectation_may_fail_without_the_content() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    let head = "PUT / HTTP/1.1\r\nHost: web\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    ends.asks(head);
    ends.is_asked(head);
    let answer = "HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    ends.answers(answer);
    ends.server_ends();
    ends.is_answered(answer);
    assert_eq!(next(&ends.client), Seen::End, "the content would be taken for a request");
}

#[test]
fn an_answer_may_come_before_the_content_has_and_the_content_still_goes_on() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    let head = "PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: 8\r\n\r\nhalf";
    ends.asks(head);
    ends.is_asked(head);
    ends.answers(OK);
    ends.is_answered(OK);
    ends.asks("rest");
    ends.is_asked("rest");
    ends.exchange(GET, OK);
}

#[test]
fn an_older_client_keeps_its_connection_only_if_it_says_so() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    let keeps = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
    ends.asks(keeps);
    ends.is_asked(keeps);
    ends.answers(OK);
    ends.is_answered("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok");
    let leaves = "GET /last HTTP/1.0\r\n\r\n";
    ends.asks(leaves);
    ends.is_asked(leaves);
    let answer = "HTTP/1.0 200 OK\r\n\r\nuntil the end";
    ends.answers(answer);
    ends.server_ends();
    assert_eq!(rest(&ends.client), answer);
}

#[test]
fn who_says_close_is_closed_by() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    // The server's word is about its own connection: the client keeps its.
    let last = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    ends.asks(GET);
    ends.is_asked(GET);
    ends.answers(last);
    ends.is_answered(OK);
    assert_eq!(next(&ends.server), Seen::End);
    ends.asks(GET);
    ends.serve_anew();
    ends.is_asked(GET);
    ends.answers(OK);
    ends.is_answered(OK);
    let leaves = "GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n";
    ends.asks(leaves);
    ends.is_asked(leaves);
    ends.answers(OK);
    ends.is_answered("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    assert_eq!(next(&ends.client), Seen::End);
}

#[test]
fn a_client_that_has_ended_its_side_still_gets_its_answer() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    ends.asks(GET);
    ends.client_ends();
    ends.is_asked(GET);
    assert_eq!(next(&ends.server), Seen::End, "the server sees what it would see without a proxy");
    ends.answers(OK);
    assert_eq!(rest(&ends.client), OK);
}

#[test]
fn a_request_of_the_pod_to_itself_is_told_by_both_sides() {
    let proxy = proxy(&[]);
    let listener = std::net::TcpListener::bind((THIS_POD, 0)).unwrap();
    let client = proxy.connect(OUTBOUND, address(&listener));
    let mut ends = Ends { client, server: accept(&listener), listener };
    ends.exchange(GET, OK);
    ends.server_ends();
    assert_eq!(next(&ends.server), Seen::End);
    ends.asks(GET);
    ends.serve_anew();
    ends.is_asked(GET);
    ends.answers(OK);
    ends.is_answered(OK);
    ends.client_ends();
    assert_eq!(next(&ends.client), Seen::End);
    let lines = proxy.stop();
    let told = told(&lines, ["reporter", "response_code", "response_flags"]);
    let told: Vec<_> =
        told.iter().map(|[reporter, code, flags]| format!("{reporter} {code} {flags}")).collect();
    assert_eq!(told, [r#""destination" 200 "-""#, r#""source" 200 "-""#].repeat(2));
}

/// RFC 9110, section 7.6.1.
#[test]
fn a_name_that_is_for_one_hop_is_none() {
    let proxy = Proxy::start(&[]);
    let mut ends = Ends::inbound(&proxy);
    ends.asks("GET / HTTP/1.1\r\nHost: web\r\nConnection: X-Request-ID\r\nX-Request-ID: mine\r\n\r\n");
    expect(&ends.server, b"GET / HTTP/1.1\r\nHost: web\r\nx-request-id: ");
    let mut id = [0; 36];
    std::io::Read::read_exact(&mut &ends.server, &mut id).unwrap();
    expect(&ends.server, b"\r\n\r\n");
    ends.answers(OK);
    ends.is_answered(OK);
    let lines = proxy.stop();
    assert_eq!(lines[0]["request_id"], str::from_utf8(&id).unwrap());
}

#[test]
fn a_request_without_a_name_gets_one_and_a_name_stays() {
    let proxy = Proxy::start(&[]);
    for way in [INBOUND, OUTBOUND] {
        let listener = way.listener();
        let mut client = proxy.connect(way, address(&listener));
        let server = accept(&listener);
        client.write_all(GET.as_bytes()).unwrap();
        let without_end = &GET[..GET.len() - 2];
        expect(&server, format!("{without_end}x-request-id: ").as_bytes());
        let id = {
            let mut id = [0; 36];
            std::io::Read::read_exact(&mut &server, &mut id).unwrap();
            String::from_utf8(id.to_vec()).unwrap()
        };
        expect(&server, b"\r\n\r\n");
        (&server).write_all(OK.as_bytes()).unwrap();
        expect(&client, OK.as_bytes());
        let named = "GET / HTTP/1.1\r\nHost: web\r\nX-Request-ID: mine, whatever\r\n\r\n";
        client.write_all(named.as_bytes()).unwrap();
        expect(&server, named.as_bytes());
        (&server).write_all(OK.as_bytes()).unwrap();
        expect(&client, OK.as_bytes());
        crate::support::eventually("two lines", || {
            let lines = proxy.log.lines();
            let ids: Vec<_> = lines.iter().rev().take(2).map(|line| line["request_id"].clone()).collect();
            ids == [json!("mine, whatever"), json!(id)]
        });
    }
    assert_eq!(AS_SENT[0], "--http-request-id");
}
