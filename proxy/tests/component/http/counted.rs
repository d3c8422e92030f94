//! What requests leave in metrics, and in the log's other form.

use std::io::Write;
use std::sync::{Arc, Mutex};

use super::{AS_SENT, Ends, GET, OK, PAIRED, address, proxy};
use crate::support::{INBOUND, Log, OUTBOUND, Proxy, eventually};

#[test]
fn requests_are_counted_and_their_connection_is_not() {
    for (way, reporter) in [(OUTBOUND, "reporter=\"source\""), (INBOUND, "reporter=\"destination\"")] {
        let proxy = proxy(&[]);
        let mut ends = Ends::of(&proxy, way);
        ends.exchange(GET, OK);
        ends.exchange(GET, OK);
        ends.exchange(
            "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 3\r\n\r\nabc",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        );
        let count = |name: &str, label: &str| {
            proxy.metric(&[name, label, reporter, "request_protocol=\"http\"", "response_flags=\"-\""])
        };
        let (ok, not_found) = ("response_code=\"200\"", "response_code=\"404\"");
        eventually("the last one is over", || count("istio_requests_total{", not_found) == 1);
        assert_eq!(count("istio_requests_total{", ok), 2);
        assert_eq!(count("istio_request_duration_milliseconds_count{", ok), 2);
        let of = |name: &str, bound: &str, code: &str| {
            proxy.metric(&[name, &format!("le=\"{bound}\""), code, reporter])
        };
        for (name, bound, code, expected) in [
            ("istio_request_bytes_bucket{", "0.5", ok, 2),
            ("istio_response_bytes_bucket{", "1.0", ok, 0),
            ("istio_response_bytes_bucket{", "5.0", ok, 2),
            ("istio_request_bytes_bucket{", "1.0", not_found, 0),
            ("istio_request_bytes_bucket{", "5.0", not_found, 1),
            ("istio_response_bytes_bucket{", "0.5", not_found, 1),
        ] {
            assert_eq!(of(name, bound, code), expected, "{name} {bound} {code}");
        }
        ends.client_ends();
        proxy.get(&proxy.addresses.metrics, "/metrics").lines().for_each(|line| {
            assert!(!line.starts_with("istio_tcp_"), "{line}");
        });
        proxy.stop();
    }
}

/// Collects what is no JSON.
#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_log_has_istios_text_where_it_is_wanted() {
    let text = Text::default();
    let options = [&AS_SENT[..], &PAIRED, &["--access-log", "text"]].concat();
    let proxy = Proxy::start_with(&options, Log::default(), text.clone());
    let mut ends = Ends::inbound(&proxy);
    let (server, client) = (address(&ends.listener), ends.client.local_addr().unwrap());
    let local = ends.server.peer_addr().unwrap();
    ends.exchange("GET /a?b HTTP/1.1\r\nHost: web\r\nUser-Agent: \"me\"\r\n\r\n", OK);
    ends.client_ends();
    proxy.stop();
    let text = String::from_utf8(text.0.lock().unwrap().clone()).unwrap();
    let [line] = text.lines().collect::<Vec<_>>()[..] else { panic!("one line: {text}") };
    let (begin, rest) = line.split_once("\"GET /a?b HTTP/1.1\" 200 - via_upstream - \"-\" 0 2 ").expect(line);
    assert!(begin.starts_with("[20") && begin.ends_with("Z] "), "{line}");
    let expected = format!(
        " \"-\" \"\\\"me\\\"\" \"-\" \"web\" \"{server}\" inbound|{}|| {local} {server} {client} - -",
        server.port()
    );
    // Before it are two times.
    assert!(rest.ends_with(&expected), "{line} should end with {expected}");
}
