//! Exchanges without sockets: what they leave in metrics and in the access log.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Exchange, Request};
use crate::detect::{Detected, Protocol, Reason};
use crate::direction::Direction;
use crate::telemetry::Code;
use crate::telemetry::access_log::{self, AccessLog, Flush, Format};
use crate::telemetry::connections::{Connections, Pair, RelayMode, Side};
use crate::telemetry::edge::{Cluster, Edge};
use crate::telemetry::exposition::Shown;
use crate::telemetry::http::Timer;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::session::{Books, End, Reporter, Session, Settings};
use crate::telemetry::workload::Workload;

struct Desk {
    reporter: Arc<Reporter>,
    shown: Shown,
    connections: Connections,
    edge: Edge,
    lines: Lines,
    flush: Flush,
}

/// What the access log writes.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn address(port: u16) -> SocketAddr {
    ([192, 0, 2, 1], port).into()
}

impl Desk {
    fn new(direction: Direction) -> Self {
        let (metrics, connections) = (Metrics::default(), Connections::new(1));
        let registry = runtime::metrics::Metrics::default();
        metrics.register(&registry);
        let shown = metrics.shown(registry);
        let settings = access_log::Settings { access_log: Format::Json, access_log_queue: 100 };
        let lines = Lines::default();
        let (access_log, flush) = AccessLog::start(&settings, metrics.clone(), lines.clone()).unwrap();
        let books = Books { metrics, access_log, connections: connections.clone(), ended: Arc::default() };
        let workload = Arc::new(Workload::of_this_pod(|_| None));
        let reporter = Arc::new(Reporter::new(Settings { max_edges: 2 }, direction, workload, books));
        let edge = Edge::past_services(Some(Arc::new(Workload::known("cart", "shop", None, None))));
        Self { reporter, shown, connections, edge, lines, flush }
    }

    /// A connection that speaks HTTP and is sent to the edge.
    fn session(&self) -> Session {
        let session = self.reporter.open(pair(40000), address(80));
        session.detected(&http1());
        session.speaks_http();
        session.sent_to(Cluster::Passthrough, &self.edge);
        session.connected(address(50000), address(80));
        session
    }

    /// All lines; every account has to be closed.
    fn log(self) -> Vec<serde_json::Value> {
        drop(self.reporter);
        assert!(self.flush.wait(Duration::from_secs(30)));
        let text = String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The value of the only series with this name and these labels; 0 where there is none.
    fn value(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.shown.text();
        let named = |line: &&str| {
            line.starts_with(&format!("{name}{{")) && labels.iter().all(|part| line.contains(part))
        };
        let found: Vec<_> = text.lines().filter(named).collect();
        assert!(found.len() <= 1, "{labels:?}: {found:?}");
        found.first().map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }
}

fn pair(port: u16) -> Pair {
    Pair { local: address(15001), remote: address(port) }
}

fn http1() -> Detected {
    Detected { protocol: Protocol::Http1, reason: Reason::FirstBytes, hello: None }
}

const GET: Request<'static> = Request {
    protocol: "HTTP/1.1",
    method: b"GET",
    path: b"/",
    authority: None,
    user_agent: None,
    x_forwarded_for: None,
    request_id: None,
    is_grpc: false,
};

fn done(exchange: Exchange, status: u16) {
    exchange.routed(true);
    exchange.asked();
    exchange.responded(status);
    exchange.close(End::COMPLETE);
}

#[test]
fn an_exchange_is_counted_when_it_ends() {
    let desk = Desk::new(Direction::Outbound);
    let session = desk.session();
    let exchange = session.begin(&GET);
    exchange.received(3);
    exchange.sent(40);
    assert_eq!(desk.connections.all().next().unwrap().bytes(), (3, 40), "live at once");
    let labels = [
        "destination_workload=\"cart\"",
        "request_protocol=\"http\"",
        "response_code=\"200\"",
        "response_flags=\"-\"",
        "grpc_response_status=\"\"",
    ];
    assert_eq!(desk.value("istio_requests_total", &labels), 0.0);
    done(exchange, 200);
    done(session.begin(&GET), 200);
    for (name, value) in [
        ("istio_requests_total", 2.0),
        ("istio_request_duration_milliseconds_count", 2.0),
        ("istio_request_bytes_count", 2.0),
        ("istio_request_bytes_sum", 3.0),
        ("istio_response_bytes_count", 2.0),
        ("istio_response_bytes_sum", 40.0),
        ("istio_request_messages_total", 0.0),
    ] {
        assert_eq!(desk.value(name, &labels), value, "{name}");
    }
}

