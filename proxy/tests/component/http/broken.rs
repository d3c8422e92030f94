//! Servers and clients that fail.

use serde_json::json;

use super::{AS_SENT, Ends, GET, OK, PAIRED, expect, proxy, told};
use crate::support::{INBOUND, OUTBOUND, Proxy, Seen, Way, eventually, next, reset, unused_port};

use std::io::Write;
use std::net::{Shutdown, SocketAddr};

#[test]
fn a_server_that_is_not_there_is_a_503() {
    let proxy = proxy(&[]);
    for way in [INBOUND, OUTBOUND] {
        let nowhere = SocketAddr::new(way.loopback(), unused_port());
        // A client that asks before the refusal has come is told; another one is reset.
        eventually("an answer", || {
            let mut client = proxy.connect(way, nowhere);
            let mut answer = [0; 12];
            client.write_all(GET.as_bytes()).is_ok()
                && std::io::Read::read_exact(&mut client, &mut answer)
                    .is_ok_and(|()| &answer == b"HTTP/1.1 503")
        });
    }
    let lines = proxy.stop();
    let answered = lines.iter().filter(|line| line["response_code"] == 503);
    for line in answered {
        assert_eq!(line["response_flags"], "UF,URX");
        assert_eq!(line["upstream_transport_failure_reason"], "connection refused");
        assert_eq!((&line["method"], &line["path"]), (&json!("GET"), &json!("/")));
    }
}

#[test]
fn a_server_that_ended_between_requests_is_reached_anew() {
    for way in Way::all() {
        let proxy = proxy(&[]);
        let mut ends = Ends::of(&proxy, way);
        for _ in 0..3 {
            ends.exchange(GET, OK);
            ends.server_ends();
            assert_eq!(next(&ends.server), Seen::End);
            let post = "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\n\r\n!";
            ends.asks(post);
            ends.serve_anew();
            ends.is_asked(post);
            ends.answers(OK);
            ends.is_answered(OK);
        }
    }
}

#[test]
fn a_request_is_repeated_only_if_that_changes_nothing() {
    let proxy = proxy(&[]);
    let post = "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\n\r\n!";
    let put = "PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\n\r\n!";
    let half = "PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: 2\r\n\r\n!";
    for (request, is_repeated) in [(GET, true), (put, true), (post, false), (half, false)] {
        for by_reset in [false, true] {
            let mut ends = Ends::inbound(&proxy);
            ends.exchange(GET, OK);
            ends.asks(request);
            ends.is_asked(request);
            if by_reset {
                reset(ends.server.try_clone().unwrap());
            }
            ends.server.shutdown(Shutdown::Both).unwrap();
            if is_repeated {
                ends.serve_anew();
                ends.is_asked(request);
                // A server that does so again is not asked a third time.
                reset(ends.server.try_clone().unwrap());
                ends.server.shutdown(Shutdown::Both).unwrap();
            }
            expect(&ends.client, b"HTTP/1.1 503 Service Unavailable\r\n");
        }
    }
    assert_eq!(proxy.metric(&["remora_http_retries_total{", "inbound"]), 4);
    let lines = proxy.stop();
    let failed: Vec<_> = lines.iter().filter(|line| line["response_code"] == 503).collect();
    assert_eq!(failed.len(), 8);
    assert!(failed.iter().all(|line| line["response_flags"] == "UC"), "{failed:?}");
}

#[test]
fn the_first_request_is_not_repeated() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    ends.asks(GET);
    ends.is_asked(GET);
    ends.server_ends();
    expect(&ends.client, b"HTTP/1.1 503 Service Unavailable\r\n");
}

#[test]
fn an_answer_that_breaks_off_is_never_taken_for_a_whole_one() {
    for way in Way::all() {
        let proxy = proxy(&[]);
        for begun in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
        ] {
            let mut ends = Ends::of(&proxy, way);
            ends.asks(GET);
            ends.is_asked(GET);
            ends.answers(begun);
            ends.server_ends();
            let end =
                std::iter::repeat_with(|| next(&ends.client)).find(|seen| !matches!(seen, Seen::Byte(_)));
            assert_eq!(end, Some(Seen::Reset), "{begun:?}");
        }
        let lines = proxy.stop();
        let told = told(&lines, ["response_code", "response_flags"]);
        assert_eq!(told, [[&json!(200), &json!("UC")]; 3]);
    }
}

#[test]
fn a_request_that_breaks_off_is_never_taken_for_a_whole_one() {
    let proxy = proxy(&[]);
    for begun in [
        "PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: 3\r\n\r\nok",
        "PUT / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    ] {
        let mut ends = Ends::inbound(&proxy);
        ends.asks(begun);
        ends.is_asked(begun);
        ends.client_ends();
        assert_eq!(next(&ends.server), Seen::Reset);
        assert_eq!(next(&ends.client), Seen::Reset);
    }
    let lines = proxy.stop();
    assert_eq!(told(&lines, ["response_code", "response_flags"]), [[&json!(0), &json!("DC")]; 2]);
}

#[test]
fn a_client_that_goes_takes_its_request_back() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    ends.asks(GET);
    ends.is_asked(GET);
    reset(ends.client);
    assert_eq!(next(&ends.server), Seen::Reset);
    let lines = proxy.stop();
    assert_eq!(
        told(&lines, ["response_code", "response_flags", "path"]),
        [[&json!(0), &json!("DC"), &json!("/")]]
    );
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let proxy = Proxy::start(&[&AS_SENT[..], &PAIRED, &["--http-stream-idle-timeout", "200ms"]].concat());
    let mut ends = Ends::inbound(&proxy);
    ends.asks(GET);
    ends.is_asked(GET);
    expect(&ends.client, b"HTTP/1.1 504 Gateway Timeout\r\n");
    assert_eq!(next(&ends.server), Seen::Reset);
    assert_eq!(proxy.metric(&["remora_http_timeouts_total{", "inbound", "timer=\"stream_idle_timeout\""]), 1);
    let lines = proxy.stop();
    assert_eq!(told(&lines, ["response_code", "response_flags"]), [[&json!(504), &json!("SI")]]);
}

#[test]
fn a_server_that_answers_and_closes_while_it_is_sent_to_is_heard() {
    let proxy = proxy(&[]);
    for _ in 0..20 {
        let mut ends = Ends::inbound(&proxy);
        let head = "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 100000000\r\n\r\n";
        ends.asks(head);
        ends.is_asked(head);
        let answer = "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig";
        let mut client = ends.client.try_clone().unwrap();
        // It goes on until it is told not to.
        let sends = std::thread::spawn(move || while client.write_all(&[b'x'; 65536]).is_ok() {});
        ends.answers(answer);
        ends.server_ends();
        expect(&ends.client, answer.as_bytes());
        assert_eq!(next(&ends.client), Seen::End);
        ends.client.shutdown(Shutdown::Both).unwrap();
        sends.join().unwrap();
    }
}
