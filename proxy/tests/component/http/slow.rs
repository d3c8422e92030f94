//! Ends that stop within a message, and are there: the other one is not read for them without bound, and both are left in time.

use std::io::Write;

use serde_json::json;

use super::{AS_SENT, Ends, GET, PAIRED, expect, told};
use crate::support::{Proxy, Seen, eventually, next};

/// A proxy that waits not long; what the two do, of which nothing more is passed on in the end; and how the log tells it.
fn is_given_up(code: u16, play: impl FnOnce(&Proxy, &mut Ends)) {
    let proxy = Proxy::start(&[&AS_SENT[..], &PAIRED, &["--http-stream-idle-timeout", "1s"]].concat());
    let mut ends = Ends::inbound(&proxy);
    play(&proxy, &mut ends);
    let seen = loop {
        match next(&ends.server) {
            Seen::Byte(_) => {}
            seen @ (Seen::End | Seen::Reset) => break seen,
        }
    };
    assert_eq!(seen, Seen::Reset);
    let timeouts = ["remora_http_timeouts_total{", "inbound", "timer=\"stream_idle_timeout\""];
    assert_eq!(proxy.metric(&timeouts), 1);
    let keys = ["response_code", "response_flags", "response_code_details"];
    let expected = [&json!(code), &json!("SI"), &json!("stream_idle_timeout")];
    assert_eq!(told(&proxy.stop(), keys), [expected]);
}

/// As much as is taken.
fn fill(proxy: &Proxy, mut stream: &std::net::TcpStream) {
    let held = |mode| proxy.metric(&["remora_relay_buffered_bytes{", mode]);
    stream.set_nonblocking(true).unwrap();
    eventually("a full way", || {
        while stream.write(&[b'x'; 65_536]).is_ok() {}
        held("mode=\"copy\"") + held("mode=\"splice\"") > 0
    });
    stream.set_nonblocking(false).unwrap();
    assert!(held("mode=\"copy\"") <= 256 * 1024);
}

#[test]
fn content_that_stops() {
    for begun in [
        "Content-Length: 10\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "Transfer-Encoding: chunked\r\n\r\n8\r\nhalf",
    ] {
        is_given_up(504, |_, ends| {
            let begun = format!("POST / HTTP/1.1\r\nHost: web\r\n{begun}");
            ends.asks(&begun);
            ends.is_asked(&begun);
            expect(&ends.client, b"HTTP/1.1 504 Gateway Timeout\r\n");
        });
    }
}

#[test]
fn a_server_that_does_not_read() {
    is_given_up(504, |proxy, ends| {
        let head = "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 100000000\r\n\r\n";
        ends.asks(head);
        ends.is_asked(head);
        fill(proxy, &ends.client);
        expect(&ends.client, b"HTTP/1.1 504 Gateway Timeout\r\n");
    });
}

#[test]
fn a_client_that_does_not_read() {
    is_given_up(200, |proxy, ends| {
        ends.asks(GET);
        ends.is_asked(GET);
        ends.answers("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        fill(proxy, &ends.server);
    });
}