#[test]
fn http_is_in_none_of_the_metrics_of_tcp() {
    let desk = Desk::new(Direction::Outbound);
    let session = desk.session();
    session.relayed(RelayMode::Copy);
    session.received(5);
    done(session.begin(&GET), 101);
    session.close(End::COMPLETE);
    assert!(!desk.shown.text().contains("istio_tcp_connections_opened_total{"));
    assert!(!desk.shown.text().contains("istio_tcp_received_bytes_total{"));
    assert!(desk.connections.is_empty());
}

#[test]
fn what_nobody_speaks_http_with_is_tcp() {
    let desk = Desk::new(Direction::Outbound);
    let opened = || desk.value("istio_tcp_connections_opened_total", &[]);
    let closed =
        |flags| desk.value("istio_tcp_connections_closed_total", &[&format!("response_flags=\"{flags}\"")]);
    let session = desk.reporter.open(pair(40000), address(80));
    session.sent_to(Cluster::Passthrough, &desk.edge);
    session.detected(&http1());
    assert_eq!(opened(), 0.0, "it is not known yet");
    session.relayed(RelayMode::Copy);
    assert_eq!((opened(), closed("-")), (1.0, 0.0));
    session.received(5);
    assert_eq!(desk.value("istio_tcp_received_bytes_total", &[]), 5.0);
    // Opaque it is from the first byte.
    let other = desk.reporter.open(pair(40001), address(80));
    other.sent_to(Cluster::Passthrough, &desk.edge);
    other.detected(&Detected::opaque(Reason::ServerFirst));
    assert_eq!(opened(), 2.0);
    drop(other);
    session.close(End::COMPLETE);
    assert_eq!((closed("-"), closed("LR")), (1.0, 1.0));
}

#[test]
fn what_ends_before_anything_is_known_is_tcp() {
    let desk = Desk::new(Direction::Outbound);
    desk.reporter.open(pair(40000), address(80)).close(End { flags: "DC", ..End::COMPLETE });
    let labels = ["destination_workload=\"unknown\"", "response_flags=\"DC\""];
    assert_eq!(desk.value("istio_tcp_connections_closed_total", &labels), 1.0);
    assert_eq!(desk.value("istio_tcp_connections_opened_total", &[]), 1.0);
}

#[test]
fn each_outcome_has_its_series() {
    let desk = Desk::new(Direction::Inbound);
    let session = desk.session();
    let grpc = Request { is_grpc: true, protocol: "HTTP/2", ..GET };
    let mut expected = BTreeMap::new();
    for (request, status, told, flags, labels) in [
        (&GET, 200, None, "-", ["http", "200", "-", ""]),
        (&GET, 0, None, "DC", ["http", "0", "DC", ""]),
        (&GET, 99, None, "-", ["http", "0", "-", ""]),
        (&GET, 600, None, "-", ["http", "0", "-", ""]),
        (&GET, 200, Some(5), "-", ["http", "200", "-", ""]),
        (&grpc, 200, Some(0), "-", ["grpc", "200", "-", "0"]),
        (&grpc, 200, Some(77), "-", ["grpc", "200", "-", "2"]),
        (&grpc, 503, None, "UH", ["grpc", "503", "UH", "14"]),
        (&grpc, 0, None, "UC", ["grpc", "0", "UC", ""]),
    ] {
        let exchange = session.begin(request);
        if status > 0 {
            exchange.responded(status);
        }
        if let Some(status) = told {
            exchange.grpc_status(status);
        }
        exchange.close(End { flags, ..End::COMPLETE });
        *expected.entry(labels).or_insert(0.0) += 1.0;
    }
    for ([protocol, code, flags, status], count) in expected {
        let labels = [
            format!("request_protocol=\"{protocol}\""),
            format!("response_code=\"{code}\""),
            format!("response_flags=\"{flags}\""),
            format!("grpc_response_status=\"{status}\""),
        ];
        let labels = labels.each_ref().map(String::as_str);
        assert_eq!(desk.value("istio_requests_total", &labels), count, "{labels:?}");
    }
}

