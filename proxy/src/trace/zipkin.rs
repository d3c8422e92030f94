//! Spans as Zipkin has them, in JSON (its API of version 2).

use std::net::IpAddr;

use serde_json::{Map, Value as Json, json};

use super::context::Decision;
use super::span::{Kind, Span, Value};

/// Appends a span, and a comma behind it.
pub(super) fn append(service: &str, span: &Span<'_>, to: &mut Vec<u8>) {
    let place = &span.open.place;
    // Of 0 Zipkin makes "unknown".
    let microseconds = |nanoseconds: u64| (nanoseconds / 1000).max(1);
    let mut object = json!({
        "traceId": place.trace.to_string(),
        "id": place.span.to_string(),
        "kind": match span.kind {
            Kind::Server => "SERVER",
            Kind::Client => "CLIENT",
        },
        "name": span.name.to_ascii_lowercase(),
        "timestamp": microseconds(span.began()),
        "duration": microseconds(span.lasted()),
        "localEndpoint": { "serviceName": service },
        "tags": tags(span),
    });
    let mut add = |key: &str, value: Json| {
        if let Some(object) = object.as_object_mut() {
            object.insert(key.to_owned(), value);
        }
    };
    if let Some(parent) = span.open.parent {
        add("parentId", parent.to_string().into());
    }
    if place.decision == Decision::Debug {
        add("debug", true.into());
    }
    if let Some(peer) = span.peer {
        let family = match peer.ip() {
            IpAddr::V4(_) => "ipv4",
            IpAddr::V6(_) => "ipv6",
        };
        add("remoteEndpoint", json!({ family: peer.ip().to_string(), "port": peer.port() }));
    }
    to.extend_from_slice(object.to_string().as_bytes());
    to.push(b',');
}

/// All values are text. A failure is told by the tag `error`.
fn tags(span: &Span<'_>) -> Map<String, Json> {
    let text = |value: &Value<'_>| match value {
        Value::Text(text) => Json::from(*text),
        Value::Number(number) => Json::from(number.to_string()),
    };
    let failure = span.has_failed.then(|| ("error".to_owned(), Json::from("true")));
    span.attributes.iter().map(|(key, value)| ((*key).to_owned(), text(value))).chain(failure).collect()
}

/// The list of spans that were [`append`]ed.
pub(super) fn request(spans: &[u8]) -> Vec<u8> {
    let spans = spans.strip_suffix(b",").unwrap_or(spans);
    [b"[", spans, b"]"].concat()
}
