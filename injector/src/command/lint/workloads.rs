//! What is wrong with an object that has pods: what the webhook would say about them, and what it never gets to see.

use api::labels::POD_INJECT;
use serde_json::Value;

use super::{Finding, said};
use crate::command::review::{Mesh, Review, request, review};
use crate::inject::{self, Code, Matched, Namespace, Settings, Verdict};
use crate::manifest::{Workload, metadata_of};

/// Families of annotations that count on pods only.
const POD_FAMILIES: [&str; 5] = [
    api::annotations::TRAFFIC_PREFIX,
    api::annotations::SIDECAR_PREFIX,
    api::annotations::PROXY_PREFIX,
    api::annotations::OWN_PREFIX,
    api::annotations::LINKERD_CONFIG_PREFIX,
];

/// All findings about one object.
pub(super) fn findings(workload: &Workload<'_>, namespace: Namespace<'_>, mesh: &Mesh) -> Vec<Finding> {
    let reviewed = review(workload, namespace, mesh);
    let mut found = Vec::new();
    found.extend(misplaced(workload));
    found.extend(inject_annotation(workload));
    found.extend(asked_in_vain(workload, &reviewed));
    found.extend(said_by_the_webhook(workload, namespace, &reviewed, &mesh.settings));
    found
}

fn said_by_the_webhook(
    workload: &Workload<'_>,
    namespace: Namespace<'_>,
    reviewed: &Review,
    settings: &Settings,
) -> Vec<Finding> {
    // A pod that nobody sends today may be sent tomorrow, and has its annotations for that.
    let matched = reviewed.sent.as_ref().map_or(Matched::Object, |sent| sent.matched);
    let traced = inject::explain(&request(workload, namespace, matched), settings);
    // This one is found here, whether the pod is sent or not.
    let own = format!("annotation {POD_INJECT} ");
    said::findings(traced, reviewed.sent.is_some(), |code, warning| {
        code == Code::IneffectiveAnnotation && warning.contains(&own)
    })
}

/// What stands on a workload and belongs to its template.
fn misplaced(workload: &Workload<'_>) -> Vec<Finding> {
    if workload.is_pod() {
        return Vec::new();
    }
    let own = metadata_of(workload.metadata);
    let template = metadata_of(workload.pod.get("metadata").unwrap_or(&Value::Null));
    let mut found = Vec::new();
    if own.labels.contains_key(POD_INJECT) && !template.labels.contains_key(POD_INJECT) {
        found.push(
            Finding::error(
                "label-on-workload",
                format!("label {POD_INJECT} stands on the {}, and has no effect there", workload.kind),
            )
            .remedy("move it to metadata.labels of the pod template"),
        );
    }
    let misplaced = own.annotations.keys().filter(|key| {
        let family = POD_FAMILIES.iter().any(|family| key.starts_with(family));
        family && *key != POD_INJECT && !template.annotations.contains_key(*key)
    });
    found.extend(misplaced.map(|key| {
        Finding::warning(
            "annotation-on-workload",
            format!("annotation {key} stands on the {}, and has no effect there", workload.kind),
        )
        .remedy("move it to metadata.annotations of the pod template")
    }));
    found
}

/// The usual mistake of who comes from Istio's older versions.
fn inject_annotation(workload: &Workload<'_>) -> Option<Finding> {
    let pod = metadata_of(workload.pod.get("metadata").unwrap_or(&Value::Null));
    let own = metadata_of(workload.metadata);
    let value = pod.annotations.get(POD_INJECT).or_else(|| own.annotations.get(POD_INJECT))?;
    if pod.labels.contains_key(POD_INJECT) {
        return None;
    }
    Some(
        Finding::error(
            "inject-annotation",
            format!(
                "{POD_INJECT}: {value:?} is an annotation, which selectors cannot see; it must be a label"
            ),
        )
        .remedy(format!("move it to the pod's labels: {POD_INJECT}: {value:?}")),
    )
}

/// The pod's label asks for injection, and nothing comes of it.
fn asked_in_vain(workload: &Workload<'_>, reviewed: &Review) -> Option<Finding> {
    let pod = metadata_of(workload.pod.get("metadata").unwrap_or(&Value::Null));
    let asked = pod.labels.get(POD_INJECT).map(String::as_str) == Some("true");
    if !asked || reviewed.decision.verdict != Verdict::Skip {
        return None;
    }
    let reason = reviewed.decision.reasons.first()?;
    Some(Finding::error(
        "label-in-vain",
        format!("label {POD_INJECT} asks for injection, but the pod is left alone: {}", reason.text),
    ))
}
