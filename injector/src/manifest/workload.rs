//! Finding the pods in an object: the pod itself, or the template of a workload.

use serde_json::{Value, json};

/// Kinds that have pods, each with the pointer to the pod in it.
const KINDS: [(&str, &str, &str); 9] = [
    ("v1", "Pod", ""),
    ("v1", "PodTemplate", "/template"),
    ("v1", "ReplicationController", "/spec/template"),
    ("apps/v1", "Deployment", "/spec/template"),
    ("apps/v1", "StatefulSet", "/spec/template"),
    ("apps/v1", "DaemonSet", "/spec/template"),
    ("apps/v1", "ReplicaSet", "/spec/template"),
    ("batch/v1", "Job", "/spec/template"),
    ("batch/v1", "CronJob", "/spec/jobTemplate/spec/template"),
];

/// An object that has pods.
#[derive(Clone, Debug)]
pub struct Workload<'a> {
    /// Its kind.
    pub kind: &'a str,
    /// Its name, or the beginning of the name that it will get.
    pub name: Option<&'a str>,
    /// The namespace that it names.
    pub namespace: Option<&'a str>,
    /// Its own metadata; a pod's are those of the pod.
    pub metadata: &'a Value,
    /// Its pod, always with metadata.
    pub pod: Value,
}

impl<'a> Workload<'a> {
    /// The pods of an object; nothing where it has none, or is of a kind that is not known.
    pub fn of(object: &'a Value) -> Option<Self> {
        let mut pod = object.pointer(pointer(object)?)?.clone();
        fill(&mut pod);
        let metadata = object.get("metadata").unwrap_or(&Value::Null);
        let field = |name: &str| text(metadata, name).filter(|value| !value.is_empty());
        Some(Self {
            kind: text(object, "kind").unwrap_or_default(),
            name: field("name").or_else(|| field("generateName")),
            namespace: field("namespace"),
            metadata,
            pod,
        })
    }

    /// Whether the pod is the object itself, and not a template.
    pub fn is_pod(&self) -> bool {
        self.kind == "Pod"
    }

    /// The name that its pods' telemetry is shown under; a pod has its own.
    pub fn workload(&self) -> Option<&'a str> {
        self.name.filter(|_| !self.is_pod())
    }

    /// `Kind/name`.
    pub fn title(&self) -> String {
        format!("{}/{}", self.kind, self.name.unwrap_or("?"))
    }
}

/// The place of the pod in an object, to be changed; always with metadata.
pub(super) fn pod_mut(object: &mut Value) -> Option<&mut Value> {
    let pod = object.pointer_mut(pointer(object)?)?;
    fill(pod);
    Some(pod)
}

fn pointer(object: &Value) -> Option<&'static str> {
    let is = |field, wanted| text(object, field) == Some(wanted);
    KINDS.iter().find(|(version, kind, _)| is("apiVersion", version) && is("kind", kind)).map(|known| known.2)
}

/// `Kind/name (apiVersion)` of an object that is none of the known kinds and has pods in it, such as a Rollout of Argo: a map
/// somewhere with a `spec` that has `containers`, as a pod's template has.
pub fn unknown_workload(object: &Value) -> Option<String> {
    let (kind, version) = (text(object, "kind")?, text(object, "apiVersion")?);
    if pointer(object).is_some() || !holds_template(object) {
        return None;
    }
    let name = object.get("metadata").and_then(|metadata| text(metadata, "name")).unwrap_or("?");
    Some(format!("{kind}/{name} ({version})"))
}

/// The value itself is no template: what has containers right under its own `spec` uses the word for something else.
fn holds_template(value: &Value) -> bool {
    let inner: Vec<&Value> = match value {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    inner
        .into_iter()
        .any(|value| value.pointer("/spec/containers").is_some_and(Value::is_array) || holds_template(value))
}

/// A template may leave its metadata out; a pod has them.
fn fill(pod: &mut Value) {
    let Some(pod) = pod.as_object_mut() else { return };
    let metadata = pod.entry("metadata").or_insert_with(|| json!({}));
    if metadata.is_null() {
        *metadata = json!({});
    }
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}
