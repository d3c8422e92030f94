//! What a connection leaves behind: its access-log line and its counts, also of those that were refused.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use crate::support::{INBOUND, Log, OUTBOUND, Proxy, Seen, eventually, next};

#[test]
fn a_line_tells_where_a_connection_went() {
    let proxy = Proxy::start(&[]);
    for way in [OUTBOUND, INBOUND] {
        let (mut client, mut server) = proxy.pair(way);
        let addresses =
            (client.local_addr().unwrap(), server.local_addr().unwrap(), server.peer_addr().unwrap());
        client.write_all(b"ask").unwrap();
        server.read_exact(&mut [0; 3]).unwrap();
        server.write_all(b"answer").unwrap();
        client.read_exact(&mut [0; 6]).unwrap();
        drop(client);
        drop(server);
        let log = &proxy.log;
        eventually("a line", || {
            log.lines().iter().any(|line| line["downstream_remote_address"] == addresses.0.to_string())
        });
        let lines = log.lines();
        let line = lines.last().unwrap();
        let destination = addresses.1.to_string();
        let inbound_cluster = format!("inbound|{}||", addresses.1.port());
        for (key, value) in [
            ("original_destination", destination.as_str()),
            ("downstream_local_address", &destination),
            ("upstream_host", &destination),
            ("upstream_local_address", &addresses.2.to_string()),
            ("reporter", if way.inbound { "destination" } else { "source" }),
            ("upstream_cluster", if way.inbound { &inbound_cluster } else { "PassthroughCluster" }),
        ] {
            assert_eq!(line[key], value, "{key} of {line}");
        }
        assert_eq!((&line["bytes_received"], &line["bytes_sent"]), (&3.into(), &6.into()));
    }
}

#[test]
fn bytes_are_counted_while_the_connection_is_open() {
    let proxy = Proxy::start(&[]);
    for (way, labels) in [
        (OUTBOUND, ["reporter=\"source\"", "source_workload=\"web\""]),
        (INBOUND, ["reporter=\"destination\"", "destination_workload=\"web\""]),
    ] {
        let metric = |name: &str| {
            proxy.metric(&[name, labels[0], labels[1], "request_protocol=\"tcp\"", "response_flags=\"-\""])
        };
        let (mut client, mut server) = proxy.pair(way);
        client.write_all(b"abc").unwrap();
        server.write_all(b"12345").unwrap();
        eventually("received", || metric("istio_tcp_received_bytes_total{") == 3);
        eventually("sent", || metric("istio_tcp_sent_bytes_total{") == 5);
        assert_eq!(metric("istio_tcp_connections_opened_total{"), 1);
        assert_eq!(metric("istio_tcp_connections_closed_total{"), 0);
        let direction = if way.inbound { "direction=\"inbound\"" } else { "direction=\"outbound\"" };
        assert_eq!(proxy.metric(&["remora_open_connections{", direction]), 1);
        // Unread bytes would make the close a reset.
        client.read_exact(&mut [0; 5]).unwrap();
        server.read_exact(&mut [0; 3]).unwrap();
        drop(client);
        drop(server);
        eventually("closed", || metric("istio_tcp_connections_closed_total{") == 1);
        eventually("none open", || proxy.metric(&["remora_open_connections{", direction]) == 0);
    }
    assert_eq!(proxy.metric(&["istio_build{", "component=\"proxy\"", "tag=\"0.1.0\""]), 1);
}

#[test]
fn refusals_are_reset_counted_by_reason_and_not_logged_as_connections() {
    let proxy = Proxy::start(&[]);
    let refused = |way, reason: &str| {
        let direction = if way == "inbound" { INBOUND } else { OUTBOUND };
        let client = TcpStream::connect(proxy.port(direction)).unwrap();
        assert_eq!(next(&crate::support::patient(client)), Seen::Reset, "{reason}");
        let labels = [format!("direction=\"{way}\""), format!("reason=\"{reason}\"")];
        proxy.metric(&["remora_refused_connections_total{", &labels[0], &labels[1]])
    };
    for (way, direction) in [("inbound", INBOUND), ("outbound", OUTBOUND)] {
        proxy.redirect.set(None);
        assert_eq!(refused(way, "not_redirected"), 1);
        assert_eq!(refused(way, "not_redirected"), 2);
        proxy.redirect.set(Some(proxy.port(direction)));
        assert_eq!(refused(way, "direct"), 1);
        proxy.redirect.set(Some("0.0.0.0:80".parse().unwrap()));
        assert_eq!(refused(way, "unspecified"), 1);
    }
    assert!(proxy.stop().is_empty());
}

/// An output that takes nothing until its test is over.
struct Blocked(Mutex<Receiver<()>>);

impl Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.lock().unwrap().recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_blocked_stdout_stops_neither_traffic_nor_probes_nor_the_end() {
    let (release, blocked) = channel();
    let queue = ["--access-log-queue", "100"];
    let proxy = Proxy::start_with(&queue, Log::default(), Blocked(Mutex::new(blocked)));
    let listener = OUTBOUND.listener();
    let to = listener.local_addr().unwrap();
    // More than the queue and the batch of the writer hold.
    for _ in 0..1000 {
        let mut client = proxy.connect(OUTBOUND, to);
        // What no protocol begins with, so nobody waits for more.
        client.write_all(b"\0").unwrap();
        assert_eq!(next(&crate::support::accept(&listener)), Seen::Byte(0));
    }
    eventually("lines are dropped", || proxy.metric(&["remora_access_log_dropped_total"]) > 0);
    assert!(proxy.get(&proxy.addresses.readiness, "/healthz/ready").starts_with("HTTP/1.1 200"));
    proxy.terminate();
    proxy.exit();
    drop(release);
}

#[test]
fn metrics_are_where_istio_has_them_and_administration_shows_the_redirect_report() {
    let report = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(report.path(), r#"{"outcome":"applied"}"#).unwrap();
    let proxy = Proxy::start(&["--redirect-report", report.path().to_str().unwrap()]);
    let (metrics, administration) = (proxy.addresses.metrics.clone(), proxy.addresses.administration.clone());
    for path in ["/metrics", "/stats/prometheus"] {
        assert!(proxy.get(&metrics, path).contains("istio_build"), "{path}");
    }
    assert!(proxy.get(&administration, "/redirect").ends_with(r#"{"outcome":"applied"}"#));
    assert!(proxy.get(&administration, "/healthz/live").starts_with("HTTP/1.1 200"));
    assert!(proxy.get(&administration, "/quitquitquit").starts_with("HTTP/1.1 404"), "read-only");
}
