//! I8: what the kubelet no longer asks the application itself, the proxy asks: every handler that was changed is found in the
//! proxy's table by the path that stands in its place, with named ports resolved and nothing else changed.

use serde_json::{Map, Value};

use super::frame::OURS;
use super::{list, name};

/// The place in a container, and the ends of the paths by which the proxy knows it.
const PLACES: [(&str, &str, &str); 5] = [
    ("/readinessProbe", "app-health", "readyz"),
    ("/livenessProbe", "app-health", "livez"),
    ("/startupProbe", "app-health", "startupz"),
    ("/lifecycle/preStop", "app-lifecycle", "prestopz"),
    ("/lifecycle/postStart", "app-lifecycle", "poststartz"),
];

/// Handlers that were changed and cannot be told any more, and entries of the table that stand for nothing.
pub(crate) fn unrecoverable(original: &Value, patched: &Value) -> Vec<String> {
    let (table, mut found) = match table(patched) {
        Ok(table) => (table, Vec::new()),
        Err(fault) => return vec![fault],
    };
    let mut used = 0;
    for field in ["initContainers", "containers"] {
        let users = list(patched, field).iter().filter(|container| !OURS.contains(&name(container)));
        for (now, before) in users.zip(list(original, field)) {
            for (place, family, end) in PLACES {
                let (Some(new), Some(old)) = (now.pointer(place), before.pointer(place)) else { continue };
                if new == old {
                    continue;
                }
                used += 1;
                let path = format!("/{family}/{}/{end}", name(before));
                let handler = &new["httpGet"];
                if handler["path"] != path || handler["port"] != api::ports::METRICS {
                    found.push(format!("probes: {path}: the kubelet is sent to {handler}"));
                }
                let entry = table.get(&path).unwrap_or(&Value::Null);
                if let Some(fault) = told(entry, old, before) {
                    found.push(format!("probes: {path}: {fault}"));
                }
            }
        }
    }
    if used != table.len() {
        found.push(format!("probes: {used} handlers were changed, and {} are in the table", table.len()));
    }
    found
}

fn table(patched: &Value) -> Result<Map<String, Value>, String> {
    let mut containers = list(patched, "initContainers").iter().chain(list(patched, "containers"));
    let proxy = containers.rfind(|container| name(container) == api::pod::PROXY_CONTAINER);
    let mut variables = proxy.and_then(|proxy| proxy["env"].as_array()).into_iter().flatten();
    let table = variables.rfind(|variable| name(variable) == api::env::APP_PROBERS);
    let Some(table) = table else { return Ok(Map::new()) };
    // As the kubelet hands it on, which takes a doubled dollar for a dollar.
    let text = table["value"].as_str().unwrap_or_default().replace("$$", "$");
    serde_json::from_str(&text).map_err(|error| format!("probes: the table is no JSON object: {error}"))
}

/// What the entry does not tell of the handler.
fn told(entry: &Value, probe: &Value, container: &Value) -> Option<String> {
    for kind in ["httpGet", "tcpSocket", "grpc"] {
        let Some(handler) = probe[kind].as_object() else { continue };
        for (field, value) in handler {
            let expected = if field == "port" { port(value, container) } else { value.clone() };
            // Kubernetes' defaults may be left out, as the table is read by those who know them.
            let default = value.is_null()
                || value == ""
                || value == "HTTP"
                || value.as_array().is_some_and(Vec::is_empty);
            if entry[kind][field] != expected && !(default && entry[kind][field].is_null()) {
                return Some(format!("{kind}.{field} was {expected}, and the table has {entry}"));
            }
        }
        return None;
    }
    Some(format!("a handler of another kind was changed: {probe}"))
}

fn port(value: &Value, container: &Value) -> Value {
    let Some(wanted) = value.as_str() else { return value.clone() };
    let ports = container["ports"].as_array().into_iter().flatten();
    let named = ports.into_iter().find(|port| name(port) == wanted);
    named.map_or_else(
        || wanted.parse::<u16>().map_or(Value::Null, Value::from),
        |port| port["containerPort"].clone(),
    )
}
