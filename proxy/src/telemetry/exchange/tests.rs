//! Exchanges without sockets: what they leave in metrics and in the access log.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Exchange, Request};
use crate::detect::{Detected, Protocol, Reason};
use crate::direction::Direction;
use crate::telemetry::access_log::{self, AccessLog, Format};
use crate::telemetry::connections::{Connections, Pair, RelayMode, Side};
use crate::telemetry::edge::{Cluster, Edge};
use crate::telemetry::http::Timer;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::session::{Books, End, Reporter, Session, Settings};
use crate::telemetry::workload::Workload;

struct Desk {
    reporter: Arc<Reporter>,
    shown: runtime::metrics::Metrics,
    connections: Connections,
    edge: Edge,
}

fn address(port: u16) -> SocketAddr {
    ([192, 0, 2, 1], port).into()
}

impl Desk {
    fn new(direction: Direction) -> Self {
        let (metrics, connections) = (Metrics::default(), Connections::new(1));
        let shown = runtime::metrics::Metrics::default();
        metrics.register(&shown);
        let settings = access_log::Settings { access_log: Format::Off, access_log_queue: 1 };
        let (access_log, _flush) = AccessLog::start(&settings, metrics.clone(), std::io::sink()).unwrap();
        let books = Books { metrics, access_log, connections: connections.clone(), ended: Arc::default() };
        let workload = Arc::new(Workload::of_this_pod(|_| None));
        let reporter = Arc::new(Reporter::new(Settings { max_edges: 2 }, direction, workload, books));
        let edge = Edge::past_services(Some(Arc::new(Workload::known("cart", "shop", None, None))));
        Self { reporter, shown, connections, edge }
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
    for desk in [&desk, &inbound] {
        assert_eq!(desk.value("istio_requests_total", &["response_code=\"200\""]), 2.0);
        assert!(!desk.shown.text().contains("istio_tcp_connections_opened_total{"));
    }
}

#[test]
fn refusals_retries_and_time_limits_are_counted() {
    let desk = Desk::new(Direction::Inbound);
    let session = desk.session();
    session.refused_message(Side::Client, "two_lengths");
    session.retried_request();
    [Timer::Idle, Timer::Idle, Timer::Head].into_iter().for_each(|timer| session.timed_out(timer));
    let labels = ["direction=\"inbound\"", "side=\"client\"", "reason=\"two_lengths\""];
    assert_eq!(desk.value("remora_http_refused_messages_total", &labels), 1.0);
    assert_eq!(desk.value("remora_http_retries_total", &["direction=\"inbound\""]), 1.0);
    for (timer, count) in [("idle", 2.0), ("head", 1.0), ("stream_idle", 0.0)] {
        let labels = ["direction=\"inbound\"", &format!("timer=\"{timer}\"")];
        assert_eq!(desk.value("remora_http_timeouts_total", &labels), count, "{timer}");
    }
    for direction in Direction::BOTH {
        let begins = format!(
            "remora_http_timeouts_total{{direction=\"{}\",timer=\"stream_idle\"}} 0",
            direction.name()
        );
        assert!(desk.shown.text().contains(&begins), "before the first one");
    }
}
