//! Exchanges that take longer than a head may, and than a connection without a request may last: neither limit is theirs.
//!
//! The proxy's own limits tell how much time has passed: other connections are ended by both, one after the other.

use super::{Ends, GET, OK, expect, proxy};
use crate::support::{Proxy, Seen, Way, next};

const SHORT: [&str; 2] = ["--http-head-timeout=300ms", "--http-idle-timeout=300ms"];

/// How often both limits pass within each exchange.
const ROUNDS: usize = 2;

/// Returns when a connection without a request, and then one with the beginning of a head, were ended by their limits.
fn limits_pass(proxy: &Proxy, way: Way) {
    let mut idle = Ends::of(proxy, way);
    idle.exchange(GET, OK);
    assert_eq!(next(&idle.client), Seen::End);
    let mut slow = Ends::of(proxy, way);
    slow.asks([GET, "GET / HT"].concat());
    slow.is_asked(GET);
    slow.answers(OK);
    slow.is_answered(OK);
    expect(&slow.client, b"HTTP/1.1 408 Request Timeout\r\n");
}

#[test]
fn no_limit_of_heads_or_of_idle_connections_ends_an_exchange() {
    let upload = format!("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: {}\r\n\r\n", 4 * ROUNDS);
    let chunked = "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n";
    let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (event, last) = ("9\r\ndata: x\n\n\r\n", "0\r\n\r\n");
    for way in Way::all() {
        let proxy = proxy(&SHORT);
        let [mut poll, mut told, mut sends, mut chunks] = [(); 4].map(|()| Ends::of(&proxy, way));
        for (ends, head) in
            [(&mut poll, GET), (&mut told, GET), (&mut sends, &upload), (&mut chunks, chunked)]
        {
            ends.asks(head);
            ends.is_asked(head);
        }
        told.answers(events);
        told.is_answered(events);
        for _ in 0..ROUNDS {
            limits_pass(&proxy, way);
            told.answers(event);
            told.is_answered(event);
            for (ends, piece) in [(&mut sends, "slow"), (&mut chunks, "4\r\nslow\r\n")] {
                ends.asks(piece);
                ends.is_asked(piece);
            }
        }
        told.answers(last);
        told.is_answered(last);
        chunks.asks(last);
        chunks.is_asked(last);
        for ends in [&mut poll, &mut sends, &mut chunks] {
            ends.answers(OK);
            ends.is_answered(OK);
        }
        let timers = ["idle_timeout", "request_head_timeout", "stream_idle_timeout"];
        let count = |timer: &str| {
            let direction = if way.inbound { "inbound" } else { "outbound" };
            proxy.metric(&["remora_http_timeouts_total{", direction, &format!("timer=\"{timer}\"")])
        };
        // Those of this test's clock, and perhaps connections of exchanges that are over.
        let [idle, heads, streams] = timers.map(count);
        assert!(idle >= ROUNDS as u64, "{idle}");
        assert_eq!((heads, streams), (ROUNDS as u64, 0));
    }
}
