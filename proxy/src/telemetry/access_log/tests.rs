//! The log's promises: the keys and columns, one line each, drops counted, flushed at the end.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::{AccessLog, Append, Exchanged, Format, Line, Settings, Texts, json, queue, text};
use crate::detect::{ClientHello, Detected, Protocol, Reason};
use crate::direction::Direction;
use crate::telemetry::connections::{Pair, Way};
use crate::telemetry::edge::Cluster;
use crate::telemetry::end::End;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::request::Request;

const PATIENCE: Duration = Duration::from_secs(30);

/// A connection's.
fn line(port: u16) -> Line {
    Line {
        started: UNIX_EPOCH + Duration::from_millis(1_600_000_000_123),
        duration: Duration::from_micros(42_900),
        direction: Direction::Inbound,
        downstream_remote: "192.0.2.7:40000".parse().unwrap(),
        original_dst: (([192, 0, 2, 1]), port).into(),
        way: Way { cluster: Some(Cluster::Inbound(port)), server: None },
        detected: Some(detected()),
        bytes_received: 3,
        bytes_sent: u64::MAX,
        end: End {
            flags: "UF,URX",
            details: Some("client: went away".into()),
            failure: Some("with \"quotes\"\nand a newline".to_owned()),
        },
        exchange: None,
    }
}

const REQUEST: Request<'static> = Request {
    protocol: "HTTP/1.1",
    method: b"GET",
    path: b"/a?b=\"c\"",
    authority: Some(b"web.example"),
    user_agent: Some(b"curl/8 \xff\t\\"),
    x_forwarded_for: None,
    request_id: Some(b"4f-7"),
    is_grpc: false,
};

/// A request's.
fn exchanged(request: &Request<'_>) -> Line {
    let server = Pair { local: "127.0.0.6:50000".parse().unwrap(), remote: "192.0.2.1:80".parse().unwrap() };
    Line {
        way: Way { cluster: Some(Cluster::Inbound(80)), server: Some(server) },
        detected: None,
        bytes_sent: 4,
        end: End { details: Some("via_upstream".into()), ..End::COMPLETE },
        exchange: Some(Exchanged {
            texts: Texts::of(request),
            protocol: request.protocol,
            status: 204,
            upstream_service_time: Some(Duration::from_micros(7_900)),
            grpc_status: None,
        }),
        ..line(80)
    }
}

fn detected() -> Detected {
    let hello =
        ClientHello { server_name: Some("web.example".into()), alpn: vec![b"h2"[..].into(), [0xfa].into()] };
    Detected { protocol: Protocol::Tls, reason: Reason::FirstBytes, hello: Some(Arc::new(hello)) }
}

const QUEUE: u16 = 1000;

