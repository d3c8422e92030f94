//! A pod as the cluster would treat it: first whether the API server sends it to us, then what we decide.

use serde::Serialize;
use serde_json::Value;

use super::selection::{Entry, Labels, namespace_labels};
use crate::export::webhook_configuration;
use crate::inject::{
    self, Code, Decision, Matched, Namespace, NamespaceMetadata, Reason, Request, Settings, Verdict,
};
use crate::manifest::{Workload, metadata_of};

/// By what a mesh goes.
#[derive(Clone, Debug)]
pub(super) struct Mesh {
    pub(super) settings: Settings,
    /// The webhook configuration that the API server has.
    pub(super) webhook: Value,
}

impl Mesh {
    /// One whose webhook configuration is as this version exports it.
    pub(super) fn exported(settings: Settings) -> Self {
        Self { webhook: webhook_configuration(&settings), settings }
    }
}

/// What becomes of a pod.
#[derive(Debug)]
pub(super) struct Review {
    /// Why the API server sends the pod; absent where it does not.
    pub(super) sent: Option<Sent>,
    /// What is decided; where the pod is not sent, that it is skipped, and why.
    pub(super) decision: Decision,
}

/// By which entry of the webhook configuration a pod is sent.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sent {
    pub(super) entry: String,
    pub(super) path: String,
    #[serde(skip)]
    pub(super) matched: Matched,
}

/// Reviews the pod of a workload.
pub(super) fn review(workload: &Workload<'_>, namespace: Namespace<'_>, mesh: &Mesh) -> Review {
    let sent = match sent(&workload.pod, namespace, mesh) {
        Ok(sent) => sent,
        Err(reasons) => return Review { sent: None, decision: skipped(reasons) },
    };
    let request = request(workload, namespace, sent.matched);
    Review { decision: inject::decide(&request, &mesh.settings), sent: Some(sent) }
}

/// What the webhook is asked about the pod of a workload.
pub(super) fn request<'a>(
    workload: &'a Workload<'_>,
    namespace: Namespace<'a>,
    matched: Matched,
) -> Request<'a> {
    Request { pod: &workload.pod, matched, namespace, requester: None, workload: workload.workload() }
}

fn skipped(reasons: Vec<Reason>) -> Decision {
    Decision { verdict: Verdict::Skip, reasons, operations: Vec::new(), warnings: Vec::new() }
}

/// The entry by which the API server sends a new pod, or why it does not. Of a namespace that nobody could look at it is taken
/// that its label turns injection on.
pub(super) fn sent(pod: &Value, namespace: Namespace<'_>, mesh: &Mesh) -> Result<Sent, Vec<Reason>> {
    let metadata = namespace.metadata.cloned().unwrap_or_else(labelled);
    let namespace_labels = namespace_labels(namespace.name, &metadata.labels);
    let pod_labels: Labels = metadata_of(pod.get("metadata").unwrap_or(&Value::Null)).labels;
    let mut unmet = Vec::new();
    for entry in Entry::all(&mesh.webhook).filter(|entry| entry.sees_new_pods()) {
        match entry.unmet(&namespace_labels, &pod_labels) {
            None => {
                let (entry, path) = (entry.name().to_owned(), entry.path().to_owned());
                return Ok(Sent { entry, matched: matched(&path), path });
            }
            Some(why) => unmet.push(format!("entry {}: {why}", entry.name())),
        }
    }
    let first = match inject::selected(pod, (namespace.name, &metadata), &mesh.settings) {
        Err(reason) => reason,
        Ok(_) => not_selected(
            "the webhook configuration in the cluster is not as this version exports it".to_owned(),
        ),
    };
    Err(std::iter::once(first).chain(unmet.into_iter().map(not_selected)).collect())
}

fn labelled() -> NamespaceMetadata {
    let label = (api::labels::NAMESPACE_INJECTION.to_owned(), api::labels::ENABLED.to_owned());
    NamespaceMetadata { labels: [label].into(), ..NamespaceMetadata::default() }
}

/// What the webhook takes a call on this path to mean.
fn matched(path: &str) -> Matched {
    if path == api::control::WEBHOOK_NAMESPACE_PATH { Matched::Namespace } else { Matched::Object }
}

fn not_selected(text: String) -> Reason {
    Reason { code: Code::NotSelected, text }
}

/// The pod with operations applied, as the API server applies them.
pub(super) fn patched(pod: &Value, operations: &[inject::Operation]) -> Result<Value, Reason> {
    let mut patched = pod.clone();
    // What cannot be patched is of a shape that no API server would have sent.
    inject::apply(&mut patched, operations).map_err(|text| Reason { code: Code::MalformedPod, text })?;
    Ok(patched)
}

/// A reason in findings.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Why {
    code: Code,
    text: String,
}

impl From<&Reason> for Why {
    fn from(reason: &Reason) -> Self {
        Self { code: reason.code, text: reason.text.clone() }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.text)
    }
}

/// A verdict in findings.
pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Inject => "inject",
        Verdict::Unchanged => "unchanged",
        Verdict::Skip => "skip",
        Verdict::Reject => "reject",
    }
}
