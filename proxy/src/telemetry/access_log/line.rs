//! One line of the access log: what is recorded, and its JSON form.
//!
//! Keys are Istio's, in Istio's JSON format: what is absent is `null`, `response_flags` is `-` when there are none, and
//! `response_code` of a TCP connection is 0. `protocol` is what an HTTP request was read as, so it is null where bytes are relayed as
//! TCP. `original_destination`, `reporter` and what begins with `detected` are ours.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::detect::{ClientHello, Detected};
use crate::direction::Direction;
use crate::telemetry::edge::Cluster;

/// What is recorded of a connection.
pub(in crate::telemetry) struct Line {
    pub(in crate::telemetry) started: SystemTime,
    pub(in crate::telemetry) duration: Duration,
    pub(in crate::telemetry) direction: Direction,
    pub(in crate::telemetry) downstream_remote: SocketAddr,
    pub(in crate::telemetry) original_dst: SocketAddr,
    pub(in crate::telemetry) cluster: Option<Cluster>,
    pub(in crate::telemetry) upstream_local: Option<SocketAddr>,
    pub(in crate::telemetry) upstream_host: Option<SocketAddr>,
    pub(in crate::telemetry) detected: Option<Detected>,
    pub(in crate::telemetry) bytes_received: u64,
    pub(in crate::telemetry) bytes_sent: u64,
    pub(in crate::telemetry) flags: &'static str,
    pub(in crate::telemetry) termination_details: Option<Cow<'static, str>>,
    pub(in crate::telemetry) transport_failure: Option<String>,
}

/// The JSON form. Keys of HTTP are present and null, so that pipelines find the columns that they know.
#[derive(Serialize)]
struct Json<'a> {
    start_time: String,
    reporter: &'static str,
    original_destination: SocketAddr,
    detected_protocol: Option<&'static str>,
    detected_by: Option<&'static str>,
    detected_alpn: Option<Vec<Cow<'a, str>>>,
    method: Option<&'a str>,
    path: Option<&'a str>,
    protocol: Option<&'a str>,
    response_code: u16,
    response_flags: &'a str,
    response_code_details: Option<&'a str>,
    connection_termination_details: Option<&'a str>,
    upstream_transport_failure_reason: Option<&'a str>,
    bytes_received: u64,
    bytes_sent: u64,
    duration: u64,
    upstream_service_time: Option<u64>,
    x_forwarded_for: Option<&'a str>,
    user_agent: Option<&'a str>,
    request_id: Option<&'a str>,
    authority: Option<&'a str>,
    upstream_host: Option<SocketAddr>,
    upstream_cluster: Option<String>,
    upstream_local_address: Option<SocketAddr>,
    downstream_local_address: SocketAddr,
    downstream_remote_address: SocketAddr,
    requested_server_name: Option<&'a str>,
    route_name: Option<&'a str>,
}

impl Line {
    /// Appends the line and its newline.
    pub(super) fn append_to(&self, text: &mut Vec<u8>) {
        serde_json::to_writer(&mut *text, &self.json()).expect("numbers and strings always have a JSON form");
        text.push(b'\n');
    }

    fn json(&self) -> Json<'_> {
        let detected = self.detected.as_ref();
        let hello = detected.and_then(|detected| detected.hello.as_deref());
        Json {
            start_time: humantime::format_rfc3339_millis(self.started).to_string(),
            reporter: self.direction.reporter(),
            original_destination: self.original_dst,
            detected_protocol: detected.map(|detected| detected.protocol.name()),
            detected_by: detected.map(|detected| detected.reason.name()),
            detected_alpn: hello.map(offers),
            method: None,
            path: None,
            protocol: None,
            response_code: 0,
            response_flags: self.flags,
            response_code_details: None,
            connection_termination_details: self.termination_details.as_deref(),
            upstream_transport_failure_reason: self.transport_failure.as_deref(),
            bytes_received: self.bytes_received,
            bytes_sent: self.bytes_sent,
            duration: u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX),
            upstream_service_time: None,
            x_forwarded_for: None,
            user_agent: None,
            request_id: None,
            authority: None,
            upstream_host: self.upstream_host,
            upstream_cluster: self.cluster.as_ref().map(Cluster::to_string),
            upstream_local_address: self.upstream_local,
            // Envoy shows the restored address here, not the listener's.
            downstream_local_address: self.original_dst,
            downstream_remote_address: self.downstream_remote,
            requested_server_name: hello.and_then(|hello| hello.server_name.as_deref()),
            route_name: None,
        }
    }
}

/// Names of protocols are bytes, and most of them are text.
fn offers(hello: &ClientHello) -> Vec<Cow<'_, str>> {
    hello.alpn.iter().map(|name| String::from_utf8_lossy(name)).collect()
}
