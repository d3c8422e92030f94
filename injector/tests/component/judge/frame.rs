//! I2: what is the user's stays, but for a declared list. What an injection may change beyond its own containers, volumes,
//! labels and annotations:
//!
//! * the handler of a probe or of a lifecycle hook, which the proxy then answers for (`probes` says that it can be found);
//! * `imagePullSecrets`, at their end;
//! * `terminationGracePeriodSeconds`, upwards;
//! * the annotations of [`MERGED`].

use serde_json::{Map, Value};

use super::{list, name};

/// The containers that are ours.
pub(crate) const OURS: [&str; 2] = [api::pod::INIT_CONTAINER, api::pod::PROXY_CONTAINER];

/// Annotations of the user's that injection may change.
const MERGED: [&str; 6] = [
    "prometheus.io/scrape",
    "prometheus.io/port",
    "prometheus.io/path",
    "prometheus.io/scheme",
    "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes",
    api::annotations::STATUS,
];

/// Families of the labels and annotations that injection may add.
const ADDED: [&str; 8] = [
    "service.istio.io/",
    "security.istio.io/",
    "sidecar.istio.io/",
    "istio.io/",
    "remora.dev/",
    "kubectl.kubernetes.io/default-",
    "prometheus.io/",
    "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes",
];

/// What was changed that is not on the list.
pub(crate) fn changed(original: &Value, patched: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = patched.clone();
    for field in ["initContainers", "containers"] {
        keep(&mut left, field, |item| !OURS.contains(&name(item)));
        restore_handlers(&mut left, list(original, field), field);
    }
    keep(&mut left, "volumes", |item| !api::pod::VOLUMES.contains(&name(item)));
    let added = list(original, "imagePullSecrets").len();
    let only_added = list(&left, "imagePullSecrets").starts_with(list(original, "imagePullSecrets"));
    if let Some(secrets) = left["spec"]["imagePullSecrets"].as_array_mut().filter(|_| only_added) {
        secrets.truncate(added);
    }
    let grace = |pod: &Value| pod["spec"]["terminationGracePeriodSeconds"].as_u64();
    if grace(&left) > Some(grace(original).unwrap_or(30)) {
        left["spec"]["terminationGracePeriodSeconds"] =
            original["spec"]["terminationGracePeriodSeconds"].clone();
    }
    for field in ["labels", "annotations"] {
        found.extend(restore_map(&mut left, original, field));
    }
    let (left, original) = (normal(&left), normal(original));
    if left != original {
        found.push(format!("frame: {}", difference("", &original, &left).unwrap_or_default()));
    }
    found
}

fn keep(pod: &mut Value, field: &str, wanted: impl Fn(&Value) -> bool) {
    if let Some(items) = pod["spec"][field].as_array_mut() {
        items.retain(wanted);
    }
}

/// Puts the user's own handlers back where a probe or hook got another.
fn restore_handlers(pod: &mut Value, originals: &[Value], field: &str) {
    const HANDLERS: [&str; 3] = ["httpGet", "tcpSocket", "grpc"];
    let containers = pod["spec"][field].as_array_mut().into_iter().flatten();
    for (container, original) in containers.zip(originals) {
        for place in [
            "/livenessProbe",
            "/readinessProbe",
            "/startupProbe",
            "/lifecycle/preStop",
            "/lifecycle/postStart",
        ] {
            let (Some(now), Some(before)) = (container.pointer_mut(place), original.pointer(place)) else {
                continue;
            };
            let (Some(now), Some(before)) = (now.as_object_mut(), before.as_object()) else { continue };
            let rewritten =
                |handlers: &Map<String, Value>| HANDLERS.iter().any(|kind| handlers.contains_key(*kind));
            if rewritten(now) && rewritten(before) {
                now.retain(|key, _| !HANDLERS.contains(&key.as_str()));
                let handlers = before.iter().filter(|(key, _)| HANDLERS.contains(&key.as_str()));
                now.extend(handlers.map(|(key, value)| (key.clone(), value.clone())));
            }
        }
    }
}

fn restore_map(pod: &mut Value, original: &Value, field: &str) -> Vec<String> {
    let mut found = Vec::new();
    let empty = Map::new();
    let before = original["metadata"][field].as_object().unwrap_or(&empty);
    let Some(now) = pod["metadata"][field].as_object_mut() else { return found };
    now.retain(|key, _| {
        let added = !before.contains_key(key);
        if added && !ADDED.iter().any(|family| key.starts_with(family)) {
            found.push(format!("frame: {field} has got a key {key:?}"));
        }
        !added
    });
    for key in MERGED.iter().filter(|_| field == "annotations") {
        if let (Some(now), Some(before)) = (now.get_mut(*key), before.get(*key)) {
            *now = before.clone();
        }
    }
    found
}

/// Without the difference between absent, null and empty in the places to which a patch adds.
fn normal(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let places = [
        (
            "spec",
            &["initContainers", "containers", "volumes", "imagePullSecrets", "terminationGracePeriodSeconds"]
                [..],
        ),
        ("metadata", &["labels", "annotations"]),
    ];
    for (part, fields) in places {
        if let Some(part) = pod.get_mut(part).and_then(Value::as_object_mut) {
            part.retain(|key, value| {
                let void = value.is_null()
                    || value.as_array().is_some_and(Vec::is_empty)
                    || value.as_object().is_some_and(Map::is_empty);
                !(void && fields.contains(&key.as_str()))
            });
        }
    }
    pod
}

/// The first place where two values differ.
fn difference(place: &str, before: &Value, now: &Value) -> Option<String> {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            let keys = before.keys().chain(now.keys().filter(|key| !before.contains_key(*key)));
            keys.map(|key| {
                (key, before.get(key).unwrap_or(&Value::Null), now.get(key).unwrap_or(&Value::Null))
            })
            .find_map(|(key, before, now)| difference(&format!("{place}/{key}"), before, now))
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            let mut pairs = before.iter().zip(now).enumerate();
            pairs.find_map(|(index, (before, now))| difference(&format!("{place}/{index}"), before, now))
        }
        (before, now) => (before != now).then(|| format!("{place} was {before} and is {now}")),
    }
}
