//! Which of the application's probes and lifecycle handlers the proxy answers for, and the table by which it does.
//!
//! A transparent proxy accepts every connection before it knows whether the application would, so a TCP probe that goes
//! through it always passes. Others are moved to where later TLS between proxies does not stand in the kubelet's way, and,
//! as to lifecycle handlers, since the kubelet takes every status for a success, also one that a proxy gives. A probe by
//! plain HTTP tells the truth through the proxy, and stays.
//!
//! Invariant: a handler either stays as it is, or its original is in the table, whole, with its port as a number.

mod action;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::edit::{Edit, Handler, Place, stands_in};
use super::options::{Mode, Options, PortSelection, Ports, ProbeMode, Traffic};
use super::pod::{Part, Pod, name_of};
use super::reason::quoted;
use action::{Action, Kind};

/// What becomes of a pod's handlers.
#[derive(Debug, Default)]
pub(super) struct Probes {
    pub(super) edits: Vec<Edit>,
    /// The proxy's table, in Istio's format; absent where the proxy answers for nothing.
    pub(super) table: Option<String>,
}

/// All handlers, with the last part of the path by which the proxy knows them.
const HANDLERS: [(Handler, &str); 5] = [
    (Handler::ReadinessProbe, "readyz"),
    (Handler::LivenessProbe, "livez"),
    (Handler::StartupProbe, "startupz"),
    (Handler::PostStart, "poststartz"),
    (Handler::PreStop, "prestopz"),
];

/// Kubernetes', in seconds, and the proxy's. It is not written, since in a file it is not there yet.
const DEFAULT_TIMEOUT: i64 = 1;

/// The kernel takes no variable of more than 128 KiB, and every dollar is doubled on the way.
const TABLE_LENGTH: usize = 60_000;

/// Decides about every handler of the pod.
pub(super) fn plan(pod: Pod<'_>, options: &Options, warnings: &mut Vec<String>) -> Probes {
    let mut plan = Plan { options, warnings, edits: Vec::new(), table: BTreeMap::new(), length: 0 };
    for list in Part::CONTAINERS {
        let own = |container: &&Value| !is_ours(container) && is_named_so(pod, container);
        for container in pod.list(list).iter().filter(own) {
            for (handler, end) in HANDLERS {
                if let Some(value) = container.pointer(handler.pointer()) {
                    plan.handler(Found { list, container, handler, end, value });
                }
            }
        }
    }
    // Text, numbers and what the pod itself said in JSON always serialize.
    let table = (!plan.table.is_empty()).then(|| serde_json::to_string(&plan.table).unwrap_or_default());
    Probes { edits: plan.edits, table }
}

fn is_ours(container: &Value) -> bool {
    [api::pod::INIT_CONTAINER, api::pod::PROXY_CONTAINER].contains(&name_of(container))
}

/// Whether a container is the one of its name. Of two the API server takes none, and an edit could meet the wrong one.
fn is_named_so(pod: Pod<'_>, container: &Value) -> bool {
    pod.place_of(name_of(container)).is_some_and(|(_, _, found)| std::ptr::eq(found, container))
}

struct Plan<'a> {
    options: &'a Options,
    warnings: &'a mut Vec<String>,
    edits: Vec<Edit>,
    table: BTreeMap<String, Value>,
    length: usize,
}

/// One handler in its place.
struct Found<'a> {
    list: Part,
    container: &'a Value,
    handler: Handler,
    end: &'static str,
    value: &'a Value,
}

/// What is done with a handler.
#[derive(Debug, Eq, PartialEq)]
enum Course {
    Stay,
    /// It stays, and its author should know what that means.
    Warn(String),
    Rewrite,
}