fn settings() -> Settings {
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

fn shown(append: Append, line: &Line) -> String {
    let mut text = Vec::new();
    append(line, &mut text);
    let text = String::from_utf8(text).expect("UTF-8");
    assert_eq!(text.matches('\n').count(), 1, "one line: {text}");
    text.strip_suffix('\n').expect("its end last").to_owned()
}

fn object(line: &Line) -> serde_json::Value {
    serde_json::from_str(&shown(json::append, line)).unwrap()
}

#[test]
fn a_connection_has_istios_keys_and_ours() {
    let expected = serde_json::json!({
        "start_time": "2020-09-13T12:26:40.123Z", "reporter": "destination", "original_destination": "192.0.2.1:8080",
        "detected_protocol": "tls", "detected_by": "first_bytes", "detected_alpn": ["h2", "\u{fffd}"],
        "method": null, "path": null, "protocol": null, "response_code": 0, "response_flags": "UF,URX",
        "response_code_details": null, "grpc_status": null, "connection_termination_details": "client: went away",
        "upstream_transport_failure_reason": "with \"quotes\"\nand a newline",
        "bytes_received": 3, "bytes_sent": u64::MAX, "duration": 42, "upstream_service_time": null,
        "x_forwarded_for": null, "user_agent": null, "request_id": null, "authority": null, "upstream_host": null,
        "upstream_cluster": "inbound|8080||", "upstream_local_address": null,
        "downstream_local_address": "192.0.2.1:8080", "downstream_remote_address": "192.0.2.7:40000",
        "requested_server_name": "web.example", "route_name": null,
    });
    assert_eq!(object(&line(8080)), expected);
}

#[test]
fn an_exchange_has_the_keys_of_http_too() {
    let object = object(&exchanged(&REQUEST));
    for (key, value) in [
        ("method", "GET".into()),
        ("path", "/a?b=\"c\"".into()),
        ("protocol", "HTTP/1.1".into()),
        ("response_code", 204.into()),
        ("response_flags", "-".into()),
        ("response_code_details", "via_upstream".into()),
        ("connection_termination_details", serde_json::Value::Null),
        ("upstream_service_time", 7.into()),
        ("x_forwarded_for", serde_json::Value::Null),
        ("user_agent", "curl/8 \u{fffd}\t\\".into()),
        ("request_id", "4f-7".into()),
        ("authority", "web.example".into()),
        ("upstream_host", "192.0.2.1:80".into()),
        ("upstream_local_address", "127.0.0.6:50000".into()),
    ] {
        assert_eq!(object[key], value, "{key}");
    }
    assert_eq!(object.as_object().unwrap().len(), self::object(&line(80)).as_object().unwrap().len());
    let mut grpc = exchanged(&REQUEST);
    grpc.exchange.as_mut().unwrap().grpc_status = Some(5);
    assert_eq!(self::object(&grpc)["grpc_status"], 5);
}

#[test]
fn what_could_not_be_read_is_absent() {
    let line = exchanged(&Request::default());
    for key in ["method", "path", "protocol", "authority"] {
        assert_eq!(object(&line)[key], serde_json::Value::Null, "{key}");
    }
    assert!(shown(text::append, &line).contains("] \"- - -\" 204 - via_upstream"));
}

#[test]
fn text_is_istios_default_format() {
    assert_eq!(
        shown(text::append, &line(8080)),
        "[2020-09-13T12:26:40.123Z] \"- - -\" 0 UF,URX - client:_went_away \"with \\\"quotes\\\"\\nand a newline\" \
         3 18446744073709551615 42 - \"-\" \"-\" \"-\" \"-\" \"-\" inbound|8080|| - 192.0.2.1:8080 192.0.2.7:40000 \
         web.example -"
    );
    assert_eq!(
        shown(text::append, &exchanged(&REQUEST)),
        "[2020-09-13T12:26:40.123Z] \"GET /a?b=\\\"c\\\" HTTP/1.1\" 204 - via_upstream - \"-\" \
         3 4 42 7 \"-\" \"curl/8 \u{fffd}\\t\\\\\" \"4f-7\" \"web.example\" \
         \"192.0.2.1:80\" inbound|80|| 127.0.0.6:50000 192.0.2.1:80 192.0.2.7:40000 - -"
    );
}

/// The columns of a text line; of those in quotation marks, what is escaped is as it was.
fn columns(line: &str) -> Vec<String> {
    let (mut columns, mut is_quoted) = (vec![Vec::new()], false);
    let mut bytes = line.bytes();
    while let Some(byte) = bytes.next() {
        let column = columns.last_mut().unwrap();
        match byte {
            b'"' => is_quoted = !is_quoted,
            b' ' if !is_quoted => columns.push(Vec::new()),
            b'\\' => column.push(match bytes.next().expect("something escaped") {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'x' => {
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                itself => itself,
            }),
            other => column.push(other),
        }
    }
    assert!(!is_quoted, "{line}");
    columns.into_iter().map(|column| String::from_utf8(column).unwrap()).collect()
}

proptest! {
    #[test]
    fn no_text_of_a_peer_makes_a_line_or_a_column(
        texts in prop::array::uniform5(prop_oneof![
            prop::collection::vec(any::<u8>(), 1..80),
            "[ \"\\\\\r\n\t\u{0}\u{85}\u{2028}\u{2029}a-]{1,20}".prop_map(String::into_bytes),
        ]),
        failure in any::<String>(),
    ) {
        let [path, authority, agent, forwarded_for, id] = &texts;
        let request = Request {
            path,
            authority: Some(authority),
            user_agent: Some(agent),
            x_forwarded_for: Some(forwarded_for),
            request_id: Some(id),
            ..REQUEST
        };
        let mut line = exchanged(&request);
        line.end.details = Some(failure.clone().into());
        line.end.failure = Some(failure.clone());
        let text = shown(text::append, &line);
        prop_assert!(!text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{text:?}");
        let columns = columns(&text);
        prop_assert_eq!(columns.len(), 22);
        let said = texts.each_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let [path, authority, agent, forwarded_for, id] = &said;
        prop_assert_eq!(&columns[1], &format!("GET {path} HTTP/1.1"));
        prop_assert_eq!([&columns[6], &columns[11], &columns[12], &columns[13], &columns[14]], [&failure, forwarded_for, agent, id, authority]);
        let object = object(&line);
        for (key, text) in [("path", path), ("authority", authority), ("user_agent", agent), ("x_forwarded_for", forwarded_for), ("request_id", id)] {
            prop_assert_eq!(object[key].as_str(), Some(text.as_str()), "{}", key);
        }
    }
}

#[test]
fn a_line_is_as_small_as_the_settings_say() {
    let agent =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36";
    let id = "3a1f8a6e-6f4b-4b57-9ef2-0d4d7e3f9f3a";
    let usual = Request { user_agent: Some(agent.as_bytes()), request_id: Some(id.as_bytes()), ..REQUEST };
    const { assert!(Texts::MOST <= 3 * 1024) };
    for append in [json::append, text::append] {
        for line in [line(80), exchanged(&usual)] {
            assert!(shown(append, &line).len() < queue::PLACE);
        }
        // All that peers can add to it, of what takes most.
        let worst = [0; 4096];
        let worst = Request {
            method: &worst,
            path: &worst,
            authority: Some(&worst),
            user_agent: Some(&worst),
            x_forwarded_for: Some(&worst),
            request_id: Some(&worst),
            ..REQUEST
        };
        assert!(shown(append, &exchanged(&worst)).len() < queue::PLACE + 6 * Texts::MOST);
    }
}

#[test]
fn both_forms_are_written() {
    for (access_log, begins) in
        [(Format::Json, "{\"start_time\""), (Format::Text, "[2020-09-13T12:26:40.123Z] ")]
    {
        let output = Output::open();
        let settings = Settings { access_log, ..settings() };
        let (log, flush) = AccessLog::start(&settings, Metrics::default(), output.clone()).unwrap();
        log.write(|| line(80));
        drop(log);
        assert!(flush.wait(PATIENCE));
        assert!(output.lines()[0].starts_with(begins), "{:?}", output.lines());
    }
}

#[test]
fn what_was_queued_is_written_before_the_end() {
    let output = Output::open();
    let (log, flush) = AccessLog::start(&settings(), Metrics::default(), output.clone()).unwrap();
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
    let (log, flush) = AccessLog::start(&settings(), metrics.clone(), output.clone()).unwrap();
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
    let (log, flush) = AccessLog::start(&settings(), Metrics::default(), output).unwrap();
    log.write(|| line(80));
    drop(log);
    assert!(!flush.wait(Duration::from_millis(1)));
}

#[test]
fn a_broken_output_is_counted() {
    let metrics = Metrics::default();
    let (log, flush) = AccessLog::start(&settings(), metrics.clone(), Broken).unwrap();
    log.write(|| line(80));
    drop(log);
    assert!(flush.wait(PATIENCE));
    assert_eq!(dropped(&metrics), 1);
}

#[test]
fn off_is_off() {
    let output = Output::open();
    let settings = Settings { access_log: Format::Off, ..settings() };
    let (log, flush) = AccessLog::start(&settings, Metrics::default(), output.clone()).unwrap();
    assert!(!log.is_on());
    log.write(|| line(80));
    drop(log);
    assert!(flush.wait(PATIENCE));
    assert!(output.lines().is_empty());
}
