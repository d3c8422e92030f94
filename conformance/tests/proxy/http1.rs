//! HTTP/1: messages that must not be passed on, in both directions and at both faces.

use std::collections::HashMap;
use std::net::SocketAddr;

use conformance::http1::{self, BEHIND_ANOTHER, Message, Port, Rule};
use conformance::report::Verdict;

use crate::origin::Http1;
use crate::support::{Direction, PACE, Proxy, assert_clean, tell};

/// How often the proxy has to say that each rule was broken.
fn counts(broken: impl Iterator<Item = (Rule, u64)>) -> HashMap<String, u64> {
    let mut counts = HashMap::new();
    for (rule, times) in broken {
        *counts.entry(format!("http1.{}", rule.name)).or_default() += times;
    }
    counts
}

/// A Service that says that HTTP is spoken at `address`.
fn declared(address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "apiVersion: remora.dev/v1alpha1\nkind: Service\nname: origin\nnamespace: default\naddresses: [{ip}]\n\
         ports: [{{port: {port}, name: http}}]\nendpoints: [{{addresses: [{ip}]}}]\n"
    )
}

async fn refuse_requests(direction: Direction, port: Port) {
    let origin = Http1::start().await;
    let known = tempfile::tempdir().unwrap();
    if port == Port::Http {
        std::fs::write(known.path().join("origin.yaml"), declared(origin.address)).unwrap();
    }
    let options = ["--discovery-directory", known.path().to_str().unwrap()];
    let proxy = Proxy::start(direction, &options);
    let connect = async || proxy.connect(origin.address).await;
    http1::preflight(&connect, PACE.patience).await.unwrap();
    origin.asked.lock().unwrap().clear();
    let report = http1::server_face(&connect, PACE, port).await;
    assert_clean(direction, &report);
    let requests = http1::requests();
    assert!(report.lines.len() >= 200, "{}", report.summary());
    assert_eq!(report.lines.len(), requests.len());
    let behind_another = Verdict::Passed(Some(BEHIND_ANOTHER.to_owned()));
    let behind_another = report.lines.iter().filter(|line| line.verdict == behind_another).count();
    tell(format_args!("{behind_another} of them {BEHIND_ANOTHER}"));
    assert_eq!(behind_another, if port == Port::Http { 0 } else { 26 });
    // At the beginning of a connection, too, unless its first line is nothing that is known.
    let times = |message: &Message| if port == Port::Http || message.begins_as_http() { 2 } else { 1 };
    let expected = counts(requests.iter().map(|message| (message.rule, times(message))));
    assert_eq!(proxy.refused("client"), expected);
    let asked = std::mem::take(&mut *origin.asked.lock().unwrap());
    assert!(asked.len() == requests.len() && asked.iter().all(|target| target == "/"), "{asked:?}");
    proxy.stop().await;
}

#[tokio::test]
async fn ambiguous_requests_inbound() {
    refuse_requests(Direction::Inbound, Port::Any).await;
}

#[tokio::test]
async fn ambiguous_requests_outbound() {
    refuse_requests(Direction::Outbound, Port::Any).await;
}

#[tokio::test]
async fn ambiguous_requests_inbound_to_a_declared_port() {
    refuse_requests(Direction::Inbound, Port::Http).await;
}

#[tokio::test]
async fn ambiguous_requests_outbound_to_a_declared_port() {
    refuse_requests(Direction::Outbound, Port::Http).await;
}

async fn refuse_responses(direction: Direction) {
    let proxy = Proxy::start(direction, &[]);
    let report = http1::client_face(async || proxy.open().await, PACE).await;
    assert_clean(direction, &report);
    let responses = http1::responses();
    assert!(report.lines.len() >= 100, "{}", report.summary());
    assert_eq!(report.lines.len(), responses.len());
    assert_eq!(proxy.refused("server"), counts(responses.iter().map(|case| (case.message.rule, 1))));
    proxy.stop().await;
}

#[tokio::test]
async fn ambiguous_responses_inbound() {
    refuse_responses(Direction::Inbound).await;
}

#[tokio::test]
async fn ambiguous_responses_outbound() {
    refuse_responses(Direction::Outbound).await;
}

#[test]
fn each_case_has_a_name_of_its_own() {
    let requests: Vec<_> = http1::requests().into_iter().map(|message| message.name).collect();
    let responses: Vec<_> = http1::responses().into_iter().map(|response| response.message.name).collect();
    for mut names in [requests, responses] {
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
