//! An exchange as a span: OpenTelemetry's semantic conventions of HTTP, and the names that Istio's proxies have for the rest.

use std::time::SystemTime;

use super::grpc;
use crate::direction::Direction;
use crate::telemetry::access_log::{Field, Texts};
use crate::telemetry::connections::{Connection, Way};
use crate::telemetry::names::Names;
use crate::telemetry::series::{Extent, NO_FLAGS, Outcome};
use crate::telemetry::workload::UNKNOWN;
use crate::trace::{Kind, Open, Span, Value};

/// What is known of an exchange in one of its accounts.
pub(super) struct Recorded<'a> {
    pub(super) open: &'a Open,
    pub(super) started: SystemTime,
    pub(super) told: Told<'a>,
    pub(super) connection: &'a Connection,
    pub(super) way: &'a Way,
    pub(super) names: &'a Names,
}

/// What all accounts were told.
pub(super) struct Told<'a> {
    pub(super) protocol: &'static str,
    pub(super) texts: &'a Texts,
    /// How often the request was passed on.
    pub(super) attempts: u32,
    pub(super) outcome: Outcome,
    pub(super) grpc_status: Option<u32>,
    pub(super) extent: &'a Extent,
}

type Attribute<'a> = (&'static str, Value<'a>);

/// Methods that spans are named by (OpenTelemetry's default list); others are any text that a client likes.
const METHODS: [&str; 10] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"];

