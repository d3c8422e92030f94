//! Pods that cannot be injected, whoever asks.

use serde_json::Value;

use super::super::facts::Facts;
use super::super::reason::Code;
use super::{Finding, reject, skip};

/// A mirror pod only shows what the kubelet runs from a file: a patch would change the picture, not the pod. Nobody but a
/// node makes one; a pod of somebody else that looks like one (copied from `kubectl get`, mostly) is deleted by the kubelet.
pub(super) fn mirror_pod(facts: &Facts<'_>) -> Vec<Finding> {
    let annotation = api::annotations::MIRROR_POD;
    if facts.pod.annotation(annotation).is_none() {
        return Vec::new();
    }
    if facts.requester.is_none_or(|requester| requester.is_node()) {
        let text = "the pod mirrors a static pod, which only its node's files can change";
        return vec![skip(Code::MirrorPod, text)];
    }
    vec![reject(
        Code::NotAMirrorPod,
        format!(
            "annotation {annotation} marks the mirror of a static pod, which only a node creates; the kubelet would \
             delete this one: take the annotation off"
        ),
    )]
}

pub(super) fn windows(facts: &Facts<'_>) -> Vec<Finding> {
    let os = facts.pod.spec("os").and_then(|os| os.get("name")).and_then(Value::as_str);
    let selected = facts
        .pod
        .spec("nodeSelector")
        .and_then(|selector| selector.get(api::labels::NODE_OS))
        .and_then(Value::as_str);
    if os.or(selected) != Some("windows") {
        return Vec::new();
    }
    vec![skip(Code::Windows, "the pod runs on Windows, where there is no redirect")]
}

/// Rules in the node's network namespace would capture the node's own traffic.
pub(super) fn host_network(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.pod.spec("hostNetwork").and_then(Value::as_bool) != Some(true) {
        return Vec::new();
    }
    vec![skip(Code::HostNetwork, "the pod uses its node's network, whose traffic must not be captured")]
}
