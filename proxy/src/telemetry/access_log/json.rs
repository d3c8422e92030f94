//! The JSON form of a line.
//!
//! Keys are Istio's, in Istio's JSON format: what is absent is `null`, `response_flags` is `-` when there are none, and
//! `response_code` is 0 without a response. `protocol` is what an HTTP request was read as, so it is null where bytes are
//! relayed as TCP. `original_destination`, `reporter`, `grpc_status` and what begins with `detected` are ours.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::SocketAddr;

use serde::{Serialize, Serializer};

use super::line::{Line, milliseconds};
use super::texts::Field;
use crate::detect::ClientHello;

#[derive(Serialize)]
struct Json<'a> {
    start_time: Shown<humantime::Rfc3339Timestamp>,
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
    grpc_status: Option<u32>,
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
    upstream_cluster: Option<Shown<&'a crate::telemetry::edge::Cluster>>,
    upstream_local_address: Option<SocketAddr>,
    downstream_local_address: SocketAddr,
    downstream_remote_address: SocketAddr,
    requested_server_name: Option<&'a str>,
    route_name: Option<&'a str>,
}

/// Written where it goes, without a text of its own before.
struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Appends the line and its newline.
pub(super) fn append(line: &Line, to: &mut Vec<u8>) {
    serde_json::to_writer(&mut *to, &json(line)).expect("numbers and strings always have a JSON form");
    to.push(b'\n');
}

fn json(line: &Line) -> Json<'_> {
    let detected = line.detected.as_ref();
    let hello = detected.and_then(|detected| detected.hello.as_deref());
    let (response_code_details, connection_termination_details) = line.details();
    Json {
        start_time: Shown(humantime::format_rfc3339_millis(line.started)),
        reporter: line.direction.reporter(),
        original_destination: line.original_dst,
        detected_protocol: detected.map(|detected| detected.protocol.name()),
        detected_by: detected.map(|detected| detected.reason.name()),
        detected_alpn: hello.map(offers),
        method: line.text(Field::Method),
        path: line.text(Field::Path),
        protocol: line.protocol(),
        response_code: line.code(),
        response_flags: line.end.flags,
        response_code_details,
        grpc_status: line.exchange.as_ref().and_then(|exchange| exchange.grpc_status),
        connection_termination_details,
        upstream_transport_failure_reason: line.end.failure.as_deref(),
        bytes_received: line.bytes_received,
        bytes_sent: line.bytes_sent,
        duration: milliseconds(line.duration),
        upstream_service_time: line.upstream_service_time(),
        x_forwarded_for: line.text(Field::ForwardedFor),
        user_agent: line.text(Field::UserAgent),
        request_id: line.text(Field::RequestId),
        authority: line.text(Field::Authority),
        upstream_host: line.way.server.map(|server| server.remote),
        upstream_cluster: line.way.cluster.as_ref().map(Shown),
        upstream_local_address: line.way.server.map(|server| server.local),
        // Envoy shows the restored address here, not the listener's.
        downstream_local_address: line.original_dst,
        downstream_remote_address: line.downstream_remote,
        requested_server_name: line.server_name(),
        route_name: None,
    }
}

/// Names of protocols are bytes, and most of them are text.
fn offers(hello: &ClientHello) -> Vec<Cow<'_, str>> {
    hello.alpn.iter().map(|name| String::from_utf8_lossy(name)).collect()
}
