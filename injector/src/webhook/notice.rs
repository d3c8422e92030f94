//! What a review says to the owner of its pod, where the configuration wants Events: a denial or a warning reaches the
//! controller that creates the pod, and seldom a person.

use k8s_openapi::api::core::v1::ObjectReference;
use serde_json::Value;

use crate::cluster::Notice;
use crate::inject::{Decision, Verdict};

/// Nothing where nobody owns the pod (who creates it has the answer), or where there is nothing to say.
pub(super) fn notice(pod: &Value, namespace: &str, decision: &Decision) -> Option<Notice> {
    let (reason, warning) = match decision.verdict {
        Verdict::Reject => ("InjectionRefused", true),
        Verdict::Skip => ("InjectionSkipped", false),
        Verdict::Inject | Verdict::Unchanged if !decision.warnings.is_empty() => ("InjectionWarning", true),
        Verdict::Inject | Verdict::Unchanged => return None,
    };
    let owner = controller(pod, namespace)?;
    let reasons = decision.reasons.iter().map(ToString::to_string);
    let note: Vec<_> = match decision.verdict {
        Verdict::Reject | Verdict::Skip => reasons.collect(),
        Verdict::Inject | Verdict::Unchanged => decision.warnings.clone(),
    };
    let code = decision.reasons.first().map_or("none", |reason| reason.code.as_str());
    Some(Notice { owner, warning, reason, code, note: note.join("; ") })
}

fn controller(pod: &Value, namespace: &str) -> Option<ObjectReference> {
    let owners = pod.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner.get("controller") == Some(&Value::Bool(true)))?;
    let text = |field| owner.get(field)?.as_str().map(str::to_owned);
    Some(ObjectReference {
        api_version: text("apiVersion"),
        kind: text("kind"),
        name: text("name"),
        uid: Some(text("uid")?),
        namespace: Some(namespace.to_owned()),
        ..ObjectReference::default()
    })
}
