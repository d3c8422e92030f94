//! What injection does to a pod beside adding to it: the order in which containers start, its Pod Security level, its Quality
//! of Service, its probes; and what it does not do although one may think so.

use serde::Serialize;
use serde_json::Value;

use super::super::pod_security::{self, Level, Violation};
use crate::inject::QosClass;

/// What a pod is like before and after.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Effects {
    /// In the order of their start.
    pub(super) containers: Vec<Container>,
    pub(super) pod_security: PodSecurity,
    pub(super) qos: Qos,
    pub(super) probes: Vec<Probe>,
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Container {
    pub(super) name: String,
    /// `init`, `native sidecar` or `container`.
    pub(super) kind: &'static str,
    pub(super) added: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct PodSecurity {
    pub(super) before: Level,
    pub(super) after: Level,
    /// What the namespace enforces; absent where that is not known or nothing.
    pub(super) enforced: Option<Level>,
    /// What injection adds that a level does not allow.
    pub(super) added: Vec<Violation>,
}

#[derive(Debug, Serialize)]
pub(super) struct Qos {
    pub(super) before: QosClass,
    pub(super) after: QosClass,
}

/// A probe or a lifecycle handler of the user's.
#[derive(Debug, Serialize)]
pub(super) struct Probe {
    pub(super) container: String,
    pub(super) probe: &'static str,
    pub(super) before: String,
    /// Absent where it stays as it is.
    pub(super) after: Option<String>,
}

impl Effects {
    pub(super) fn new(before: &Value, after: &Value, enforced: Option<Level>) -> Self {
        Self {
            containers: containers(before, after),
            pod_security: PodSecurity::new(before, after, enforced),
            qos: Qos { before: QosClass::of(before), after: QosClass::of(after) },
            probes: probes(before, after),
            notes: notes(after),
        }
    }
}

impl PodSecurity {
    fn new(before: &Value, after: &Value, enforced: Option<Level>) -> Self {
        let old = pod_security::violations(before);
        let new = pod_security::violations(after);
        let levels = (pod_security::satisfied(&old), pod_security::satisfied(&new));
        let added = new.into_iter().filter(|violation| !old.contains(violation)).collect();
        Self { before: levels.0, after: levels.1, enforced, added }
    }
}

const LISTS: [&str; 2] = ["initContainers", "containers"];

fn list<'a>(pod: &'a Value, field: &str) -> &'a [Value] {
    let list = pod.get("spec").and_then(|spec| spec.get(field)).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn all(pod: &Value) -> impl Iterator<Item = &Value> {
    LISTS.into_iter().flat_map(|field| list(pod, field))
}

fn containers(before: &Value, after: &Value) -> Vec<Container> {
    let was = |name: &str| all(before).any(|container| text(container, "name") == name);
    let describe = |field: &str, container: &Value| Container {
        name: text(container, "name").to_owned(),
        kind: match (field, text(container, "restartPolicy")) {
            ("initContainers", "Always") => "native sidecar",
            ("initContainers", _) => "init",
            _ => "container",
        },
        added: !was(text(container, "name")),
    };
    LISTS
        .iter()
        .flat_map(|field| list(after, field).iter().map(|container| describe(field, container)))
        .collect()
}

/// Where handlers stand in a container, each with its pointer.
const HANDLERS: [(&str, &str); 5] = [
    ("startupProbe", "/startupProbe"),
    ("readinessProbe", "/readinessProbe"),
    ("livenessProbe", "/livenessProbe"),
    ("postStart", "/lifecycle/postStart"),
    ("preStop", "/lifecycle/preStop"),
];

fn probes(before: &Value, after: &Value) -> Vec<Probe> {
    let mut probes = Vec::new();
    for container in all(before) {
        let name = text(container, "name");
        let now = all(after).find(|other| text(other, "name") == name);
        for (probe, pointer) in HANDLERS {
            let Some(handler) = container.pointer(pointer).filter(|handler| handler.is_object()) else {
                continue;
            };
            let (before, after) = (
                describe(handler),
                now.and_then(|now| now.pointer(pointer)).map(describe).unwrap_or_default(),
            );
            let after = (after != before).then_some(after);
            probes.push(Probe { container: name.to_owned(), probe, before, after });
        }
    }
    probes
}

/// A handler in a few words.
fn describe(handler: &Value) -> String {
    let port = |action: &Value| match action.get("port") {
        Some(Value::String(name)) => name.clone(),
        Some(port) => port.to_string(),
        None => "?".to_owned(),
    };
    if let Some(http) = handler.get("httpGet") {
        let scheme = if text(http, "scheme").eq_ignore_ascii_case("https") { "HTTPS" } else { "HTTP" };
        let path = if text(http, "path").is_empty() { "/" } else { text(http, "path") };
        return format!("{scheme} {}:{}{path}", text(http, "host"), port(http));
    }
    if let Some(tcp) = handler.get("tcpSocket") {
        return format!("TCP {}:{}", text(tcp, "host"), port(tcp));
    }
    if let Some(grpc) = handler.get("grpc") {
        return format!("gRPC :{} {}", port(grpc), text(grpc, "service")).trim_end().to_owned();
    }
    if let Some(exec) = handler.get("exec") {
        let command = exec.get("command").and_then(Value::as_array).into_iter().flatten();
        let command: Vec<&str> = command.filter_map(Value::as_str).collect();
        return format!("exec {}", command.join(" "));
    }
    if let Some(sleep) = handler.get("sleep") {
        return format!("sleep {} s", sleep.get("seconds").unwrap_or(&Value::Null));
    }
    handler.to_string()
}

fn notes(pod: &Value) -> Vec<String> {
    let mut notes = Vec::new();
    for container in all(pod) {
        let ports = container.get("ports").and_then(Value::as_array).into_iter().flatten();
        for port in ports.filter(|port| ["UDP", "SCTP"].contains(&text(port, "protocol"))) {
            notes.push(format!(
                "container {} declares {} port {}: only TCP is captured, so its traffic passes the mesh by",
                text(container, "name"),
                text(port, "protocol"),
                port.get("containerPort").unwrap_or(&Value::Null),
            ));
        }
    }
    notes.extend([
        "UDP, ICMP and everything else that is not TCP is not captured".to_owned(),
        "ephemeral containers (kubectl debug) are not reviewed and share the pod's network: their TCP is captured, unless \
         they run as the proxy's user and group"
            .to_owned(),
        "a resize (pods/resize) is not reviewed: it changes the proxy's resources only where it names that container"
            .to_owned(),
    ]);
    notes
}