#[test]
fn messages_of_grpc_are_counted() {
    let desk = Desk::new(Direction::Inbound);
    let exchange = desk.session().begin(&Request { is_grpc: true, ..GET });
    exchange.request_message();
    (0..3).for_each(|_| exchange.response_message());
    done(exchange, 200);
    assert_eq!(desk.value("istio_request_messages_total", &["request_protocol=\"grpc\""]), 1.0);
    assert_eq!(desk.value("istio_response_messages_total", &["request_protocol=\"grpc\""]), 3.0);
}

#[test]
fn a_request_counts_where_it_was_passed_on_to() {
    let desk = Desk::new(Direction::Outbound);
    let other = Edge::past_services(Some(Arc::new(Workload::known("stock", "shop", None, None))));
    let session = desk.session();
    let (first, second) = (session.begin(&GET), session.begin(&GET));
    first.routed(true);
    first.asked();
    session.sent_to(Cluster::Passthrough, &other);
    session.connected(address(50001), address(81));
    assert_eq!(desk.connections.all().next().unwrap().server().unwrap().remote, address(81));
    for exchange in [first, second] {
        exchange.responded(200);
        exchange.close(End::COMPLETE);
    }
    for workload in ["cart", "stock"] {
        let label = format!("destination_workload=\"{workload}\"");
        assert_eq!(desk.value("istio_requests_total", &[&label]), 1.0, "{workload}");
    }
}

#[test]
fn what_is_dropped_without_a_word_was_cut_by_the_proxy() {
    let desk = Desk::new(Direction::Outbound);
    let session = desk.session();
    drop(session.begin(&GET));
    let mut presumed = session.begin(&GET);
    presumed.presume(End { flags: "DC", ..End::COMPLETE });
    // The account is open as long as one of its exchanges.
    drop(session);
    assert_eq!(desk.connections.len(), 1);
    drop(presumed);
    assert!(desk.connections.is_empty());
    for flags in ["LR", "DC"] {
        assert_eq!(desk.value("istio_requests_total", &[&format!("response_flags=\"{flags}\"")]), 1.0);
    }
}

#[test]
fn both_accounts_of_a_self_call_are_told() {
    let (desk, inbound) = (Desk::new(Direction::Outbound), Desk::new(Direction::Inbound));
    let session = desk.session();
    let comes_back = || session.comes_back(inbound.reporter.open_self_call(pair(40000), address(80)));
    comes_back();
    let first = session.begin(&GET);
    first.routed(true);
    first.asked();
    first.received(7);
    assert_eq!(inbound.connections.all().next().unwrap().bytes(), (7, 0));
    done(first, 200);
    // The next request finds the upstream connection closed, and another is made after it has begun.
    let second = session.begin(&GET);
    comes_back();
    assert_eq!(inbound.connections.len(), 1, "the former account is closed");
    done(second, 200);
    session.close(End::COMPLETE);
    assert!(inbound.connections.is_empty());
    for (desk, reporter) in [(desk, "source"), (inbound, "destination")] {
        assert_eq!(desk.value("istio_requests_total", &["response_code=\"200\""]), 2.0);
        assert!(!desk.shown.text().contains("istio_tcp_connections_opened_total{"));
        let lines = desk.log();
        assert!(lines.iter().all(|line| line["path"] == "/" && line["reporter"] == reporter), "{lines:?}");
        assert_eq!(lines.len(), 2, "the connections have none: {lines:?}");
    }
}

