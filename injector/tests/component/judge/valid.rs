//! I1: whether a pod is a valid one, by the rules of Kubernetes that an injection could break, stricter where strictness
//! costs nothing. What is beyond them, a real API server is asked (`admitted`).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Map, Value};

use super::quantity::parse;
use super::{list, name};

/// What the faults of a pod's own resources begin with.
pub(super) const POD_LEVEL: &str = "resources of the pod";

/// What is wrong with it.
pub(crate) fn faults(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    metadata(pod, &mut found);
    let volumes: Vec<&str> = list(pod, "volumes").iter().map(name).collect();
    unique("volume", volumes.iter().copied(), &mut found);
    unique("pull secret", list(pod, "imagePullSecrets").iter().map(name), &mut found);
    found.extend(
        volumes.iter().filter(|name| !is_dns_label(name)).map(|name| format!("volume name {name:?}")),
    );
    let inits = list(pod, "initContainers");
    let all: Vec<&Value> = inits.iter().chain(list(pod, "containers")).collect();
    unique("container", all.iter().map(|container| name(container)), &mut found);
    if list(pod, "containers").is_empty() {
        found.push("no containers".to_owned());
    }
    for (position, container) in all.iter().enumerate() {
        let stays = container["restartPolicy"] == "Always";
        let init = position < inits.len();
        let mut faults = Vec::new();
        self::container(container, &volumes, &mut faults);
        probes(container, &mut faults);
        if init && !stays {
            let held = ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"];
            let held = held.iter().filter(|field| !container[**field].is_null());
            faults.extend(held.map(|field| format!("{field} of an init container that ends")));
        }
        if !container["restartPolicy"].is_null() && (!init || !stays) {
            faults.push(format!("restartPolicy {}", container["restartPolicy"]));
        }
        found.extend(faults.into_iter().map(|fault| format!("container {:?}: {fault}", name(container))));
    }
    pod_resources(pod, &all[inits.len()..], &mut found);
    if let Err(error) = serde_json::from_value::<Pod>(pod.clone()) {
        found.push(format!("no Pod: {error}"));
    }
    found
}

/// What the typed API loses of the patched pod, beyond what it loses of the original: a field that we misspelt.
pub(super) fn lost(original: &Value, patched: &Value) -> Vec<String> {
    let (before, now) = (unknown(original), unknown(patched));
    now.difference(&before).map(|place| format!("unknown to the API: {place}")).collect()
}

fn unknown(pod: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Ok(typed) = serde_json::from_value::<Pod>(pod.clone()) {
        let typed = serde_json::to_value(typed).unwrap_or_default();
        absent("", pod, &typed, &mut found);
    }
    found
}

/// Places of `value` that `typed` has not. Items of lists are named, where they have names, since a patch shifts them.
fn absent(place: &str, value: &Value, typed: &Value, found: &mut BTreeSet<String>) {
    match (value, typed) {
        (Value::Object(value), Value::Object(typed)) => {
            for (key, value) in value.iter().filter(|(_, value)| !value.is_null()) {
                match typed.get(key) {
                    Some(typed) => absent(&format!("{place}/{key}"), value, typed, found),
                    None => drop(found.insert(format!("{place}/{key}"))),
                }
            }
        }
        (Value::Array(value), Value::Array(typed)) => {
            for (index, (value, typed)) in value.iter().zip(typed).enumerate() {
                let named = value["name"].as_str().map_or_else(|| index.to_string(), str::to_owned);
                absent(&format!("{place}/{named}"), value, typed, found);
            }
        }
        _ => {}
    }
}

fn metadata(pod: &Value, found: &mut Vec<String>) {
    for (field, end) in [("name", ""), ("generateName", "x")] {
        let name = pod["metadata"][field].as_str().filter(|name| !name.is_empty());
        if name.is_some_and(|name| !is_dns_subdomain(&format!("{name}{end}"))) {
            found.push(format!("{field} {name:?}"));
        }
    }
    let empty = Map::new();
    let map = |field: &str| pod["metadata"][field].as_object().unwrap_or(&empty);
    for (key, value) in map("labels") {
        let value = value.as_str().unwrap_or_default();
        let legal = value.is_empty() || (value.len() <= 63 && is_name(value));
        if !legal || !is_qualified(key) {
            found.push(format!("label {key:?}: {value:?}"));
        }
    }
    found.extend(
        map("annotations").keys().filter(|key| !is_qualified(key)).map(|key| format!("annotation {key:?}")),
    );
    let size = map("annotations").iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len));
    let size: usize = size.sum();
    if size > 256 * 1024 {
        found.push(format!("{size} bytes of annotations"));
    }
}

