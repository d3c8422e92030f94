//! Asking for a decision and applying it, as the API server does.

use injector::inject::{Decision, Matched, Request, Settings, decide};
use serde_json::Value;

/// The namespace in which fixtures are reviewed.
pub(crate) const NAMESPACE: &str = "shop";

/// The decision about a pod with the settings of the manifests.
pub(crate) fn decision(pod: &Value) -> Decision {
    let request = Request {
        pod,
        matched: Matched::Namespace,
        namespace: NAMESPACE.into(),
        requester: None,
        workload: None,
    };
    decide(&request, &Settings::default())
}

/// The pod with the decision's patch applied as the API server applies it.
pub(crate) fn patched(pod: &Value, decision: &Decision) -> Value {
    let patch = serde_json::to_value(&decision.operations).expect("operations are JSON");
    let patch: json_patch::Patch = serde_json::from_value(patch).expect("operations are RFC 6902");
    let mut patched = pod.clone();
    json_patch::patch(&mut patched, &patch).expect("the patch applies");
    patched
}
