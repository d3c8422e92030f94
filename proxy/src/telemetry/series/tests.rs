//! What is counted of an edge, as a scrape shows it.

use std::sync::Arc;
use std::time::Duration;

use super::{Edges, Exchanges, Extent, MOST, NO_FLAGS, Outcome, Series};
use crate::direction::Direction;
use crate::telemetry::edge::Edge;
use crate::telemetry::workload::Workload;

const EXTENT: Extent = Extent {
    duration: Duration::from_micros(1_500),
    request_bytes: 0,
    response_bytes: 1,
    request_messages: 0,
    response_messages: 0,
};

const OK: Outcome = Outcome { is_grpc: false, code: 200, flags: NO_FLAGS, grpc_status: None };

fn text(edges: &Edges) -> String {
    let metrics = runtime::metrics::Metrics::default();
    metrics.register(|registry| registry.register_collector(Box::new(edges.clone())));
    metrics.text()
}

fn lines<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).collect()
}

fn edge(edges: &Edges) -> Arc<Series> {
    edges.add(Edge::from(None).names(Direction::Inbound, &Arc::new(Workload::unknown())))
}

#[test]
fn a_series_has_istios_labels_and_envoys_buckets() {
    let edges = Edges::default();
    let series = edge(&edges);
    series.exchanged(OK, &EXTENT);
    series.opened();
    let text = text(&edges);
    let count = |name| {
        let lines = lines(&text, name);
        assert_eq!(lines.len(), 1, "{name}: {text}");
        lines[0].matches("=\"").count()
    };
    assert_eq!(count("istio_requests_total"), 25);
    assert_eq!(count("istio_tcp_connections_opened_total"), 23);
    let buckets: Vec<_> = lines(&text, "istio_request_duration_milliseconds_bucket")
        .into_iter()
        .map(|line| {
            let bound = line.split("le=\"").nth(1).unwrap().split('"').next().unwrap();
            (bound.replace("+Inf", "inf").parse::<f64>().unwrap(), line.rsplit(' ').next().unwrap())
        })
        .collect();
    let bounds: Vec<_> = buckets.iter().map(|(bound, _)| *bound).collect();
    let envoys = [
        0.5,
        1.0,
        5.0,
        10.0,
        25.0,
        50.0,
        100.0,
        250.0,
        500.0,
        1000.0,
        2500.0,
        5000.0,
        10000.0,
        30000.0,
        60000.0,
        300000.0,
        600000.0,
        1800000.0,
        3600000.0,
        f64::INFINITY,
    ];
    assert_eq!(bounds, envoys);
    // 1.5 ms.
    assert!(
        buckets.iter().all(|(bound, count)| *count == if *bound < 5.0 { "0" } else { "1" }),
        "{buckets:?}"
    );
    assert!(lines(&text, "istio_request_duration_milliseconds_sum")[0].ends_with(" 1.5"));
}

#[test]
fn an_edge_that_carried_only_http_shows_no_tcp_and_the_other_way_round() {
    let edges = Edges::default();
    let (http, tcp) = (edge(&edges), edge(&edges));
    http.exchanged(OK, &EXTENT);
    tcp.opened();
    tcp.sent(3);
    tcp.received(4);
    tcp.closed("UC");
    let text = text(&edges);
    for (name, values) in [
        ("istio_tcp_connections_opened_total", &["1"][..]),
        ("istio_tcp_connections_closed_total", &["0", "1"]),
        ("istio_tcp_sent_bytes_total", &["3"]),
        ("istio_tcp_received_bytes_total", &["4"]),
        ("istio_requests_total", &["1"]),
        ("istio_response_messages_total", &[]),
    ] {
        let found: Vec<_> = lines(&text, name).iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(found, values, "{name}");
    }
}

#[test]
fn all_numbers_there_are_do_not_fill_the_memory() {
    let edges = Edges::default();
    let series = edge(&edges);
    for code in 100..600 {
        series.exchanged(Outcome { code, ..OK }, &EXTENT);
    }
    for status in 0..17 {
        series.exchanged(Outcome { is_grpc: true, grpc_status: Some(status), ..OK }, &EXTENT);
    }
    // What was first is known still.
    series.exchanged(Outcome { code: 100, ..OK }, &EXTENT);
    let text = text(&edges);
    let requests = lines(&text, "istio_requests_total");
    assert_eq!(requests.len(), MOST + 2);
    let rest = |protocol: &str, count| {
        let labels = [
            &format!("request_protocol=\"{protocol}\""),
            "response_code=\"unknown\"",
            "response_flags=\"unknown\"",
        ];
        let found: Vec<_> =
            requests.iter().filter(|line| labels.iter().all(|label| line.contains(*label))).collect();
        assert!(found.len() == 1 && found[0].ends_with(&format!(" {count}")), "{found:?}");
    };
    rest("http", 500 - MOST);
    rest("grpc", 17);
    assert!(requests.iter().any(|line| line.contains("response_code=\"100\"") && line.ends_with(" 2")));
}

#[test]
fn a_series_is_small() {
    // The settings say so of each edge and each outcome.
    let (edge, outcome) = (size_of::<Series>(), size_of::<Exchanges>() + size_of::<usize>());
    assert!(edge <= 96 && outcome <= 576, "{edge} and {outcome} bytes");
}
