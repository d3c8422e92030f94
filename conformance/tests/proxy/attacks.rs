//! Floods, in both directions and at both faces: each ends, and who sent it is told why, as are metrics.

use std::collections::HashMap;

use conformance::attacks;
use conformance::frames::{ENHANCE_YOUR_CALM, PROTOCOL_ERROR};
use conformance::report::{Line, Report, Verdict};

use crate::origin;
use crate::support::{Direction, PACE, Proxy, assert_clean};

/// How many attacks of clients have at least this reason; of the others h2 sees by itself what they are, or may do so first.
const OF_CLIENTS: [(&str, u64); 9] = [
    ("http2.ping_flood", 2),
    ("http2.settings_flood", 2),
    ("http2.reset_flood", 1),
    ("http2.empty_data_flood", 2),
    ("http2.window_update_flood", 2),
    ("http2.priority_flood", 2),
    ("http2.goaway_flood", 1),
    ("http2.unknown_frame_flood", 1),
    ("http2.broken_stream_flood", 4),
];

/// The same of servers.
const OF_SERVERS: [(&str, u64); 9] = [
    ("http2.ping_flood", 2),
    ("http2.settings_flood", 1),
    ("http2.reset_flood", 1),
    ("http2.empty_data_flood", 1),
    ("http2.window_update_flood", 2),
    ("http2.priority_flood", 1),
    ("http2.goaway_flood", 1),
    ("http2.unknown_frame_flood", 1),
    ("http2.response_head_flood", 1),
];

/// Each is answered by a frame in a segment of its own, and all of them together may be more than the kernel holds for a client that
/// gets no processor; the last one is then lost, since who is left is not waited for.
const ANSWERED_ONE_BY_ONE: &str = "requests that are refused";

/// Those that are known are there, and all were told why.
fn assert_ended(report: &Report) {
    for known in attacks::KNOWN {
        assert!(report.lines.iter().any(|line| line.name == known), "{known} is not in the suite");
    }
    let told =
        [ENHANCE_YOUR_CALM, PROTOCOL_ERROR].map(|code| Verdict::Passed(Some(format!("GOAWAY {code}"))));
    let is_wrong = |line: &&Line| !told.contains(&line.verdict) && line.name != ANSWERED_ONE_BY_ONE;
    let wrong: Vec<_> = report.lines.iter().filter(is_wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn assert_told(refused: &HashMap<String, u64>, expected: &[(&str, u64)]) {
    let is_told = |(reason, times): &&(&str, u64)| refused.get(*reason).is_some_and(|told| told >= times);
    assert!(expected.iter().all(|reason| is_told(&reason)), "{refused:?}");
}

async fn attack_as_clients(direction: Direction) {
    let origin = origin::http2().await;
    let proxy = Proxy::start(direction, &[]);
    let report = attacks::server_face(async || proxy.connect(origin).await, PACE).await;
    assert_clean(direction, &report);
    assert_ended(&report);
    assert_told(&proxy.refused("client"), &OF_CLIENTS);
    proxy.stop().await;
}

#[tokio::test]
async fn by_clients_inbound() {
    attack_as_clients(Direction::Inbound).await;
}

#[tokio::test]
async fn by_clients_outbound() {
    attack_as_clients(Direction::Outbound).await;
}

async fn attack_as_servers(direction: Direction) {
    let proxy = Proxy::start(direction, &[]);
    let report = attacks::client_face(async || proxy.open().await, PACE).await;
    assert_clean(direction, &report);
    assert_ended(&report);
    assert_told(&proxy.refused("server"), &OF_SERVERS);
    proxy.stop().await;
}

#[tokio::test]
async fn by_servers_inbound() {
    attack_as_servers(Direction::Inbound).await;
}

#[tokio::test]
async fn by_servers_outbound() {
    attack_as_servers(Direction::Outbound).await;
}
