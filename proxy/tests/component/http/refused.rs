//! Messages that are not passed on.

use serde_json::json;

use super::{Ends, GET, OK, expect, last_answer, proxy, rest, told};
use crate::support::{Seen, Way, eventually, next};

/// Requests, each with the reason of its refusal.
const BAD: [(&str, &str); 8] = [
    ("GET / HTTP/1.1\r\nHost: web\r\nHost: other\r\n\r\n", "host_repeated"),
    ("GET / HTTP/1.1\r\n\r\n", "host_missing"),
    ("GET / HTTP/1.1\r\nHost: web\nX: y\r\n\r\n", "line_end"),
    (
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "length_twice",
    ),
    ("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: +4\r\n\r\nbody", "content_length"),
    ("POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "field_name"),
    ("POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n", "chunk_size"),
    ("GET /#a HTTP/1.1\r\nHost: web\r\n\r\n", "fragment"),
];

#[test]
fn the_server_hears_nothing_of_a_bad_request_and_the_client_why() {
    for way in Way::all() {
        let proxy = proxy(&[]);
        for (request, reason) in BAD {
            let mut ends = Ends::of(&proxy, way);
            ends.exchange(GET, OK);
            // What follows may be meant to be taken for a request.
            ends.asks([request, GET].concat());
            let (status, why) = last_answer(&ends.client);
            assert!(status == 400 && why.len() > 10, "{status} {why}");
            assert!(matches!(next(&ends.server), Seen::End | Seen::Reset), "{reason}");
            let direction = if way.inbound { "direction=\"inbound\"" } else { "direction=\"outbound\"" };
            let reason = format!("reason=\"http1.{reason}\"");
            let parts = ["remora_http_refused_messages_total{", direction, "side=\"client\"", &reason];
            assert_eq!(proxy.metric(&parts), 1, "{parts:?}");
        }
        let lines = proxy.stop();
        assert_eq!(lines.len(), 2 * BAD.len());
        for (line, (_, reason)) in lines.iter().skip(1).step_by(2).zip(BAD) {
            assert_eq!(
                told(
                    std::slice::from_ref(line),
                    ["response_code", "response_flags", "response_code_details"]
                ),
                [[&json!(400), &json!("DPE"), &json!(format!("http1.{reason}"))]]
            );
        }
    }
}

#[test]
fn content_that_turns_bad_ends_the_request() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    let begun = "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    ends.asks(begun);
    ends.is_asked(begun);
    ends.asks("-1\r\n");
    assert_eq!(last_answer(&ends.client).0, 400);
    assert_eq!(next(&ends.server), Seen::Reset, "or the server could take it for a whole request");
}

#[test]
fn long_heads_are_refused_with_the_status_that_says_so() {
    let proxy = proxy(&["--http-max-head", "1024", "--http-max-fields", "3"]);
    let long = format!("GET / HTTP/1.1\r\nHost: web\r\nX: {}\r\n\r\n", "y".repeat(1024));
    let many = format!("GET / HTTP/1.1\r\nHost: web\r\n{}\r\n", "X: y\r\n".repeat(3));
    for (request, reason) in [(long, "head_too_long"), (many, "too_many_fields")] {
        let mut ends = Ends::inbound(&proxy);
        ends.asks(request);
        assert_eq!(last_answer(&ends.client).0, 431);
        let reason = format!("reason=\"http1.{reason}\"");
        let parts = ["remora_http_refused_messages_total{", "inbound", "side=\"client\"", &reason];
        assert_eq!(proxy.metric(&parts), 1);
    }
}

/// Longer than what is looked at to tell what a client speaks.
#[test]
fn a_long_line_at_the_beginning_is_a_request_as_it_is_later() {
    let proxy = proxy(&[]);
    let long = |length| format!("GET /{} HTTP/1.1\r\nHost: web\r\n\r\n", "a".repeat(length));
    Ends::inbound(&proxy).exchange(long(60_000), OK);
    let mut ends = Ends::inbound(&proxy);
    ends.asks(long(70_000));
    assert_eq!(last_answer(&ends.client).0, 431);
    let parts = ["remora_http_refused_messages_total{", "inbound", "side=\"client\"", "http1.head_too_long"];
    assert_eq!(proxy.metric(&parts), 1);
}

