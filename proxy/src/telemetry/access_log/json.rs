//! The JSON form of a line.
//!
//! Keys are Istio's, in Istio's JSON format: what is absent is `null`, `response_flags` is `-` when there are none, and
//! `response_code` is 0 without a response. `protocol` is what an HTTP request was read as, so it is null where bytes are
//! relayed as TCP. `original_destination`, `reporter`, `grpc_status` and what begins with `detected` are ours.
//!
//! Written by hand, since a serializer looks for what to escape in each key too, which costs as much as all the rest.

use std::fmt::Display;
use std::net::SocketAddr;

use super::form::{address, decimal, shown, time};
use super::line::{Line, milliseconds};
use super::texts::Field;

/// A key, behind a comma.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":").as_bytes()
    };
}

/// Appends the line and its newline.
pub(super) fn append(line: &Line, to: &mut Vec<u8>) {
    to.extend_from_slice(b"{\"start_time\":\"");
    time(to, line.started);
    to.push(b'"');
    let mut object = Object(to);
    object.text(key!("reporter"), Some(line.direction.reporter()));
    object.address(key!("original_destination"), Some(line.original_dst));
    detected(line, &mut object);
    request(line, &mut object);
    let (code_details, termination_details) = line.details();
    object.number(key!("response_code"), Some(line.code().into()));
    object.text(key!("response_flags"), Some(line.end.flags));
    object.text(key!("response_code_details"), code_details);
    object.number(key!("grpc_status"), line.grpc_status().map(Into::into));
    object.text(key!("connection_termination_details"), termination_details);
    object.text(key!("upstream_transport_failure_reason"), line.end.failure.as_deref());
    object.number(key!("bytes_received"), Some(line.bytes_received));
    object.number(key!("bytes_sent"), Some(line.bytes_sent));
    object.number(key!("duration"), Some(milliseconds(line.duration)));
    object.number(key!("upstream_service_time"), line.upstream_service_time());
    let server = line.way.server;
    object.address(key!("upstream_host"), server.map(|server| server.remote));
    object.plain(key!("upstream_cluster"), line.way.cluster.as_ref());
    object.address(key!("upstream_local_address"), server.map(|server| server.local));
    // Envoy shows the restored address here, not the listener's.
    object.address(key!("downstream_local_address"), Some(line.original_dst));
    object.address(key!("downstream_remote_address"), Some(line.downstream_remote));
    object.text(key!("requested_server_name"), line.server_name());
    object.text(key!("route_name"), None);
    to.extend_from_slice(b"}\n");
}

fn detected(line: &Line, object: &mut Object<'_>) {
    let detected = line.detected.as_ref();
    object.text(key!("detected_protocol"), detected.map(|detected| detected.protocol.name()));
    object.text(key!("detected_by"), detected.map(|detected| detected.reason.name()));
    let hello = detected.and_then(|detected| detected.hello.as_deref());
    // Names of protocols are bytes, and most of them are text.
    let offers = hello.map(|hello| hello.alpn.iter().map(|name| String::from_utf8_lossy(name)).collect());
    object.texts(key!("detected_alpn"), offers);
}

fn request(line: &Line, object: &mut Object<'_>) {
    object.text(key!("method"), line.text(Field::Method));
    object.text(key!("path"), line.text(Field::Path));
    object.text(key!("protocol"), line.protocol());
    object.text(key!("x_forwarded_for"), line.text(Field::ForwardedFor));
    object.text(key!("user_agent"), line.text(Field::UserAgent));
    object.text(key!("request_id"), line.text(Field::RequestId));
    object.text(key!("authority"), line.text(Field::Authority));
}

/// Takes keys and their values.
struct Object<'a>(&'a mut Vec<u8>);

impl Object<'_> {
    fn value<T>(&mut self, key: &[u8], value: Option<T>, append: impl FnOnce(&mut Vec<u8>, T)) {
        self.0.extend_from_slice(key);
        match value {
            Some(value) => append(self.0, value),
            None => self.0.extend_from_slice(b"null"),
        }
    }

    fn number(&mut self, key: &[u8], value: Option<u64>) {
        self.value(key, value, decimal);
    }

    fn text(&mut self, key: &[u8], value: Option<&str>) {
        self.value(key, value, quoted);
    }

    fn texts(&mut self, key: &[u8], value: Option<Vec<impl AsRef<str>>>) {
        self.value(key, value, |to, texts| {
            to.push(b'[');
            for (n, text) in texts.iter().enumerate() {
                to.extend((n > 0).then_some(b','));
                quoted(to, text.as_ref());
            }
            to.push(b']');
        });
    }

    fn address(&mut self, key: &[u8], value: Option<SocketAddr>) {
        self.value(key, value, |to, value| {
            to.push(b'"');
            address(to, value);
            to.push(b'"');
        });
    }

    /// What has nothing to escape.
    fn plain(&mut self, key: &[u8], value: Option<impl Display>) {
        self.value(key, value, |to, value| {
            to.push(b'"');
            shown(to, value);
            to.push(b'"');
        });
    }
}

fn quoted(to: &mut Vec<u8>, text: &str) {
    // RFC 8259, section 7. Without a way out of the middle, many bytes are looked at in one step.
    if text.bytes().fold(false, |any, byte| any | (byte < b' ') | (byte == b'"') | (byte == b'\\')) {
        return serde_json::to_writer(to, text).expect("a text always has a JSON form");
    }
    to.push(b'"');
    to.extend_from_slice(text.as_bytes());
    to.push(b'"');
}