impl Recorded<'_> {
    /// Writes it to the exporter's queue.
    pub(super) fn record(&self) {
        let kind = match self.connection.direction {
            Direction::Inbound => Kind::Server,
            Direction::Outbound => Kind::Client,
        };
        let cluster = self.way.cluster.as_ref().map(ToString::to_string);
        let code = self.told.outcome.code.to_string();
        let url = self.url(kind);
        let mut attributes = Vec::with_capacity(32);
        self.http(kind, &mut attributes);
        if let Some(url) = &url {
            attributes.push(("url.full", Value::Text(url)));
        }
        if self.has_failed(kind) {
            let is_code = self.told.outcome.code > 0;
            attributes
                .push(("error.type", Value::Text(if is_code { &code } else { self.told.outcome.flags })));
        }
        if let Some(cluster) = &cluster {
            attributes.push(("upstream_cluster", Value::Text(cluster)));
        }
        self.istio(&mut attributes);
        let peer = match kind {
            Kind::Server => Some(self.connection.client.remote),
            Kind::Client => self.way.server.map(|server| server.remote),
        };
        let address = peer.map(|peer| peer.ip().to_string());
        if let Some((peer, address)) = peer.zip(address.as_deref()) {
            attributes.push(("network.peer.address", Value::Text(address)));
            attributes.push(("network.peer.port", Value::Number(peer.port().into())));
        }
        let span = Span {
            open: self.open,
            kind,
            name: self.method().unwrap_or("HTTP"),
            started: self.started,
            duration: self.told.extent.duration,
            peer,
            attributes: &attributes,
            has_failed: self.has_failed(kind),
        };
        span.record();
    }

    fn text(&self, field: Field) -> Option<&str> {
        self.told.texts.get(field)
    }

    /// If it is one of those that are known.
    fn method(&self) -> Option<&str> {
        self.text(Field::Method).filter(|method| METHODS.contains(method))
    }

    /// A client sees 4xx as its failure, a server does not.
    fn has_failed(&self, kind: Kind) -> bool {
        let first = match kind {
            Kind::Server => 500,
            Kind::Client => 400,
        };
        self.told.outcome.code >= first
            || self.told.outcome.code == 0
            || self.told.outcome.flags != NO_FLAGS
            || self.told.grpc_status.is_some_and(|status| grpc::is_failure(status, kind))
    }

    /// Of a client's span, as the conventions ask for it.
    fn url(&self, kind: Kind) -> Option<String> {
        let path = self.text(Field::Path).filter(|_| kind == Kind::Client)?;
        let authority = self.text(Field::Authority)?;
        Some(if path.starts_with('/') { format!("http://{authority}{path}") } else { path.to_owned() })
    }

    fn http<'a>(&'a self, kind: Kind, to: &mut Vec<Attribute<'a>>) {
        let mut text = |key, value: Option<&'a str>| to.extend(value.map(|value| (key, Value::Text(value))));
        text("http.request.method", self.method().or(Some("_OTHER")));
        if self.method().is_none() {
            text("http.request.method_original", self.text(Field::Method));
        }
        if kind == Kind::Server {
            let target = self.text(Field::Path).map(|path| path.split_once('?').unwrap_or((path, "")));
            text("url.path", target.map(|(path, _)| path));
            text("url.query", target.map(|(_, query)| query).filter(|query| !query.is_empty()));
            text("url.scheme", Some("http"));
        }
        let (name, version) = self.told.protocol.split_once('/').unwrap_or_default();
        text("network.protocol.version", Some(version).filter(|_| name == "HTTP"));
        text("user_agent.original", self.text(Field::UserAgent));
        let authority = self.text(Field::Authority).map(host_and_port);
        text("server.address", authority.map(|(host, _)| host));
        if let Some(port) = authority.and_then(|(_, port)| port) {
            to.push(("server.port", Value::Number(port.into())));
        }
        if self.told.outcome.code > 0 {
            to.push(("http.response.status_code", Value::Number(self.told.outcome.code.into())));
        }
        if let Some(resent @ 1..) = self.told.attempts.checked_sub(1) {
            to.push(("http.request.resend_count", Value::Number(resent.into())));
        }
        if let Some(status) = self.told.grpc_status {
            to.push(("rpc.grpc.status_code", Value::Number(status.into())));
            to.push(("grpc.status_code", Value::Number(status.into())));
        }
    }

    fn istio<'a>(&'a self, to: &mut Vec<Attribute<'a>>) {
        if let Some(id) = self.text(Field::RequestId) {
            to.push(("guid:x-request-id", Value::Text(id)));
        }
        to.push(("http.status_code", Value::Number(self.told.outcome.code.into())));
        to.push(("response_flags", Value::Text(self.told.outcome.flags)));
        to.push(("request_size", Value::Number(self.told.extent.request_bytes)));
        to.push(("response_size", Value::Number(self.told.extent.response_bytes)));
        let known = self.names.labels().filter(|(_, value)| *value != UNKNOWN);
        to.extend(known.filter_map(|(label, value)| Some((istio_name(label)?, Value::Text(value)))));
    }
}

/// Of a label of Istio's metrics, as the tag of a span.
fn istio_name(label: &str) -> Option<&'static str> {
    Some(match label {
        "source_workload" => "istio.source_workload",
        "source_workload_namespace" => "istio.source_namespace",
        "source_canonical_service" => "istio.source_canonical_service",
        "source_canonical_revision" => "istio.source_canonical_revision",
        "destination_workload" => "istio.destination_workload",
        "destination_workload_namespace" => "istio.destination_namespace",
        "destination_canonical_service" => "istio.destination_canonical_service",
        "destination_canonical_revision" => "istio.destination_canonical_revision",
        "destination_service" => "istio.destination_service",
        _ => return None,
    })
}

fn host_and_port(authority: &str) -> (&str, Option<u16>) {
    let split = authority.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    // Without a port an IPv6 address ends with its bracket, and after that no colon follows.
    let (host, port) = split.map_or((authority, None), |(host, port)| (host, Some(port)));
    (host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host), port)
}

#[cfg(test)]
mod tests {
    use super::host_and_port;

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for (authority, expected) in [
            ("cart", ("cart", None)),
            ("cart:80", ("cart", Some(80))),
            ("[::1]", ("::1", None)),
            ("[::1]:80", ("::1", Some(80))),
            ("cart:", ("cart:", None)),
        ] {
            assert_eq!(host_and_port(authority), expected);
        }
    }
}
