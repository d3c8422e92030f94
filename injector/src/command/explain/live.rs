//! A pod of a cluster: what it is, what would become of it if it were created now, and why the two differ.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::super::live::{LiveError, as_pod, look, name};
use super::super::meshed::{Meshed, owner_remedy};
use super::super::review::Mesh;
use super::super::settings::Judging;
use super::{ExplainArgs, Explanation};
use crate::cluster::Survey;
use crate::inject::{self, Namespace, NamespaceMetadata};
use crate::manifest::{Workload, metadata_of};

/// What is known of a pod that runs.
#[derive(Debug, Serialize)]
pub(super) struct Running {
    pub(super) injected: bool,
    pub(super) created: String,
    pub(super) findings: Vec<String>,
    pub(super) remedy: Option<String>,
}

/// The name in `pod/NAME`; a file of such a path is meant by `./pod/NAME`.
pub(super) fn pod_name(subject: &Path) -> Option<&str> {
    let (kind, name) = subject.to_str()?.split_once('/')?;
    let is_name = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))
    };
    (["pod", "pods", "po"].contains(&kind) && is_name(name)).then_some(name)
}

pub(super) fn explain(names: &[&str], args: &ExplainArgs) -> Result<Vec<Explanation>, LiveError> {
    let namespace = args.manifests.namespace.namespace.as_str();
    look(&args.cluster, &args.manifests.settings, async |survey: &Survey, judging| {
        let surroundings = Surroundings::look(survey, namespace, judging).await;
        let mut items = Vec::new();
        for name in names {
            let Some(pod) = survey.pod(namespace, name).await? else {
                return Err(LiveError::Absent(format!(
                    "there is no pod {name} in namespace {namespace}; name another by --namespace"
                )));
            };
            items.push(surroundings.explain(&as_pod(pod)));
        }
        Ok(items)
    })
}

/// What decides about the pods of a namespace.
struct Surroundings {
    namespace: String,
    object: Option<Value>,
    mesh: Mesh,
    /// What could not be seen.
    unseen: Vec<String>,
}

impl Surroundings {
    async fn look(survey: &Survey, namespace: &str, judging: Judging) -> Self {
        let mut unseen: Vec<String> = judging.doubt().into_iter().collect();
        let object = survey.namespace(namespace).await.unwrap_or_else(|error| {
            unseen.push(format!("{error}; the namespace is taken to be labelled"));
            None
        });
        let mut mesh = Mesh::exported(judging.settings);
        let ours = api::control::WEBHOOK_CONFIGURATION;
        match survey.mutating_webhooks().await {
            Ok(all) => {
                mesh.webhook = all.into_iter().find(|object| name(object) == ours).unwrap_or_else(|| {
                    unseen.push(format!(
                        "MutatingWebhookConfiguration {ours} does not exist, so no pod is injected; \
                         injector export webhook | kubectl apply -f -"
                    ));
                    Value::Null
                });
            }
            Err(error) => unseen.push(format!("{error}; it is taken to be as this version exports it")),
        }
        Self { namespace: namespace.to_owned(), object, mesh, unseen }
    }

    fn explain(&self, pod: &Value) -> Explanation {
        let original = original(pod);
        let metadata: Option<NamespaceMetadata> =
            self.object.as_ref().map(|object| metadata_of(object.get("metadata").unwrap_or(&Value::Null)));
        let namespace = Namespace { name: &self.namespace, metadata: metadata.as_ref() };
        let mut explanation = match Workload::of(&original) {
            Some(workload) => Explanation::new(&workload, namespace, &self.mesh),
            None => Explanation::empty(&self.namespace),
        };
        explanation.running = Some(self.running(pod, explanation.verdict));
        explanation
    }

