//! Annotations by which Istio (formerly) and Linkerd are told about injection. A selector cannot see an annotation: it can
//! take a pod out where labels brought it in, and never the other way round.

use api::annotations::LINKERD_INJECT;

use super::super::facts::Facts;
use super::super::reason::{Code, quoted};
use super::labels::Said;
use super::{Finding, advise, reject, skip, warn};

const INJECT: &str = api::labels::POD_INJECT;

/// Istio's deprecated annotation and Linkerd's, on the pod.
pub(super) fn pod_annotation(facts: &Facts<'_>) -> Vec<Finding> {
    let istio = facts.pod.annotation(INJECT).map(|value| (INJECT, value, Said::by_label(Some(value))));
    let linkerd = facts.pod.annotation(LINKERD_INJECT).map(|value| {
        let said = match value {
            "enabled" | "ingress" => Said::Inject,
            "disabled" => Said::Leave,
            _ => Said::Nonsense,
        };
        (LINKERD_INJECT, value, said)
    });
    let label = Said::of(facts);
    let one = |(key, value, said)| finding(label, key, value, said);
    istio.into_iter().chain(linkerd).flat_map(one).collect()
}

fn finding(label: Said, key: &str, value: &str, said: Said) -> Vec<Finding> {
    let is = format!("annotation {key} is {}", quoted(value));
    match (label, said) {
        (_, Said::Nonsense) => {
            let allowed =
                if key == INJECT { "\"true\" or \"false\"" } else { "enabled, ingress or disabled" };
            vec![reject(Code::InvalidAnnotation, format!("{is}; allowed is {allowed}"))]
        }
        (Said::Inject, Said::Leave) => {
            let text =
                format!("{is}, and label {INJECT} is \"true\": the label counts; take the annotation off");
            vec![warn(Code::IneffectiveAnnotation, text)]
        }
        (_, Said::Leave) => {
            let advice =
                format!("{is}, so the pod is not injected; better say so by label {INJECT}=\"false\"");
            vec![skip(Code::PodDisabled, is), advise(Code::PodDisabled, advice)]
        }
        (_, _) if value == "ingress" => {
            let text = format!("{is}: the pod is injected like any other; there is no mode for ingresses");
            vec![warn(Code::IneffectiveAnnotation, text)]
        }
        (Said::Nothing, _) => {
            let text = format!(
                "{is} and has no effect: selectors cannot see annotations; to ask for injection use the label {INJECT}=\"true\""
            );
            vec![warn(Code::IneffectiveAnnotation, text)]
        }
        (_, _) => Vec::new(),
    }
}

/// Linkerd's, on the namespace; as far as the namespace is known.
pub(super) fn namespace_annotation(facts: &Facts<'_>) -> Vec<Finding> {
    let known = facts.namespace.metadata.and_then(|known| known.annotations.get(LINKERD_INJECT));
    if known.map(String::as_str) != Some("disabled") {
        return Vec::new();
    }
    vec![warn(
        Code::IneffectiveAnnotation,
        format!(
            "the namespace's annotation {LINKERD_INJECT} is \"disabled\" and has no effect; label it {}={}",
            api::labels::NAMESPACE_INJECTION,
            api::labels::DISABLED
        ),
    )]
}