#[test]
fn a_head_that_does_not_end_is_counted_by_what_the_log_calls_it() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    ends.asks("GET / HTTP/1.1\r\nHost: w");
    ends.client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(last_answer(&ends.client).0, 400);
    let of_log = |line: &serde_json::Value| line["response_code_details"] == "http1.request_head_ended";
    eventually("its line", || proxy.log.lines().iter().any(of_log));
    let parts = ["remora_http_refused_messages_total{", "inbound", "reason=\"http1.request_head_ended\""];
    assert_eq!(proxy.metric(&parts), 1);
}

#[test]
fn a_line_that_only_lenient_servers_take_is_refused_at_the_beginning_too() {
    let proxy = proxy(&[]);
    for line in ["GET / HTTP/2.0", "GET\t/\tHTTP/1.1"] {
        let mut ends = Ends::inbound(&proxy);
        ends.asks(format!("{line}\r\nHost: web\r\n\r\n"));
        assert_eq!(last_answer(&ends.client).0, 400, "{line}");
    }
}

#[test]
fn bad_responses_become_502_and_are_never_seen() {
    let proxy = proxy(&[]);
    for (response, reason) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "content_length_repeated"),
        ("HTTP/1.1 200 OK\nContent-Length: 1\r\n\r\nab", "line_end"),
        ("SSH-2.0-x\r\n\r\n", "version"),
        ("HTTP/1.1 20 OK\r\n\r\n", "status_line"),
        ("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "unasked_switch"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk_size"),
    ] {
        let mut ends = Ends::inbound(&proxy);
        ends.asks(GET);
        ends.is_asked(GET);
        ends.answers(response);
        expect(&ends.client, b"HTTP/1.1 502 Bad Gateway\r\n");
        assert_eq!(next(&ends.server), Seen::Reset);
        let reason = format!("reason=\"http1.{reason}\"");
        assert_eq!(
            proxy.metric(&["remora_http_refused_messages_total{", "side=\"server\"", &reason]),
            1,
            "{reason}"
        );
    }
    let lines = proxy.stop();
    assert!(
        lines.iter().all(|line| line["response_flags"] == "UPE" && line["response_code"] == 502),
        "{lines:?}"
    );
}

#[test]
fn a_response_that_turns_bad_is_seen_to_be_not_whole() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    ends.asks(GET);
    ends.is_asked(GET);
    let begun = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    ends.answers(begun);
    ends.is_answered(begun);
    ends.answers("3\r\nabcd\r\n");
    // What was right goes on.
    let seen = std::iter::repeat_with(|| next(&ends.client)).find(|seen| !matches!(seen, Seen::Byte(_)));
    assert_eq!(seen, Some(Seen::Reset));
}

#[test]
fn what_comes_after_a_response_is_no_response() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    ends.asks(GET);
    ends.is_asked(GET);
    ends.answers([OK, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"].concat());
    ends.is_answered(OK);
    ends.asks(GET);
    ends.serve_anew();
    ends.is_asked(GET);
    ends.answers(OK);
    ends.is_answered(OK);
}

#[test]
fn a_head_that_does_not_end_is_not_waited_for() {
    let proxy = proxy(&["--http-head-timeout", "100ms"]);
    for begun in ["GET / HTTP/1.1\r\nHost: w", "GET / HTTP/1.1\r\nHost: web\r\n"] {
        let mut ends = Ends::inbound(&proxy);
        ends.asks(begun);
        assert_eq!(last_answer(&ends.client).0, 408);
        assert!(matches!(next(&ends.server), Seen::End | Seen::Reset));
    }
    assert_eq!(
        proxy.metric(&["remora_http_timeouts_total{", "inbound", "timer=\"request_head_timeout\""]),
        2
    );
}

#[test]
fn an_idle_client_is_sent_away_without_a_word() {
    let proxy = proxy(&["--http-idle-timeout", "100ms"]);
    let mut ends = Ends::inbound(&proxy);
    ends.exchange(GET, OK);
    assert_eq!(rest(&ends.client), "");
    assert_eq!(next(&ends.server), Seen::End);
    assert_eq!(proxy.metric(&["remora_http_timeouts_total{", "inbound", "timer=\"idle_timeout\""]), 1);
}