#[test]
fn an_exchange_has_a_line_and_its_connection_has_none() {
    let desk = Desk::new(Direction::Outbound);
    let session = desk.session();
    let get = Request { path: b"/cart?id=7", authority: Some(b"cart"), request_id: Some(b"4f-7"), ..GET };
    let exchange = session.begin(&get);
    exchange.received(3);
    done(exchange, 200);
    let refused = session.begin(&GET);
    refused.routed(true);
    refused.asked();
    refused.answered(504);
    refused.close(End { flags: "UT", details: Some("response_timeout".into()), ..End::COMPLETE });
    let grpc = session.begin(&Request { is_grpc: true, ..GET });
    grpc.grpc_status(99);
    drop(grpc);
    session.close(End::COMPLETE);
    let lines = desk.log();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, key, value) in [
        (0, "path", "/cart?id=7".into()),
        (0, "authority", "cart".into()),
        (0, "request_id", "4f-7".into()),
        (0, "user_agent", serde_json::Value::Null),
        (0, "protocol", "HTTP/1.1".into()),
        (0, "response_code", 200.into()),
        (0, "response_code_details", "via_upstream".into()),
        (0, "upstream_service_time", 0.into()),
        (0, "bytes_received", 3.into()),
        (0, "upstream_host", address(80).to_string().into()),
        (0, "upstream_cluster", "PassthroughCluster".into()),
        (0, "detected_protocol", "http1".into()),
        (0, "grpc_status", serde_json::Value::Null),
        (1, "response_code", 504.into()),
        (1, "response_flags", "UT".into()),
        (1, "response_code_details", "response_timeout".into()),
        (1, "upstream_service_time", serde_json::Value::Null),
        (2, "response_code", 0.into()),
        (2, "response_flags", "LR".into()),
        (2, "response_code_details", "proxy ended".into()),
        (2, "grpc_status", 99.into()),
    ] {
        assert_eq!(lines[line][key], value, "{key} of line {line}");
    }
}

#[test]
fn a_connection_of_http_without_a_request_has_a_line_and_is_not_counted() {
    let desk = Desk::new(Direction::Outbound);
    desk.session().close(End { flags: "DPE", details: Some("http1.length_twice".into()), ..End::COMPLETE });
    desk.session().close(End::COMPLETE);
    assert!(!desk.shown.text().contains("istio_tcp_connections_closed_total{"));
    let lines = desk.log();
    assert_eq!(lines.len(), 2);
    for key in ["method", "protocol", "response_code_details"] {
        assert_eq!(lines[0][key], serde_json::Value::Null, "{key}");
    }
    assert_eq!(lines[0]["connection_termination_details"], "http1.length_twice");
}

#[test]
fn accounts_are_small() {
    assert!(size_of::<Session>() <= 8 && size_of::<Exchange>() <= 8);
    // What an exchange has beside its texts, as long as it lasts.
    assert!(size_of::<super::Account>() <= 448, "{} bytes", size_of::<super::Account>());
}

#[test]
fn refusals_retries_and_time_limits_are_counted() {
    let desk = Desk::new(Direction::Inbound);
    let session = desk.session();
    session.refused(Side::Client, Code::new("http1.length_twice"));
    session.retried_request();
    [Timer::Idle, Timer::Idle, Timer::Head].into_iter().for_each(|timer| session.timed_out(timer));
    let labels = ["direction=\"inbound\"", "side=\"client\"", "reason=\"http1.length_twice\""];
    assert_eq!(desk.value("remora_http_refused_messages_total", &labels), 1.0);
    assert_eq!(desk.value("remora_http_retries_total", &["direction=\"inbound\""]), 1.0);
    for (timer, count) in [("idle_timeout", 2.0), ("request_head_timeout", 1.0), ("stream_idle_timeout", 0.0)]
    {
        let labels = ["direction=\"inbound\"", &format!("timer=\"{timer}\"")];
        assert_eq!(desk.value("remora_http_timeouts_total", &labels), count, "{timer}");
    }
    for direction in Direction::BOTH {
        let begins = format!(
            "remora_http_timeouts_total{{direction=\"{}\",timer=\"stream_idle_timeout\"}} 0",
            direction.name()
        );
        assert!(desk.shown.text().contains(&begins), "before the first one");
    }
}
