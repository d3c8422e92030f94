//! What the proxies say of the traffic, held against the calls that were made: every connection, or request of HTTP, is logged and counted by
//! the proxies that should have carried it, with its original destination, and by no other.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tests::netns::Switch;
use tests::peer;
use tests::pod::PATIENCE;

use crate::calls::{Call, Party};

/// Who reports: the client's proxy or the server's.
const SOURCE: &str = "source";
const DESTINATION: &str = "destination";

/// The fields of an access-log line that are checked.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Entry {
    pub(crate) reporter: String,
    pub(crate) original_destination: SocketAddr,
    pub(crate) downstream_remote_address: SocketAddr,
    pub(crate) upstream_local_address: Option<SocketAddr>,
    pub(crate) response_flags: String,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    /// Of a request; a connection that speaks no HTTP has none.
    pub(crate) protocol: Option<String>,
}

/// Who logged a call.
pub(crate) struct Trace {
    pub(crate) source: Option<Entry>,
    pub(crate) destination: Option<Entry>,
}

/// What one proxy counted in one direction.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Counters {
    /// That speak no HTTP, begun and ended.
    pub(crate) connections: u64,
    pub(crate) ended: u64,
    /// Of HTTP.
    pub(crate) requests: u64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// What the proxy of one pod says of one direction.
pub(crate) struct Account {
    pub(crate) pod: &'static str,
    pub(crate) reporter: &'static str,
    pub(crate) counters: Counters,
    pub(crate) calls: u64,
    pub(crate) probes: u64,
}

/// Follows a call through the logs: the client's address of each leg is the caller's address of the next.
pub(crate) fn trace(call: &Call, from: &Party<'_>, to: &Party<'_>) -> Result<Trace> {
    let source = from.meshed.then(|| logged(from, SOURCE, call.local, call.target)).transpose()?;
    let caller = match &source {
        Some(entry) => {
            entry.upstream_local_address.context("the client's proxy logged no upstream connection")?
        }
        None => call.local,
    };
    let destination = to.meshed.then(|| logged(to, DESTINATION, caller, call.target)).transpose()?;
    Ok(Trace { source, destination })
}

/// Waits for the line of a connection; it is written when the connection has ended.
fn logged(party: &Party<'_>, reporter: &str, caller: SocketAddr, target: SocketAddr) -> Result<Entry> {
    let what = format!("an access-log line of the connection from {caller} to {target}, reporter {reporter}");
    let proxy = party.pod.container(api::pod::PROXY_CONTAINER)?;
    let entry = proxy.wait_for(&what, PATIENCE, |progress| {
        entries(&progress.stdout)
            .into_iter()
            .find(|entry| entry.reporter == reporter && entry.downstream_remote_address == caller)
    })?;
    let name = party.name;
    ensure!(entry.original_destination == target, "{name}: original destination is not {target}: {entry:?}");
    ensure!(entry.response_flags == "-", "{name}: the connection did not end in good order: {entry:?}");
    Ok(entry)
}

/// Complete lines of the access log.
fn entries(stdout: &str) -> Vec<Entry> {
    let complete = stdout.rsplit_once('\n').map_or("", |(complete, _)| complete);
    complete.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Both directions of a meshed pod: counters and log must tell the same, and nothing but the calls and the kubelet's probes
/// of the application.
pub(crate) fn accounts(party: &Party<'_>, calls: &[Call]) -> Result<Vec<Account>> {
    let outbound = calls.iter().filter(|call| call.from == party.name).count();
    let inbound = calls.iter().filter(|call| call.to == party.name).count();
    [(SOURCE, outbound), (DESTINATION, inbound)]
        .into_iter()
        .map(|(reporter, calls)| {
            account(party, reporter, calls as u64).with_context(|| format!("pod {}", party.name))
        })
        .collect()
}

fn account(party: &Party<'_>, reporter: &'static str, calls: u64) -> Result<Account> {
    let counters = counters(party, reporter)?;
    let proxy = party.pod.container(api::pod::PROXY_CONTAINER)?;
    let counted = counters.connections + counters.requests;
    let what = format!("{counted} access-log lines, reporter {reporter}, as were counted");
    let lines = proxy.wait_for(&what, PATIENCE, |progress| {
        let mut lines = entries(&progress.stdout);
        lines.retain(|entry| entry.reporter == reporter);
        (lines.len() as u64 >= counted).then_some(lines)
    })?;
    let (v4, v6) = Switch::ADDRESSES;
    let from_node = |entry: &&Entry| [v4.into(), v6.into()].contains(&entry.downstream_remote_address.ip());
    let probes = lines.iter().filter(from_node).count() as u64;
    let total = |field: fn(&Entry) -> u64| lines.iter().map(field).sum::<u64>();
    let requests = lines.iter().filter(|entry| entry.protocol.is_some()).count() as u64;
    let connections = lines.len() as u64 - requests;
    let told = Counters {
        connections,
        ended: connections,
        requests,
        received: total(|entry| entry.bytes_received),
        sent: total(|entry| entry.bytes_sent),
    };
    ensure!(told == counters, "reporter {reporter}: counters and log differ: {counters:?}, {told:?}");
    if lines.len() as u64 != calls + probes {
        bail!(
            "reporter {reporter}: {calls} calls and {probes} probes, but {} lines: {lines:#?}",
            lines.len()
        );
    }
    Ok(Account { pod: party.name, reporter, counters, calls, probes })
}

fn counters(party: &Party<'_>, reporter: &str) -> Result<Counters> {
    let target = SocketAddr::new(party.node.v4.into(), api::ports::METRICS);
    let (status, text) = party.node.netns.run(|| peer::http_get(target, "/metrics", PATIENCE))??;
    ensure!(status == 200, "GET /metrics at {target}: status {status}");
    let sum = |name: &str| sum(&text, name, reporter);
    Ok(Counters {
        connections: sum("istio_tcp_connections_opened_total")?,
        ended: sum("istio_tcp_connections_closed_total")?,
        requests: sum("istio_requests_total")?,
        received: sum("istio_tcp_received_bytes_total")? + sum("istio_request_bytes_sum")?,
        sent: sum("istio_tcp_sent_bytes_total")? + sum("istio_response_bytes_sum")?,
    })
}

/// The sum of a counter's series of one reporter, in Prometheus' text format.
fn sum(text: &str, name: &str, reporter: &str) -> Result<u64> {
    let label = format!("reporter=\"{reporter}\"");
    let series = text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(&label));
    series
        .map(|line| {
            // A histogram's sum is written as a fraction, which it never has here.
            let value = line.rsplit(' ').next().unwrap_or_default().trim_end_matches(".0");
            value.parse::<u64>().with_context(|| format!("metric {line}"))
        })
        .sum()
}
