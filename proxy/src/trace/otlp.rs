//! Spans as OTLP has them, in protobuf (opentelemetry-proto, `trace/v1/trace.proto`).

use super::context::Decision;
use super::protobuf::{bytes, fixed32, fixed64, message, number};
use super::span::{Kind, Span, Value};

/// `ScopeSpans.spans`.
const SPANS: u64 = 2;

const STATUS_ERROR: u64 = 2;
const SAMPLED: u32 = 1;
/// `SpanFlags`: whether the parent is of another process is known, and it is.
const REMOTE_PARENT: u32 = 0x300;

/// Appends a span, as a field of the message around it.
pub(super) fn append(span: &Span<'_>, to: &mut Vec<u8>) {
    let open = span.open;
    message(to, SPANS, |to| {
        bytes(to, 1, &open.place.trace.bits().to_be_bytes());
        bytes(to, 2, &open.place.span.bits().to_be_bytes());
        if let Some(state) = &open.state {
            bytes(to, 3, state.as_bytes());
        }
        let mut flags = if open.place.decision == Decision::Deny { 0 } else { SAMPLED };
        if let Some(parent) = open.parent {
            bytes(to, 4, &parent.bits().to_be_bytes());
            flags |= REMOTE_PARENT;
        }
        bytes(to, 5, span.name.as_bytes());
        number(
            to,
            6,
            match span.kind {
                Kind::Server => 2,
                Kind::Client => 3,
            },
        );
        fixed64(to, 7, span.began());
        fixed64(to, 8, span.began().saturating_add(span.lasted()));
        for (key, value) in span.attributes {
            message(to, 9, |to| attribute(to, key, *value));
        }
        if span.has_failed {
            message(to, 15, |to| number(to, 3, STATUS_ERROR));
        }
        fixed32(to, 16, flags);
    });
}

/// `KeyValue`.
fn attribute(to: &mut Vec<u8>, key: &str, value: Value<'_>) {
    bytes(to, 1, key.as_bytes());
    message(to, 2, |to| match value {
        Value::Text(text) => bytes(to, 1, text.as_bytes()),
        Value::Number(value) => number(to, 3, value),
    });
}

/// `ExportTraceServiceRequest`, of spans that were [`append`]ed.
pub(super) fn request(resource: &[(String, String)], spans: &[u8]) -> Vec<u8> {
    let mut request = Vec::with_capacity(spans.len() + 512);
    message(&mut request, 1, |to| {
        message(to, 1, |to| {
            for (key, value) in resource {
                message(to, 1, |to| attribute(to, key, Value::Text(value)));
            }
        });
        message(to, 2, |to| {
            message(to, 1, |to| {
                bytes(to, 1, b"remora");
                bytes(to, 2, env!("CARGO_PKG_VERSION").as_bytes());
            });
            to.extend_from_slice(spans);
        });
    });
    request
}