    fn running(&self, pod: &Value, now: &'static str) -> Running {
        let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let created = text("/metadata/creationTimestamp").to_owned();
        let meshed = Meshed::of(pod);
        let mut findings = Vec::new();
        let since = self.changed_since(&created);
        match (&meshed, now) {
            (Some(meshed), _) => findings.push(meshed.to_string()),
            (None, "inject") if since.is_empty() => findings.push(
                "it would be injected now; when it was created, the labels or the webhook configuration were others, or \
                 another webhook took the injection out again"
                    .to_owned(),
            ),
            (None, "inject" | "reject") => findings.extend(since),
            (None, _) => {
                findings.push("neither was it injected when it was created, nor would it be now".to_owned());
            }
        }
        if now == "reject" {
            findings
                .push("a pod like it is refused now: once this one is gone, none takes its place".to_owned());
        }
        findings.extend(self.unseen.iter().cloned());
        let remedy = match (&meshed, now) {
            (_, "reject") => Some("mend what it is refused for, before anything replaces it".to_owned()),
            (None, "inject") | (Some(_), "skip") => Some(owner_remedy(pod, &self.namespace)),
            (_, _) => None,
        };
        Running { injected: meshed.is_some(), created, findings, remedy }
    }

    /// What became so only after the pod was created.
    fn changed_since(&self, created: &str) -> Vec<String> {
        let mut found = Vec::new();
        let label = api::labels::NAMESPACE_INJECTION;
        if let Some((time, manager)) = self.object.as_ref().and_then(|object| label_set(object, label))
            // Both are whole seconds, and within one the label was late, since the pod is not injected.
            && time >= created
        {
            found.push(format!(
                "it was created before the namespace's label {label} was set ({time}, by {manager})"
            ));
        }
        let configuration = self.mesh.webhook.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
        if let Some(time) = configuration.filter(|time| *time >= created) {
            found.push(format!("it was created before the webhook configuration was ({time})"));
        }
        found
    }
}

/// The pod as its author sent it, as far as that can be known.
fn original(pod: &Value) -> Value {
    let mut original = match inject::uninject(pod) {
        Ok(undone) => super::patched(pod, &undone.operations).unwrap_or_else(|_| pod.clone()),
        Err(_) => pod.clone(),
    };
    if let Some(original) = original.as_object_mut() {
        original.remove("status");
    }
    original
}

/// When a label was last set, and by whom; the API server keeps that for each field.
fn label_set<'a>(object: &'a Value, label: &str) -> Option<(&'a str, &'a str)> {
    let managers = object.pointer("/metadata/managedFields").and_then(Value::as_array)?;
    let owned = |entry: &&Value| {
        let labels = entry.pointer("/fieldsV1/f:metadata/f:labels").and_then(Value::as_object);
        labels.is_some_and(|labels| labels.contains_key(&format!("f:{label}")))
    };
    let text = |entry: &'a Value, field: &str| entry.get(field).and_then(Value::as_str);
    let times = managers
        .iter()
        .filter(owned)
        .filter_map(|entry| Some((text(entry, "time")?, text(entry, "manager")?)));
    // All of one form (RFC 3339, UTC, whole seconds), so that their order is that of their texts.
    times.max()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::{label_set, pod_name};

    #[test]
    fn files_and_pods_are_told_apart() {
        for (subject, name) in [
            ("pod/web-0", Some("web-0")),
            ("po/a.b", Some("a.b")),
            ("pod/", None),
            ("pod/web.YAML", None),
            ("./pod/web", None),
            ("pod/../x", None),
            ("web.yaml", None),
            ("-", None),
        ] {
            assert_eq!(pod_name(Path::new(subject)), name, "{subject}");
        }
    }

    #[test]
    fn the_last_who_set_a_label_is_found() {
        let entry = |manager: &str, time: &str, label: &str| json!({"manager": manager, "time": time, "fieldsV1": {"f:metadata": {"f:labels": {format!("f:{label}"): {}}}}});
        let object = json!({"metadata": {"managedFields": [
            entry("helm", "2026-01-01T00:00:00Z", "istio-injection"),
            entry("kubectl-label", "2026-01-02T00:00:00Z", "istio-injection"),
            entry("other", "2026-01-03T00:00:00Z", "x"),
        ]}});
        assert_eq!(label_set(&object, "istio-injection"), Some(("2026-01-02T00:00:00Z", "kubectl-label")));
        assert_eq!(label_set(&object, "y"), None);
    }
}
