//! The workload's name, the labels that telemetry groups by, and annotations for tools.
//!
//! Kubernetes' own names are used as they are; no name is guessed from its shape. A ReplicaSet's pods are shown under
//! its Deployment or its Argo Rollout, since the ReplicaSet's name ends with the value of a label, and those of an OpenShift
//! DeploymentConfig under that, since an annotation has its name; the pods of a CronJob's Job under the Job, whose name
//! alone does not prove where it came from.

use std::collections::BTreeMap;

use api::labels;
use serde_json::Value;

use super::edit::{Edit, Place};
use super::facts::Facts;
use super::pod::{Part, Pod, name_of};
use super::volumes;

/// Names under which telemetry shows the pod.
pub(super) struct Names {
    pub(super) workload: String,
    pub(super) canonical_name: String,
    pub(super) canonical_revision: String,
    /// The label that has the application's name.
    pub(super) app_label: &'static str,
    /// The label that has its version.
    pub(super) version_label: &'static str,
}

const LABEL_VALUE_LENGTH: usize = 63;

/// What a revision is called where nobody said; Istio's word.
const NO_REVISION: &str = "latest";

/// The longest list of volumes that is added to: it is told again in the status, and a pod's annotations have a limit.
const SAFE_LENGTH: usize = 4096;

/// What a workload is called where nothing has a name.
const NO_NAME: &str = "unknown";

