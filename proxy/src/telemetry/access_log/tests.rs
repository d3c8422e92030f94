//! The log's promises: the keys, one line each, drops counted, flushed at the end.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use super::{AccessLog, Format, Line, Settings};
use crate::detect::{ClientHello, Detected, Protocol, Reason};
use crate::direction::Direction;
use crate::telemetry::edge::Cluster;
use crate::telemetry::metrics::Metrics;

const PATIENCE: Duration = Duration::from_secs(30);

fn line(port: u16) -> Box<Line> {
    Box::new(Line {
        started: UNIX_EPOCH + Duration::from_millis(1_600_000_000_123),
        duration: Duration::from_micros(42_900),
        direction: Direction::Inbound,
        downstream_remote: "192.0.2.7:40000".parse().unwrap(),
        original_dst: (([192, 0, 2, 1]), port).into(),
        cluster: Some(Cluster::Inbound(port)),
        upstream_local: Some("127.0.0.6:50000".parse().unwrap()),
        upstream_host: None,
        detected: Some(detected()),
        bytes_received: 3,
        bytes_sent: u64::MAX,
        flags: "UF,URX",
        termination_details: None,
        transport_failure: Some("with \"quotes\"\nand a newline".to_owned()),
    })
}

fn detected() -> Detected {
    let hello =
        ClientHello { server_name: Some("web.example".into()), alpn: vec![b"h2"[..].into(), [0xfa].into()] };
    Detected { protocol: Protocol::Tls, reason: Reason::FirstBytes, hello: Some(Arc::new(hello)) }
}

const QUEUE: u16 = 1000;

fn json() -> Settings {
    Settings { access_log: Format::Json, access_log_queue: QUEUE.into() }
}

fn dropped(metrics: &Metrics) -> u64 {
    metrics.access_log_dropped.get()
}

/// Collects, and waits before each write until the gate lets it.
#[derive(Clone)]
struct Output {
    text: Arc<Mutex<Vec<u8>>>,
    gate: Option<Arc<Mutex<Receiver<()>>>>,
}

impl Output {
    fn open() -> Self {
        Self { text: Arc::default(), gate: None }
    }

    fn blocked() -> (Self, SyncSender<()>) {
        let (release, gate) = sync_channel(0);
        (Self { text: Arc::default(), gate: Some(Arc::new(Mutex::new(gate))) }, release)
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.text.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(gate) = &self.gate {
            // The sender being gone opens the gate.
            let _ = gate.lock().unwrap().recv();
        }
        self.text.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_has_istios_keys_and_ours() {
    let mut text = Vec::new();
    line(8080).append_to(&mut text);
    assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let expected = serde_json::json!({
        "start_time": "2020-09-13T12:26:40.123Z", "reporter": "destination", "original_destination": "192.0.2.1:8080",
        "detected_protocol": "tls", "detected_by": "first_bytes", "detected_alpn": ["h2", "\u{fffd}"],
        "method": null, "path": null, "protocol": null, "response_code": 0, "response_flags": "UF,URX",
        "response_code_details": null, "connection_termination_details": null,
        "upstream_transport_failure_reason": "with \"quotes\"\nand a newline",
        "bytes_received": 3, "bytes_sent": u64::MAX, "duration": 42, "upstream_service_time": null,
        "x_forwarded_for": null, "user_agent": null, "request_id": null, "authority": null, "upstream_host": null,
        "upstream_cluster": "inbound|8080||", "upstream_local_address": "127.0.0.6:50000",
        "downstream_local_address": "192.0.2.1:8080", "downstream_remote_address": "192.0.2.7:40000",
        "requested_server_name": "web.example", "route_name": null,
    });
    assert_eq!(value, expected);
}

#[test]
fn what_was_queued_is_written_before_the_end() {
    let output = Output::open();
    let (log, flush) = AccessLog::start(&json(), Metrics::default(), output.clone()).unwrap();
    for port in 1..=1000 {
        log.write(|| line(port));
    }
    drop(log);
    assert!(flush.wait(PATIENCE));
    assert_eq!(output.lines().len(), 1000);
    assert!(output.lines()[999].contains("192.0.2.1:1000"), "in order");
}

#[test]
fn a_blocked_output_drops_and_counts_and_never_waits() {
    let (output, release) = Output::blocked();
    let metrics = Metrics::default();
    let (log, flush) = AccessLog::start(&json(), metrics.clone(), output.clone()).unwrap();
    let sent = 3 * usize::from(QUEUE);
    for _ in 0..sent {
        log.write(|| line(80));
    }
    let lost = usize::try_from(dropped(&metrics)).unwrap();
    // What the writer took before it was stopped, and what waits.
    assert!(
        (usize::from(QUEUE)..sent).contains(&(sent - lost)),
        "the queue is bounded, and all of it used: {lost}"
    );
    drop((release, log));
    assert!(flush.wait(PATIENCE));
    assert_eq!(output.lines().len() + lost, sent, "each line is written or counted");
}

#[test]
fn the_end_does_not_wait_for_a_blocked_output() {
    let (output, _release) = Output::blocked();
    let (log, flush) = AccessLog::start(&json(), Metrics::default(), output).unwrap();
    log.write(|| line(80));
    drop(log);
    assert!(!flush.wait(Duration::from_millis(1)));
}

#[test]
fn a_broken_output_is_counted() {
    let metrics = Metrics::default();
    let (log, flush) = AccessLog::start(&json(), metrics.clone(), Broken).unwrap();
    log.write(|| line(80));
    drop(log);
    assert!(flush.wait(PATIENCE));
    assert_eq!(dropped(&metrics), 1);
}

#[test]
fn off_is_off() {
    let output = Output::open();
    let settings = Settings { access_log: Format::Off, ..json() };
    let (log, flush) = AccessLog::start(&settings, Metrics::default(), output.clone()).unwrap();
    log.write(|| line(80));
    drop(log);
    assert!(flush.wait(PATIENCE));
    assert!(output.lines().is_empty());
}