fn container(container: &Value, volumes: &[&str], found: &mut Vec<String>) {
    if !is_dns_label(name(container)) {
        found.push("its name".to_owned());
    }
    if container["image"].as_str().is_none_or(|image| image.is_empty() || image.trim() != image) {
        found.push(format!("image {}", container["image"]));
    }
    let items = |field: &str| container[field].as_array().map_or(&[][..], Vec::as_slice);
    unique("port", items("ports").iter().map(name).filter(|name| !name.is_empty()), found);
    for port in items("ports") {
        if port["containerPort"].as_u64().is_none_or(|port| !(1..=65535).contains(&port))
            || !is_port_name(name(port))
        {
            found.push(format!("port {port}"));
        }
    }
    for mount in items("volumeMounts") {
        if !volumes.contains(&name(mount)) || mount["mountPath"].as_str().is_none_or(str::is_empty) {
            found.push(format!("mount {mount}"));
        }
        if mount["subPath"].as_str().is_some_and(|path| path.starts_with('/') || path.contains("..")) {
            found.push(format!("mount {mount}"));
        }
    }
    unique("mount", items("volumeMounts").iter().filter_map(|mount| mount["mountPath"].as_str()), found);
    for variable in items("env") {
        let legal =
            !name(variable).is_empty() && name(variable).bytes().all(|b| (32..127).contains(&b) && b != b'=');
        if !legal || (!variable["value"].is_null() && !variable["valueFrom"].is_null()) {
            found.push(format!("variable {variable}"));
        }
    }
    for field in ["command", "args"] {
        found.extend(
            items(field).iter().filter(|item| !item.is_string()).map(|item| format!("{field} {item}")),
        );
    }
    resources(&container["resources"], found);
}

fn resources(resources: &Value, found: &mut Vec<String>) {
    let empty = Map::new();
    let amounts = |kind: &str| resources[kind].as_object().unwrap_or(&empty);
    for kind in ["requests", "limits"] {
        found.extend(amounts(kind).values().filter_map(|value| parse(value).err()));
    }
    for (resource, request) in amounts("requests") {
        let limit = amounts("limits").get(resource).and_then(|limit| parse(limit).ok());
        if limit.zip(parse(request).ok()).is_some_and(|(limit, request)| request > limit) {
            found.push(format!("request of {resource} above its limit: {resources}"));
        }
    }
}

/// What the containers ask for has to fit into what the pod asks for, where it does.
fn pod_resources(pod: &Value, containers: &[&Value], found: &mut Vec<String>) {
    let own = &pod["spec"]["resources"];
    resources(own, found);
    let stays = list(pod, "initContainers").iter().filter(|container| container["restartPolicy"] == "Always");
    let all: Vec<&Value> = stays.chain(containers.iter().copied()).collect();
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for (resource, request) in all.iter().filter_map(|c| c["resources"]["requests"].as_object()).flatten() {
        *sums.entry(resource).or_default() += parse(request).unwrap_or_default();
    }
    for (resource, request) in own["requests"].as_object().into_iter().flatten() {
        let sum = sums.get(resource.as_str()).copied().unwrap_or_default();
        if parse(request).is_ok_and(|request| sum > request * (1.0 + 1e-9)) {
            found.push(format!("{POD_LEVEL}: the containers request {sum} of {resource}, the pod {request}"));
        }
    }
    for (resource, limit) in own["limits"].as_object().into_iter().flatten() {
        let largest =
            all.iter().filter_map(|container| parse(&container["resources"]["limits"][resource]).ok());
        if parse(limit).is_ok_and(|limit| largest.into_iter().any(|container| container > limit)) {
            found.push(format!("{POD_LEVEL}: a container's limit of {resource} is above the pod's, {limit}"));
        }
    }
}

fn probes(container: &Value, found: &mut Vec<String>) {
    const HANDLERS: [&str; 5] = ["httpGet", "tcpSocket", "grpc", "exec", "sleep"];
    for place in
        ["/livenessProbe", "/readinessProbe", "/startupProbe", "/lifecycle/preStop", "/lifecycle/postStart"]
    {
        let Some(probe) = container.pointer(place).filter(|probe| !probe.is_null()) else { continue };
        let count = HANDLERS.iter().filter(|handler| !probe[**handler].is_null()).count();
        if count != 1 {
            found.push(format!("{place} has {count} handlers"));
        }
        let once = !place.starts_with("/readiness")
            && probe["successThreshold"].as_u64().is_some_and(|count| count > 1);
        if once {
            found.push(format!("{place} wants more than one success"));
        }
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>, found: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    found.extend(names.filter(|name| !seen.insert(*name)).map(|name| format!("{what} {name:?} twice")));
}

fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_dns_part(text)
}

/// Its parts may be longer than a label, for Kubernetes.
fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_part)
}

fn is_dns_part(text: &str) -> bool {
    let inner = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    inner && !text.is_empty() && !text.starts_with('-') && !text.ends_with('-')
}

/// What labels' values and the names of keys consist of.
fn is_name(text: &str) -> bool {
    let ends = [text.bytes().next(), text.bytes().last()];
    ends.iter().all(|end| end.is_some_and(|end| end.is_ascii_alphanumeric()))
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn is_qualified(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefixed = prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_dns_label));
    prefixed && name.len() <= 63 && is_name(name)
}

/// An IANA service name, or none at all.
fn is_port_name(name: &str) -> bool {
    name.is_empty()
        || (name.len() <= 15 && is_dns_label(name) && name.bytes().any(|byte| byte.is_ascii_lowercase()))
}
