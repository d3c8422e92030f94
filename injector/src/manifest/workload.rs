//! Finding the pods in an object: the pod itself, or the template of a workload, or of each item of a list.

use serde_json::{Map, Value, json};

use super::Note;
use crate::inject::{self, Decision, Matched, Request, Settings, Verdict};

/// Kinds whose pods are injected, each with the pointer to the pod in it.
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

/// Injects the pods of one object in place, and says what was decided; nothing where there are none.
pub(super) fn inject(object: &mut Value, namespace: &str, settings: &Settings) -> Vec<Note> {
    if text(object, "kind").ends_with("List") {
        let items = object.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten();
        return items.flat_map(|item| inject(item, namespace, settings)).collect();
    }
    let (version, kind) = (text(object, "apiVersion").to_owned(), text(object, "kind").to_owned());
    let known = KINDS.iter().find(|(a_version, a_kind, _)| (*a_version, *a_kind) == (&*version, &*kind));
    let Some((_, _, path)) = known else { return Vec::new() };
    let metadata = |field: &str| {
        let value = object.pointer("/metadata").and_then(|metadata| metadata.get(field));
        value.and_then(Value::as_str).filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let name = metadata("name").or_else(|| metadata("generateName"));
    let namespace = metadata("namespace").unwrap_or_else(|| namespace.to_owned());
    let workload = name.clone().filter(|_| !path.is_empty());
    let Some(pod) = object.pointer_mut(path) else { return Vec::new() };
    let decision = patched(pod, (&namespace, workload.as_deref()), settings);
    vec![Note {
        object: format!("{kind}/{}", name.unwrap_or_else(|| "?".to_owned())),
        verdict: decision.verdict,
        reasons: decision.reasons,
        warnings: decision.warnings,
    }]
}

fn patched(pod: &mut Value, (namespace, workload): (&str, Option<&str>), settings: &Settings) -> Decision {
    // A template may leave its metadata out; a pod has them.
    if let Some(pod) = pod.as_object_mut() {
        fill(pod);
    }
    let request =
        Request { pod, matched: Matched::Namespace, namespace: namespace.into(), requester: None, workload };
    let mut decision = inject::decide(&request, settings);
    if decision.verdict == Verdict::Inject
        && let Err(reason) = apply(pod, &decision)
    {
        decision.verdict = Verdict::Reject;
        decision.reasons = vec![reason];
    }
    decision
}

fn fill(pod: &mut Map<String, Value>) {
    let metadata = pod.entry("metadata").or_insert_with(|| json!({}));
    if metadata.is_null() {
        *metadata = json!({});
    }
}

/// A patch that does not apply is a shape of JSON that no API server would have sent.
fn apply(pod: &mut Value, decision: &Decision) -> Result<(), inject::Reason> {
    let malformed = |text: String| inject::Reason { code: inject::Code::MalformedPod, text };
    let patch = serde_json::to_value(&decision.operations)
        .and_then(serde_json::from_value::<json_patch::Patch>)
        .map_err(|error| malformed(error.to_string()))?;
    json_patch::patch(pod, &patch).map_err(|error| malformed(error.to_string()))
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}