impl Names {
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        let pod = facts.pod;
        let workload = facts.workload.map_or_else(|| workload(pod), str::to_owned);
        let label = |key: &str| facts.label(key).filter(|value| !value.is_empty());
        let first = |keys: [&'static str; 3]| keys.into_iter().find_map(label);
        let name = first([labels::CANONICAL_NAME, labels::APP_NAME, labels::APP]);
        let revision = first([labels::CANONICAL_REVISION, labels::APP_VERSION, labels::VERSION]);
        // Istio's proxies take the short ones alone here, although the recommended ones go first above.
        let either = |short, long| if label(short).is_none() && label(long).is_some() { long } else { short };
        Self {
            app_label: either(labels::APP, labels::APP_NAME),
            version_label: either(labels::VERSION, labels::APP_VERSION),
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

/// Annotations that are to have a value.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    /// Those that the pod has not.
    pub(super) added: BTreeMap<String, String>,
    /// Those that it has with another value.
    pub(super) edits: Vec<Edit>,
}

impl Annotations {
    pub(super) fn set(&mut self, pod: Pod<'_>, key: &str, now: &str) {
        match pod.map(Part::Annotations).and_then(|annotations| annotations.get(key)) {
            None => drop(self.added.insert(key.to_owned(), now.to_owned())),
            Some(was) if was.as_str() == Some(now) => {}
            Some(was) => self.edits.push(Edit {
                place: Place::Annotation(key.to_owned()),
                was: Some(was.clone()),
                now: Some(now.into()),
            }),
        }
    }

    pub(super) fn extend(&mut self, others: Self) {
        self.added.extend(others.added);
        self.edits.extend(others.edits);
    }
}

/// Annotations that make `kubectl logs` and `kubectl exec` choose the application, where the pod has none; and the one that
/// keeps our volumes from holding a node that an autoscaler wants to remove, with what the pod itself says there.
pub(super) fn annotations(pod: Pod<'_>) -> Annotations {
    let mut annotations = Annotations::default();
    let application =
        pod.spec_list("containers").iter().map(name_of).find(|name| *name != api::pod::PROXY_CONTAINER);
    if let Some(application) = application.map(str::to_owned) {
        annotations.added = missing(
            [
                (api::annotations::DEFAULT_CONTAINER, &application),
                (api::annotations::DEFAULT_LOGS_CONTAINER, &application),
            ],
            |key| has(pod, Part::Annotations, key),
        );
    }
    let key = api::annotations::SAFE_TO_EVICT_VOLUMES;
    let mut safe: Vec<&str> = pod.annotation(key).into_iter().flat_map(|list| list.split(',')).collect();
    safe.retain(|name| !name.trim().is_empty());
    let ours = volumes::LOCAL.into_iter().filter(|ours| !safe.iter().any(|name| name.trim() == *ours));
    let ours: Vec<&str> = ours.collect();
    let length: usize = safe.iter().map(|name| name.len() + 1).sum();
    if !ours.is_empty() && length <= SAFE_LENGTH {
        annotations.set(pod, key, &[safe, ours].concat().join(","));
    }
    annotations
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
    let before = |suffix: &str| {
        let rest = name.strip_suffix(suffix).and_then(|rest| rest.strip_suffix('-'));
        rest.filter(|rest| !suffix.is_empty() && !rest.is_empty())
    };
    let above = match owner.get("kind").and_then(Value::as_str) {
        Some("ReplicaSet") => [labels::POD_TEMPLATE_HASH, labels::ROLLOUTS_POD_TEMPLATE_HASH]
            .into_iter()
            .find_map(|hash| before(pod.label(hash)?)),
        Some("ReplicationController") => pod
            .annotation(api::annotations::DEPLOYMENT_CONFIG)
            .filter(|config| name.strip_prefix(*config).is_some_and(is_revision)),
        _ => None,
    };
    above.unwrap_or(name)
}

/// What a DeploymentConfig appends to its name.
fn is_revision(suffix: &str) -> bool {
    let digits = suffix.strip_prefix('-').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
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

    use super::{Pod, annotations, label_value, workload};

    #[test]
    fn a_replica_sets_pods_are_shown_under_its_deployment() {
        let pod = json!({"metadata": {
            "labels": {"pod-template-hash": "6b7f9"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-6b7f9", "controller": true}],
        }, "spec": {}});
        assert_eq!(workload(Pod::new(&pod).unwrap()), "web");
    }

    #[test]
    fn rollouts_and_deployment_configs_are_proven_by_what_they_write() {
        let shown = |metadata| {
            let pod = json!({"metadata": metadata, "spec": {}});
            workload(Pod::new(&pod).unwrap())
        };
        let owner = |kind, name| json!([{"kind": kind, "name": name, "controller": true}]);
        let rollout = |hash| {
            shown(
                json!({"labels": {"rollouts-pod-template-hash": hash}, "ownerReferences": owner("ReplicaSet", "web-5d4")}),
            )
        };
        assert_eq!(
            (rollout("5d4"), rollout("5d"), rollout("")),
            ("web".to_owned(), "web-5d4".to_owned(), "web-5d4".to_owned())
        );
        let config = |config, controller| {
            shown(json!({
                "annotations": {"openshift.io/deployment-config.name": config},
                "ownerReferences": owner("ReplicationController", controller),
            }))
        };
        assert_eq!(config("web", "web-12"), "web");
        assert_eq!(config("web", "web-api-1"), "web-api-1");
        assert_eq!(config("web-1", "web-1"), "web-1");
        assert_eq!(config("", "web-1"), "web-1");
    }

    #[test]
    fn our_volumes_hold_no_node_and_the_users_list_stays() {
        let key = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
        for (said, added, now) in [
            (json!({}), Some("remora-state"), None),
            (json!({key: "cache,tmp"}), None, Some("cache,tmp,remora-state")),
            (json!({key: "cache, remora-state"}), None, None),
            (json!({key: ""}), None, Some("remora-state")),
            (json!({key: null}), None, Some("remora-state")),
            (json!({key: "cache,".repeat(1000)}), None, None),
        ] {
            let pod = json!({"metadata": {"annotations": said}, "spec": {}});
            let found = annotations(Pod::new(&pod).unwrap());
            assert_eq!(found.added.get(key).map(String::as_str), added, "{said}");
            let edit = found.edits.first();
            assert_eq!(edit.and_then(|edit| edit.now.as_ref()?.as_str()), now, "{said}");
            assert_eq!(edit.and_then(|edit| edit.was.as_ref()), now.map(|_| &said[key]), "{said}");
        }
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
