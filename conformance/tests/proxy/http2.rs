//! HTTP/2 by RFC section, in both directions and at both faces.

use conformance::http2;
use conformance::report::Report;

use crate::origin;
use crate::support::{Direction, PACE, Proxy, assert_clean_but_for};

/// So that all of a client's streams can be held.
const FEW_STREAMS: &str = "--http2-max-streams=10";

/// A fragment, and pseudo-header fields where they must not be, which the h2 library takes out before anybody sees them: they are not
/// passed on.
const LEFT_OUT_OF_REQUESTS: [&str; 2] = ["a path with a fragment", "trailers with a pseudo-header field"];
const LEFT_OUT_OF_RESPONSES: [&str; 1] = ["a pseudo-header field of requests"];

async fn be_a_server(direction: Direction) {
    let origin = origin::http2().await;
    let proxy = Proxy::start(direction, &[FEW_STREAMS]);
    let connect = async || proxy.connect(origin).await;
    http2::preflight(&connect, PACE.patience).await.unwrap();
    let report = http2::server_face(&connect, PACE).await;
    assert_clean_but_for(direction, &report, &LEFT_OUT_OF_REQUESTS);
    assert!(report.lines.len() >= 240, "{}", report.summary());
    assert_named_apart(&report);
    proxy.stop().await;
}

#[tokio::test]
async fn clients_inbound() {
    be_a_server(Direction::Inbound).await;
}

#[tokio::test]
async fn clients_outbound() {
    be_a_server(Direction::Outbound).await;
}

async fn be_a_client(direction: Direction) {
    let proxy = Proxy::start(direction, &[]);
    let report = http2::client_face(async || proxy.open().await, PACE).await;
    assert_clean_but_for(direction, &report, &LEFT_OUT_OF_RESPONSES);
    assert!(report.lines.len() >= 147, "{}", report.summary());
    assert_named_apart(&report);
    proxy.stop().await;
}

#[tokio::test]
async fn servers_inbound() {
    be_a_client(Direction::Inbound).await;
}

#[tokio::test]
async fn servers_outbound() {
    be_a_client(Direction::Outbound).await;
}

fn assert_named_apart(report: &Report) {
    let mut names: Vec<_> = report.lines.iter().map(|line| (line.source, &line.name)).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), report.lines.len(), "each has a name of its own");
}
