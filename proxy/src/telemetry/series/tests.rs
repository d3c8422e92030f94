//! What is counted of an edge, as a scrape shows it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Edges, Exchanges, Extent, MOST, NO_FLAGS, Outcome, Series};
use crate::direction::Direction;
use crate::telemetry::edge::Edge;
use crate::telemetry::exposition::{Format, PIECE, Shown};
use crate::telemetry::workload::Workload;

const EXTENT: Extent = Extent {
    duration: Duration::from_micros(1_500),
    request_bytes: 0,
    response_bytes: 1,
    request_messages: 0,
    response_messages: 0,
};

const OK: Outcome = Outcome { is_grpc: false, code: 200, flags: NO_FLAGS, grpc_status: None };

fn shown(edges: &Edges) -> Shown {
    Shown { few: Default::default(), edges: edges.clone() }
}

fn text(edges: &Edges) -> String {
    shown(edges).text()
}

fn lines<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).collect()
}

fn edge(edges: &Edges) -> Arc<Series> {
    edges.add(Edge::from(None).names(Direction::Inbound, &Arc::new(Workload::unknown())))
}

/// Istio's labels of all metrics, as its documentation has them; requests have two more.
const LABELS: [&str; 23] = [
    "connection_security_policy",
    "destination_app",
    "destination_canonical_revision",
    "destination_canonical_service",
    "destination_cluster",
    "destination_principal",
    "destination_service",
    "destination_service_name",
    "destination_service_namespace",
    "destination_version",
    "destination_workload",
    "destination_workload_namespace",
    "reporter",
    "request_protocol",
    "response_flags",
    "source_app",
    "source_canonical_revision",
    "source_canonical_service",
    "source_cluster",
    "source_principal",
    "source_version",
    "source_workload",
    "source_workload_namespace",
];
const OF_ANSWERS: [&str; 2] = ["response_code", "grpc_response_status"];

/// In alphabetical order; no value here has a quotation mark.
fn label_names(line: &str) -> Vec<&str> {
    let (_, labels) = line.split_once('{').unwrap();
    let names = labels.split_inclusive('"').filter_map(|part| part.strip_suffix("=\""));
    let mut names: Vec<_> = names.map(|name| name.trim_start_matches(',')).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_series_has_istios_labels_and_envoys_buckets() {
    let edges = Edges::default();
    let series = edge(&edges);
    series.exchanged(OK, &EXTENT);
    series.opened();
    let text = text(&edges);
    let names = |name| {
        let lines = lines(&text, name);
        assert_eq!(lines.len(), 1, "{name}: {text}");
        label_names(lines[0])
    };
    assert_eq!(names("istio_tcp_connections_opened_total"), LABELS);
    let mut of_requests = [&LABELS[..], &OF_ANSWERS].concat();
    of_requests.sort_unstable();
    assert_eq!(names("istio_requests_total"), of_requests);
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

/// What tells samples apart, without their values; an error of the test where there is one twice, or a family is in two parts.
fn samples(text: &str) -> BTreeSet<&str> {
    let (mut samples, mut heads, mut family) = (BTreeSet::new(), BTreeSet::new(), "");
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(head) = line.strip_prefix("# HELP ") {
            family = head.split(' ').next().unwrap();
            assert!(heads.insert(family), "{family} has two heads");
        } else if let Some(head) = line.strip_prefix("# TYPE ") {
            assert_eq!(head.split(' ').next(), Some(family));
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(sample.starts_with(family) && value.parse::<f64>().is_ok(), "{family}: {line}");
            assert!(samples.insert(sample), "twice: {line}");
        }
    }
    assert_eq!(heads.len(), 10);
    samples
}

#[test]
fn what_is_read_in_pieces_is_whole() {
    let edges = Edges::default();
    let fill = |edge: &Series| {
        edge.opened();
        edge.closed("UC");
        for status in 0..17 {
            edge.exchanged(Outcome { is_grpc: true, grpc_status: Some(status), ..OK }, &EXTENT);
            edge.exchanged(Outcome { code: 400 + u16::from(status), ..OK }, &EXTENT);
        }
    };
    for _ in 0..3 {
        let workload = Workload::known(&format!("w{}", fastrand::u32(..)), "shop", None, None);
        fill(
            &edges.add(
                Edge::from(Some(workload.into())).names(Direction::Inbound, &Workload::unknown().into()),
            ),
        );
    }
    let before = text(&edges);
    let mut pieces = Vec::new();
    for piece in shown(&edges).exposition(Format::OpenMetrics) {
        assert!(piece.ends_with(b"\n") && piece.len() < PIECE + PIECE / 2, "{} bytes", piece.len());
        pieces.push(String::from_utf8(piece.to_vec()).unwrap());
        // Whoever counts meanwhile is not in the way.
        let late = Workload::known(&format!("late{}", pieces.len()), "shop", None, None);
        fill(
            &edges.add(Edge::from(Some(late.into())).names(Direction::Inbound, &Workload::unknown().into())),
        );
        edges.from(0).flatten().for_each(|edge| edge.closed(["UH", "UF", "LR"][pieces.len() % 3]));
    }
    assert!(pieces.len() > 20 && pieces.iter().rev().skip(1).all(|piece| piece.len() >= PIECE));
    let text = pieces.concat();
    assert!(text.ends_with("# EOF\n"));
    assert!(samples(&text).is_superset(&samples(&before)), "what was there is shown");
}

#[test]
fn both_formats_have_the_same_samples() {
    let edges = Edges::default();
    let series = edge(&edges);
    series.opened();
    series.exchanged(OK, &EXTENT);
    let open = text(&edges);
    let older: Vec<u8> = shown(&edges).exposition(Format::Text).flatten().collect();
    let older = String::from_utf8(older).unwrap();
    let without =
        |text: &str| text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    assert_eq!(without(&older), without(&open));
    for (open_head, older_head) in [
        ("# TYPE istio_requests counter\n", "# TYPE istio_requests_total counter\n"),
        ("# HELP istio_tcp_sent_bytes Bytes", "# HELP istio_tcp_sent_bytes_total Bytes"),
        ("# TYPE istio_request_bytes histogram\n", "# TYPE istio_request_bytes histogram\n"),
    ] {
        assert!(open.contains(open_head) && older.contains(older_head), "{open_head}: {older}");
    }
    assert!(open.ends_with("# EOF\n") && !older.contains("# EOF"));
}

#[test]
fn names_cannot_end_their_labels() {
    let edges = Edges::default();
    let workload = Workload::known("a\"b\\c\nd", "shop", None, None);
    edges
        .add(Edge::from(Some(workload.into())).names(Direction::Inbound, &Workload::unknown().into()))
        .opened();
    assert!(text(&edges).contains(r#"source_workload="a\"b\\c\nd","#), "{}", text(&edges));
}

#[test]
fn a_series_is_small() {
    // The settings say so of each edge and each outcome.
    let (edge, outcome) = (size_of::<Series>(), size_of::<Exchanges>() + size_of::<usize>());
    assert!(edge <= 96 && outcome <= 576, "{edge} and {outcome} bytes");
}
