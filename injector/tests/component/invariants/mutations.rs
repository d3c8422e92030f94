//! Random changes of a pod. Most leave a pod that users could have written; [`Mutation::Graft`] leaves anything at all.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use crate::corpus::{self, annotation_keys};

/// A pod of the corpus after some changes that users could have made.
pub(crate) fn pod() -> impl Strategy<Value = Value> {
    (select(small()), prop::collection::vec(plausible(), 0..6)).prop_map(mutated)
}

/// A pod of the corpus after some changes that nobody should make.
pub(crate) fn anything() -> impl Strategy<Value = Value> {
    let graft = (any::<Index>(), json()).prop_map(|(at, value)| Mutation::Graft { at, value });
    (select(small()), prop::collection::vec(prop_oneof![1 => plausible(), 2 => graft], 1..6))
        .prop_map(mutated)
}

/// Without the ones that are only large: shrinking them shows nothing.
fn small() -> Vec<&'static Value> {
    corpus::pods().iter().filter(|pod| pod.to_string().len() < 8 * 1024).collect()
}

fn mutated((pod, mutations): (&Value, Vec<Mutation>)) -> Value {
    let mut pod = pod.clone();
    for mutation in mutations {
        mutation.apply(&mut pod);
    }
    pod
}

#[derive(Clone, Debug)]
enum Mutation {
    Annotate(String, String),
    Label(String, String),
    Container {
        list: &'static str,
        container: Value,
    },
    Field {
        container: Index,
        field: &'static str,
        value: Value,
    },
    Volume(String),
    Owner(Value),
    Name(&'static str, String),
    Spec(&'static str, Value),
    /// An optional field is there, and null.
    Null(&'static str),
    /// A field that is newer than all of us.
    Unknown(Index),
    /// Any place gets any value.
    Graft {
        at: Index,
        value: Value,
    },
}

impl Mutation {
    fn apply(self, pod: &mut Value) {
        match self {
            Self::Annotate(key, value) => set(pod, "/metadata", "annotations", &key, value.into()),
            Self::Label(key, value) => set(pod, "/metadata", "labels", &key, value.into()),
            Self::Container { list, container } => push(pod, list, container),
            Self::Field { container, field, value } => {
                let containers = pod.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
                let Some(containers) = containers.filter(|containers| !containers.is_empty()) else { return };
                let at = container.index(containers.len());
                if let Some(container) = containers[at].as_object_mut() {
                    container.insert(field.to_owned(), value);
                }
            }
            Self::Volume(name) => push(pod, "volumes", json!({"name": name, "emptyDir": {}})),
            Self::Owner(owner) => put(pod, "/metadata", "ownerReferences", json!([owner])),
            Self::Name(field, name) => put(pod, "/metadata", field, name.into()),
            Self::Spec(field, value) => put(pod, "/spec", field, value),
            Self::Null(path) => {
                let (parent, field) = path.rsplit_once('/').expect("a path");
                put(pod, parent, field, Value::Null);
            }
            Self::Unknown(at) => {
                let objects: Vec<String> =
                    places(pod).into_iter().filter(|place| known_object(pod, place)).collect();
                if !objects.is_empty() {
                    put(pod, &objects[at.index(objects.len())], "fieldOfTomorrow", json!({"a": [1, null]}));
                }
            }
            Self::Graft { at, value } => {
                let places = places(pod);
                if let Some(found) = pod.pointer_mut(&places[at.index(places.len())]) {
                    *found = value;
                }
            }
        }
    }
}

/// Where a key is a field's name and not the user's own word.
fn known_object(pod: &Value, place: &str) -> bool {
    let free =
        ["labels", "annotations", "nodeSelector", "limits", "requests", "matchLabels", "volumeAttributes"];
    pod.pointer(place).is_some_and(Value::is_object) && !place.split('/').any(|part| free.contains(&part))
}

fn put(pod: &mut Value, parent: &str, field: &str, value: Value) {
    if let Some(parent) = pod.pointer_mut(parent).and_then(Value::as_object_mut) {
        parent.insert(field.to_owned(), value);
    }
}

fn set(pod: &mut Value, parent: &str, field: &str, key: &str, value: Value) {
    let Some(parent) = pod.pointer_mut(parent).and_then(Value::as_object_mut) else { return };
    let map = parent.entry(field).or_insert_with(|| json!({}));
    if map.is_null() {
        *map = json!({});
    }
    if let Some(map) = map.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

fn push(pod: &mut Value, field: &str, item: Value) {
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return };
    match spec.get_mut(field) {
        Some(Value::Array(items)) => items.push(item),
        _ => drop(spec.insert(field.to_owned(), json!([item]))),
    }
}

/// Pointers to every value in it.
fn places(value: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut next = 0;
    while let Some(place) = found.get(next).cloned() {
        next += 1;
        match value.pointer(&place) {
            Some(Value::Object(map)) => found.extend(
                map.keys().map(|key| format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"))),
            ),
            Some(Value::Array(items)) => {
                found.extend((0..items.len()).map(|index| format!("{place}/{index}")))
            }
            _ => {}
        }
    }
    found
}

fn plausible() -> impl Strategy<Value = Mutation> {
    let key = select(annotation_keys()).prop_map(str::to_owned);
    let label = select(vec![
        "app",
        "version",
        "app.kubernetes.io/name",
        "pod-template-hash",
        "service.istio.io/canonical-name",
    ]);
    let nulls = [
        "/metadata/labels",
        "/metadata/annotations",
        "/metadata/ownerReferences",
        "/spec/initContainers",
        "/spec/volumes",
        "/spec/imagePullSecrets",
        "/spec/securityContext",
        "/spec/nodeSelector",
    ];
    prop_oneof![
        3 => (key, annotation_value()).prop_map(|(key, value)| Mutation::Annotate(key, value)),
        1 => (label, "[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?").prop_map(|(key, value)| Mutation::Label(key.to_owned(), value)),
        2 => container(),
        3 => (any::<Index>(), select(vec!["readinessProbe", "livenessProbe", "startupProbe"]), handler())
            .prop_map(|(container, field, value)| Mutation::Field { container, field, value }),
        1 => (any::<Index>(), handler(), handler()).prop_map(|(container, stop, start)| {
            Mutation::Field { container, field: "lifecycle", value: json!({"preStop": stop, "postStart": start}) }
        }),
        1 => (any::<Index>(), resources()).prop_map(|(container, value)| Mutation::Field { container, field: "resources", value }),
        1 => "[a-z]{9}".prop_map(Mutation::Volume),
        1 => owner().prop_map(Mutation::Owner),
        1 => (select(vec!["name", "generateName"]), "[a-z][a-z0-9.-]{0,250}").prop_map(|(field, name)| Mutation::Name(field, name)),
        1 => select(vec![
            ("terminationGracePeriodSeconds", json!(0)),
            ("terminationGracePeriodSeconds", json!(3600)),
            ("automountServiceAccountToken", json!(false)),
            ("restartPolicy", json!("Never")),
            ("shareProcessNamespace", json!(true)),
            ("imagePullSecrets", json!([{"name": "own"}])),
        ]).prop_map(|(field, value)| Mutation::Spec(field, value)),
        1 => select(nulls.to_vec()).prop_map(Mutation::Null),
        1 => any::<Index>().prop_map(Mutation::Unknown),
    ]
}

/// Right and wrong ones of every kind.
pub(crate) fn annotation_value() -> impl Strategy<Value = String> {
    let sensible = [
        "",
        "*",
        "true",
        "false",
        "enabled",
        "80",
        "8080,9090",
        "1-65535",
        "65536",
        "10.0.0.0/8",
        "10.0.0.0/8,fd00::/8",
        "0.0.0.0/0",
        "500m",
        "2",
        "1Gi",
        "-1",
        "1e3",
        "debug",
        "warn",
        "5s",
        "30",
        "30s",
        "0",
        "native",
        "legacy",
        "auto",
        "off",
        "rewrite",
        "eth0",
        "REDIRECT",
        "app",
        "{}",
        "[]",
        "holdApplicationUntilProxyStarts: true",
    ];
    prop_oneof![
        6 => select(sensible.to_vec()).prop_map(str::to_owned),
        1 => "\\PC{0,40}",
        1 => any::<String>(),
    ]
}

fn container() -> impl Strategy<Value = Mutation> {
    let name = "[a-z][a-z0-9]{3,20}";
    let port = prop::option::of((1..65_535_u16, "[a-z]{1,15}"));
    (any::<[bool; 2]>(), name, port, prop::option::of(handler())).prop_map(
        |([init, stays], name, port, probe)| {
            let mut container = json!({"name": name, "image": "example.com/added"});
            if let Some((number, name)) = port {
                container["ports"] = json!([{"containerPort": number, "name": name}]);
            }
            if init && stays {
                container["restartPolicy"] = json!("Always");
            }
            if let Some(probe) = probe.filter(|_| stays || !init) {
                container["livenessProbe"] = probe;
            }
            Mutation::Container { list: if init { "initContainers" } else { "containers" }, container }
        },
    )
}

fn handler() -> impl Strategy<Value = Value> {
    let port = prop_oneof![
        (1..65_535_u16).prop_map(Value::from),
        select(vec!["http", "admin", "grpc", "nowhere"]).prop_map(Value::from),
    ];
    let number = 1..65_535_u16;
    prop_oneof![
        (port.clone(), any::<bool>(), "/[a-z?=&%\"'<{]{0,20}").prop_map(|(port, tls, path)| {
            json!({"httpGet": {"port": port, "path": path, "scheme": if tls { "HTTPS" } else { "HTTP" }}})
        }),
        port.clone().prop_map(|port| json!({"httpGet": {"port": port, "host": "127.0.0.1", "httpHeaders": [{"name": "A", "value": "\"\n"}]}})),
        port.prop_map(|port| json!({"tcpSocket": {"port": port}})),
        number.prop_map(|port| json!({"grpc": {"port": port, "service": "a\"b"}})),
        Just(json!({"exec": {"command": ["true"]}})),
    ]
}

fn resources() -> impl Strategy<Value = Value> {
    let amount = select(vec!["1m", "100m", "1", "2", "0"]);
    let bytes = select(vec!["1Mi", "64Mi", "1Gi", "1000000"]);
    (amount, bytes).prop_map(|(cpu, memory)| {
        let amounts = json!({"cpu": cpu, "memory": memory});
        json!({"requests": amounts, "limits": amounts})
    })
}

fn owner() -> impl Strategy<Value = Value> {
    let kinds = vec![
        ("apps/v1", "ReplicaSet"),
        ("batch/v1", "Job"),
        ("apps/v1", "StatefulSet"),
        ("argoproj.io/v1alpha1", "Rollout"),
        ("v9", "Unknown"),
    ];
    (select(kinds), "[a-z0-9][a-z0-9.-]{0,252}").prop_map(|((version, kind), name)| {
        json!({"apiVersion": version, "kind": kind, "name": name, "uid": "1", "controller": true})
    })
}

/// Any JSON of some size.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(vec!["istio-proxy", "istio-init", "remora-state", "name", "Always"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}
