//! Connections that become something else.

use serde_json::json;

use super::{AS_SENT, Ends, GET, OK, address, expect, proxy, rest, told};
use crate::support::{OUTBOUND, Proxy, Seen, Way, next, reset};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: web\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

#[test]
fn after_a_switch_bytes_go_both_ways_and_each_way_ends_alone() {
    for way in Way::all() {
        for client_is_first in [true, false] {
            let proxy = proxy(&[]);
            let mut ends = Ends::of(&proxy, way);
            ends.exchange(GET, OK);
            ends.exchange(UPGRADE, [SWITCH, "\0early"].concat());
            ends.asks(b"\x81\x01a");
            ends.is_asked(b"\x81\x01a");
            ends.answers("HTTP/1.1 500 no HTTP\n\n");
            ends.is_answered("HTTP/1.1 500 no HTTP\n\n");
            if client_is_first {
                ends.client_ends();
                assert_eq!(next(&ends.server), Seen::End);
                ends.exchange_back("bye");
                ends.server_ends();
                assert_eq!(rest(&ends.client), "");
            } else {
                ends.server_ends();
                assert_eq!(next(&ends.client), Seen::End);
                ends.asks("bye");
                ends.is_asked("bye");
                ends.client_ends();
                assert_eq!(next(&ends.server), Seen::End);
            }
            let lines = proxy.stop();
            assert_eq!(
                told(&lines, ["path", "response_code", "response_flags"]),
                [[&json!("/"), &json!(200), &json!("-")], [&json!("/chat"), &json!(101), &json!("-")]]
            );
            let (received, sent) = if client_is_first { (3, 31) } else { (6, 28) };
            assert_eq!(
                told(&lines[1..], ["bytes_received", "bytes_sent"]),
                [[&json!(received), &json!(sent)]]
            );
        }
    }
}

impl Ends {
    fn exchange_back(&mut self, bytes: &str) {
        self.answers(bytes);
        self.is_answered(bytes);
    }
}

#[test]
fn nothing_of_the_client_passes_before_the_switch() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    ends.asks([UPGRADE, "too early"].concat());
    ends.is_asked(UPGRADE);
    ends.answers(SWITCH);
    ends.is_answered(SWITCH);
    ends.is_asked("too early");
}

#[test]
fn what_came_before_a_switch_that_is_refused_is_no_request() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    ends.asks([UPGRADE, GET].concat());
    ends.is_asked(UPGRADE);
    ends.answers(OK);
    ends.is_answered(OK);
    assert_eq!(next(&ends.client), Seen::End);
    assert!(matches!(next(&ends.server), Seen::End | Seen::Reset), "no GET");
}

#[test]
fn a_switch_that_is_refused_leaves_the_connection_as_it_was() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    ends.exchange(UPGRADE, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
    ends.exchange(GET, OK);
}

#[test]
fn other_versions_of_http_are_not_switched_to() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    ends.asks("GET / HTTP/1.1\r\nHost: web\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n");
    ends.is_asked(GET);
    ends.answers(OK);
    ends.is_answered(OK);
}

const CONNECT: &str = "CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n";
const ESTABLISHED: &str = "HTTP/1.1 200 Established\r\n\r\n";

#[test]
fn connect_makes_a_tunnel_or_does_not() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    ends.exchange(CONNECT, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    ends.exchange(CONNECT, ESTABLISHED);
    for bytes in ["\x16\x03\x01", "GET no request"] {
        ends.asks(bytes);
        ends.is_asked(bytes);
        ends.exchange_back(bytes);
    }
    ends.client_ends();
    assert_eq!(next(&ends.server), Seen::End);
    ends.server_ends();
    expect(&ends.client, b"");
    assert_eq!(next(&ends.client), Seen::End);
}

/// Whose end of a connection is the last one; or there is none.
#[derive(Clone, Copy)]
enum Last {
    Client,
    Server,
    Reset,
}

#[test]
fn what_has_become_something_else_never_waits_for_another_client() {
    for (request, response) in [(UPGRADE, SWITCH), (CONNECT, ESTABLISHED)] {
        for last in [Last::Client, Last::Server, Last::Reset] {
            let proxy = Proxy::start(&AS_SENT);
            let mut ends = Ends::of(&proxy, OUTBOUND);
            ends.exchange(GET, OK);
            ends.exchange(request, response);
            ends.exchange("a", "b");
            let mut ends = ends.end_with(last, &proxy);
            ends.asks(GET);
            ends.serve_anew();
            ends.is_asked(GET);
            ends.answers(OK);
            ends.is_answered(OK);
            let pool = ["remora_http_pool_connections ", "remora_http_pool_reuses_total "];
            assert_eq!(pool.map(|metric| proxy.metric(&[metric])), [0, 0]);
        }
    }
}

impl Ends {
    /// What is passed on is the end of a connection that nobody keeps. The next client is there then.
    fn end_with(self, last: Last, proxy: &Proxy) -> Self {
        match last {
            Last::Client => {
                self.server_ends();
                assert_eq!(next(&self.client), Seen::End);
                self.client_ends();
                assert_eq!(next(&self.server), Seen::End);
            }
            Last::Server => {
                self.client_ends();
                assert_eq!(next(&self.server), Seen::End);
                self.server_ends();
                assert_eq!(next(&self.client), Seen::End);
            }
            Last::Reset => {
                reset(self.client);
                assert_eq!(next(&self.server), Seen::Reset);
            }
        }
        Self { client: proxy.connect(OUTBOUND, address(&self.listener)), ..self }
    }
}