impl Plan<'_> {
    fn handler(&mut self, found: Found<'_>) {
        if *self.options.probes == ProbeMode::Passthrough && !is_probe(found.handler) {
            return;
        }
        let course = match Action::of(found.value, found.container) {
            None => return,
            Some(_) if stands_in(found.value) => Err(
                "asks a proxy already, and of whom that would ask this pod does not tell; restore the original"
                    .to_owned(),
            ),
            Some(action) => action.map(|action| (self.course(&found, &action), action)),
        };
        match course {
            Ok((Course::Stay, _)) => {}
            Ok((Course::Warn(why), _)) | Err(why) => self.warn(&found, &why),
            Ok((Course::Rewrite, action)) => self.rewrite(&found, action),
        }
    }

    fn course(&self, found: &Found<'_>, action: &Action) -> Course {
        let captured = is_captured(&self.options.traffic, action.port);
        let native = *self.options.mode == Mode::Native;
        let lies = captured && action.host.is_none() && action.kind == Kind::Tcp && is_probe(found.handler);
        let stay = |why: &str| if lies { Course::Warn(why.to_owned()) } else { Course::Stay };
        if *self.options.probes == ProbeMode::Passthrough {
            return stay("connects to the proxy, which always accepts, so it always passes");
        }
        // The proxy starts after all init containers there, and one that waits for its probe would wait for ever.
        if !native && found.list == Part::InitContainers {
            return stay(
                "connects to the proxy once that runs, which always accepts; it cannot be moved, since in the legacy \
                 form the proxy starts after the init containers",
            );
        }
        if found.handler == Handler::PostStart && !native && !*self.options.hold {
            return Course::Warn(
                "runs when the proxy may not run yet, and fails then; let the application wait for the proxy, or use \
                 the native form"
                    .to_owned(),
            );
        }
        match action.host.as_deref() {
            // The kubelet asks another machine, or its own: nothing of that is in the pod.
            Some(host) if !is_loopback(host) => return Course::Stay,
            Some(_) if *self.options.probes == ProbeMode::Auto => return Course::Stay,
            Some(_) | None => {}
        }
        let plain_probe = action.kind == Kind::Http && is_probe(found.handler);
        // A connection is carried to its end, and the proxy with it; what it asks itself is not.
        let legacy_handler = !native && !is_probe(found.handler) && action.kind != Kind::Tcp;
        match *self.options.probes {
            ProbeMode::Auto if !captured || plain_probe || legacy_handler => Course::Stay,
            ProbeMode::Auto | ProbeMode::Rewrite | ProbeMode::Passthrough => Course::Rewrite,
        }
    }

    fn rewrite(&mut self, found: &Found<'_>, action: Action) {
        let name = name_of(found.container);
        let family = if is_probe(found.handler) {
            api::control::APP_HEALTH_PATH
        } else {
            api::control::APP_LIFECYCLE_PATH
        };
        let path = format!("{family}/{name}/{}", found.end);
        // The API server refuses it.
        if !is_label(name) {
            return;
        }
        let mut entry = action.entry;
        if let Some(seconds) = found.value.get("timeoutSeconds").and_then(Value::as_i64)
            && seconds > DEFAULT_TIMEOUT
            && let Some(entry) = entry.as_object_mut()
        {
            entry.insert("timeoutSeconds".to_owned(), seconds.into());
        }
        let length = path.len() + entry.to_string().len();
        if self.length + length > TABLE_LENGTH {
            self.warn(
                found,
                "does not fit into the proxy's table and stays as it is; it may not tell the truth",
            );
            return;
        }
        self.length += length;
        self.edits.push(Edit {
            place: Place::Handler { container: name.to_owned(), handler: found.handler },
            was: Some(found.value.clone()),
            now: Some(instead(found.value, &path)),
        });
        self.table.insert(path, entry);
    }

    fn warn(&mut self, found: &Found<'_>, why: &str) {
        let (handler, name) = (found.handler.name(), quoted(name_of(found.container)));
        self.warnings.push(format!("{handler} of container {name} {why}"));
    }
}

/// The same handler, but that the proxy is asked.
fn instead(handler: &Value, path: &str) -> Value {
    let mut fields = handler.as_object().cloned().unwrap_or_default();
    fields.retain(|field, _| Kind::of_field(field).is_none());
    let request = json!({"path": path, "port": api::ports::METRICS, "scheme": "HTTP"});
    fields.insert(Kind::HTTP_GET.to_owned(), request);
    Value::Object(fields)
}

/// A probe, not a lifecycle handler.
fn is_probe(handler: Handler) -> bool {
    match handler {
        Handler::ReadinessProbe | Handler::LivenessProbe | Handler::StartupProbe => true,
        Handler::PostStart | Handler::PreStop => false,
    }
}

/// Whether a connection to this port of the pod may reach the proxy; the kubelet's place in the network is not known.
fn is_captured(traffic: &Traffic, port: u16) -> bool {
    let included = traffic.include_inbound_ports.as_ref().and_then(PortSelection::ports);
    let contain = |ports: &Ports| ports.contain(port);
    let excluded = traffic.exclude_inbound_ports.as_ref().is_some_and(contain);
    let left_alone = api::ports::INBOUND_LEFT_ALONE.contains(&port);
    traffic.is_redirected() && included.is_none_or(contain) && !excluded && !left_alone
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A name that a container can have (RFC 1123).
fn is_label(name: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(part)
}
