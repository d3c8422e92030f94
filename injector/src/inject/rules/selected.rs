//! What the API server will do with a pod, before anybody asks it: for people and files. It goes by the compiled table; only
//! the words for what is not sent are its own.

use std::collections::BTreeMap;

use api::labels::{NAMESPACE_INJECTION, NAMESPACE_NAME, POD_INJECT, REVISION};
use serde_json::Value;

use super::super::pod::Pod;
use super::super::reason::{Code, Reason};
use super::super::{Matched, NamespaceMetadata, Settings};
use super::entries;
use super::labels::{self as words, Said};

/// By which entry the selectors of the webhook send this pod; where none does, why. The conditions are not looked at: the
/// rules that they come from say the same of the pod.
pub fn selected(
    pod: &Value,
    namespace: (&str, &NamespaceMetadata),
    settings: &Settings,
) -> Result<Matched, Reason> {
    let pod = Pod::new(pod)?;
    let (name, metadata) = namespace;
    let mut labels = metadata.labels.clone();
    // The API server sees to it; a file does not have it.
    labels.insert(NAMESPACE_NAME.to_owned(), name.to_owned());
    let sent = entries(settings).into_iter().find(|entry| entry.selects(&labels, &pod));
    sent.map(|entry| entry.matched).ok_or_else(|| why_not(pod, (name, &labels, metadata), settings))
}

fn why_not(
    pod: Pod<'_>,
    (name, labels, metadata): (&str, &BTreeMap<String, String>, &NamespaceMetadata),
    settings: &Settings,
) -> Reason {
    let said = Said::by_label(pod.label(POD_INJECT));
    let namespace = labels.get(NAMESPACE_INJECTION).map(String::as_str);
    if settings.never_injects(name) {
        return Reason::new(Code::SystemNamespace, words::never_injected(name));
    }
    if said == Said::Leave {
        return Reason::new(Code::PodDisabled, words::label_refuses());
    }
    match namespace {
        Some(api::labels::ENABLED) => provider(),
        _ if labels.contains_key(REVISION) => {
            Reason::new(Code::Revision, words::revision_means_another("namespace"))
        }
        Some(api::labels::DISABLED) => {
            let (label, value) = (NAMESPACE_INJECTION, api::labels::DISABLED);
            Reason::new(Code::NamespaceDisabled, format!("the namespace's label {label} is \"{value}\""))
        }
        Some(other) => Reason::new(Code::InvalidLabel, words::invalid(NAMESPACE_INJECTION, other)),
        None => match said {
            _ if pod.label(REVISION).is_some() => {
                Reason::new(Code::Revision, words::revision_means_another("pod"))
            }
            Said::Nonsense => {
                let value = pod.label(POD_INJECT).unwrap_or_default();
                Reason::new(Code::InvalidLabel, words::invalid(POD_INJECT, value))
            }
            Said::Inject => provider(),
            Said::Nothing | Said::Leave => not_asked(pod, metadata),
        },
    }
}

fn provider() -> Reason {
    Reason::new(
        Code::ProviderNamespace,
        format!(
            "the namespace's label {} or {} marks it as the provider's own",
            api::labels::CONTROL_PLANE,
            api::labels::AZURE_MANAGED_BY
        ),
    )
}

/// Nobody asks, but somebody may think that he does.
fn not_asked(pod: Pod<'_>, namespace: &NamespaceMetadata) -> Reason {
    let linkerd = api::annotations::LINKERD_INJECT;
    let annotated =
        |key: &str| pod.annotation(key).or_else(|| namespace.annotations.get(key).map(String::as_str));
    let asks = match (annotated(POD_INJECT), annotated(linkerd)) {
        (Some("true"), _) => Some(POD_INJECT),
        (_, Some("enabled" | "ingress")) => Some(linkerd),
        _ => None,
    };
    let label = format!(
        "label the namespace {NAMESPACE_INJECTION}={}, or the pod {POD_INJECT}=\"true\"",
        api::labels::ENABLED
    );
    match asks {
        Some(key) => Reason::new(
            Code::IneffectiveAnnotation,
            format!("annotation {key} asks for injection, and selectors cannot see annotations; {label}"),
        ),
        None => Reason::new(Code::NotLabelled, format!("no label asks for injection; {label}")),
    }
}
