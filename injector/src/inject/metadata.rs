//! The workload's name and the labels that telemetry groups by.
//!
//! Kubernetes' own names are used as they are; no name is guessed from its shape. A ReplicaSet's pods are shown under
//! its Deployment, since the ReplicaSet's name ends with the value of a label; the pods of a CronJob's Job under the
//! Job, whose name alone does not prove where it came from.

use std::collections::BTreeMap;

use api::labels;
use serde_json::Value;

use super::facts::Facts;
use super::pod::{Part, Pod, name_of};

/// Names under which telemetry shows the pod.
pub(super) struct Names {
    pub(super) workload: String,
    pub(super) canonical_name: String,
    pub(super) canonical_revision: String,
}

const LABEL_VALUE_LENGTH: usize = 63;

/// What a revision is called where nobody said; Istio's word.
const NO_REVISION: &str = "latest";

/// What a workload is called where nothing has a name.
const NO_NAME: &str = "unknown";

impl Names {
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        let pod = facts.pod;
        let workload = facts.workload.map_or_else(|| workload(pod), str::to_owned);
        let first =
            |keys: [&str; 3]| keys.into_iter().find_map(|key| facts.label(key).filter(|v| !v.is_empty()));
        let name = first([labels::CANONICAL_NAME, labels::APP_NAME, labels::APP]);
        let revision = first([labels::CANONICAL_REVISION, labels::APP_VERSION, labels::VERSION]);
        Self {
            canonical_name: name.map_or_else(|| label_value(&workload), str::to_owned),
            canonical_revision: revision.unwrap_or(NO_REVISION).to_owned(),
            workload,
        }
    }

    /// The labels that the pod has not yet.
    pub(super) fn labels(&self, pod: Pod<'_>) -> BTreeMap<String, String> {
        missing(
            [
                (labels::CANONICAL_NAME, &self.canonical_name),
                (labels::CANONICAL_REVISION, &self.canonical_revision),
            ],
            |key| has(pod, Part::Labels, key),
        )
    }
}

/// Annotations that make `kubectl logs` and `kubectl exec` choose the application; those that the pod has not yet.
pub(super) fn annotations(pod: Pod<'_>) -> BTreeMap<String, String> {
    let application =
        pod.spec_list("containers").iter().map(name_of).find(|name| *name != api::pod::PROXY_CONTAINER);
    let Some(application) = application.map(str::to_owned) else { return BTreeMap::new() };
    missing(
        [
            (api::annotations::DEFAULT_CONTAINER, &application),
            (api::annotations::DEFAULT_LOGS_CONTAINER, &application),
        ],
        |key| has(pod, Part::Annotations, key),
    )
}

/// A null counts: Kubernetes makes an empty text of it.
fn has(pod: Pod<'_>, part: Part, key: &str) -> bool {
    pod.map(part).is_some_and(|entries| entries.contains_key(key))
}

fn missing(wanted: [(&str, &String); 2], has: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let missing = wanted.into_iter().filter(|(key, _)| !has(key));
    missing.map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

fn workload(pod: Pod<'_>) -> String {
    let owners = pod.metadata_list("ownerReferences");
    let controls = |owner: &&Value| owner.get("controller").and_then(Value::as_bool) == Some(true);
    if let Some(owner) = owners.iter().find(controls).or(owners.first()) {
        return owned_by(pod, owner).to_owned();
    }
    let generated = || pod.metadata_text("generateName").map(|prefix| prefix.trim_end_matches('-'));
    pod.metadata_text("name").or_else(generated).unwrap_or(NO_NAME).to_owned()
}

fn owned_by<'a>(pod: Pod<'a>, owner: &'a Value) -> &'a str {
    let name = name_of(owner);
    if owner.get("kind").and_then(Value::as_str) != Some("ReplicaSet") {
        return name;
    }
    let deployment = pod
        .label(labels::POD_TEMPLATE_HASH)
        .and_then(|hash| name.strip_suffix(hash))
        .and_then(|rest| rest.strip_suffix('-'));
    deployment.filter(|deployment| !deployment.is_empty()).unwrap_or(name)
}

/// The longest beginning of a name that is a label's value: at most 63 characters, and letters or digits at both ends.
/// Kubernetes does not look at the names of owners, and some kinds have names with other characters, such as a colon.
fn label_value(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let cut: String =
        name.chars().map(|c| if allowed(c) { c } else { '-' }).take(LABEL_VALUE_LENGTH).collect();
    let value = cut.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if value.is_empty() { NO_NAME.to_owned() } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Pod, label_value, workload};

    #[test]
    fn a_replica_sets_pods_are_shown_under_its_deployment() {
        let pod = json!({"metadata": {
            "labels": {"pod-template-hash": "6b7f9"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-6b7f9", "controller": true}],
        }, "spec": {}});
        assert_eq!(workload(Pod::new(&pod).unwrap()), "web");
    }

    #[test]
    fn other_owners_keep_their_names() {
        for (kind, name) in [
            ("ReplicaSet", "bare-rs"),
            ("Job", "nightly-28912345"),
            ("StatefulSet", "db"),
            ("Rollout", "web-6b7f9"),
        ] {
            let pod = json!({"metadata": {
                "labels": {"pod-template-hash": "6b7f9"},
                "ownerReferences": [{"kind": "Node", "name": "other"}, {"kind": kind, "name": name, "controller": true}],
            }, "spec": {}});
            assert_eq!(workload(Pod::new(&pod).unwrap()), name);
        }
    }

    #[test]
    fn pods_without_owner_are_their_own_workload() {
        for (metadata, name) in [
            (json!({"name": "solo", "generateName": "x-"}), "solo"),
            (json!({"name": "", "generateName": "batch-"}), "batch"),
            (json!({}), "unknown"),
        ] {
            let pod = json!({"metadata": metadata, "spec": {}});
            assert_eq!(workload(Pod::new(&pod).unwrap()), name);
        }
    }

    #[test]
    fn label_values_are_cut_to_what_kubernetes_allows() {
        assert_eq!(label_value("web"), "web");
        assert_eq!(label_value(&format!("{}-b", "a".repeat(62))), "a".repeat(62));
        assert_eq!(label_value("--"), "unknown");
        assert_eq!(label_value(&"a".repeat(253)).len(), 63);
    }
}
