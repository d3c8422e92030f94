//! What labels and the configuration say.

use super::super::Matched;
use super::super::facts::Facts;
use super::super::reason::{Code, Reason, quoted};
use super::super::selection::InvalidLabel;
use super::{Finding, advise, inject, reject, skip, warn};

const INJECT: &str = api::labels::POD_INJECT;

/// What a pod's own label says.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Said {
    Nothing,
    Inject,
    Leave,
    Nonsense,
}

impl Said {
    pub(super) fn by_label(label: Option<&str>) -> Self {
        match label {
            None => Self::Nothing,
            Some("true") => Self::Inject,
            Some("false") => Self::Leave,
            Some(_) => Self::Nonsense,
        }
    }

    pub(super) fn of(facts: &Facts<'_>) -> Self {
        Self::by_label(facts.pod.label(INJECT))
    }
}

/// The selectors leave these out already; the check holds where somebody changed the selectors.
pub(super) fn system_namespace(facts: &Facts<'_>) -> Vec<Finding> {
    let name = facts.namespace.name;
    if !facts.settings.never_injects(name) {
        return Vec::new();
    }
    vec![skip(Code::SystemNamespace, never_injected(name))]
}

pub(super) fn never_injected(namespace: &str) -> String {
    format!("namespace {namespace} is the cluster's or the mesh's own, or one that the configuration ignores")
}

pub(super) fn pod_label(facts: &Facts<'_>) -> Vec<Finding> {
    let value = facts.pod.label(INJECT).unwrap_or_default();
    match (Said::of(facts), facts.settings.selection.invalid_label) {
        (Said::Nothing, _) => Vec::new(),
        (Said::Inject, _) => vec![inject(Code::PodEnabled, format!("the pod's label {INJECT} is \"true\""))],
        (Said::Leave, _) => vec![skip(Code::PodDisabled, label_refuses())],
        (Said::Nonsense, InvalidLabel::Deny) => vec![reject(Code::InvalidLabel, invalid(INJECT, value))],
        (Said::Nonsense, InvalidLabel::Warn) => {
            let text = format!("{}; it counts for nothing", invalid(INJECT, value));
            vec![advise(Code::InvalidLabel, text)]
        }
    }
}

pub(super) fn label_refuses() -> String {
    format!("the pod's label {INJECT} is \"false\"")
}

pub(super) fn invalid(label: &str, value: &str) -> String {
    let allowed = if label == INJECT { "\"true\" and \"false\"" } else { "\"enabled\" and \"disabled\"" };
    format!("label {label} is {}; allowed are {allowed}", quoted(value))
}

/// There are no revisions here, so a label that names one means another mesh, or nothing.
pub(super) fn revision(facts: &Facts<'_>) -> Vec<Finding> {
    let label = api::labels::REVISION;
    let on_pod = facts.pod.label(label).is_some();
    let on_namespace = facts.namespace.metadata.is_some_and(|known| known.labels.contains_key(label));
    match (facts.matched, on_pod || on_namespace) {
        (_, false) => Vec::new(),
        (Matched::Object, true) if on_pod => vec![skip(Code::Revision, revision_means_another("pod"))],
        (Matched::Object, true) => Vec::new(),
        (Matched::Namespace, true) => vec![warn(
            Code::Revision,
            format!(
                "label {label} has no effect beside {}: there are no revisions here; take it off",
                api::labels::NAMESPACE_INJECTION
            ),
        )],
    }
}

pub(super) fn revision_means_another(whose: &str) -> String {
    format!(
        "the {whose}'s label {} chooses a revision of Istio, and there are no revisions here; take it off, and label the \
         namespace {}={}",
        api::labels::REVISION,
        api::labels::NAMESPACE_INJECTION,
        api::labels::ENABLED
    )
}

pub(super) fn never_inject(facts: &Facts<'_>) -> Vec<Finding> {
    if Said::of(facts) == Said::Inject {
        return Vec::new();
    }
    let never = facts.settings.selection.never_inject.iter().find(|selector| selector.matches(&facts.pod));
    let text =
        |selector| format!("the configuration's selection.neverInject has {selector}, which the pod matches");
    never.map(|selector| skip(Code::NeverInject, text(selector))).into_iter().collect()
}

pub(super) fn always_inject(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.matched == Matched::Namespace || Said::of(facts) != Said::Nothing {
        return Vec::new();
    }
    let always = facts.settings.selection.always_inject.iter().find(|selector| selector.matches(&facts.pod));
    let text = |selector| {
        format!("the configuration's selection.alwaysInject has {selector}, which the pod matches")
    };
    always.map(|selector| inject(Code::AlwaysInject, text(selector))).into_iter().collect()
}

pub(super) fn namespace_label(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.matched != Matched::Namespace {
        return Vec::new();
    }
    let (label, value) = (api::labels::NAMESPACE_INJECTION, api::labels::ENABLED);
    vec![inject(Code::NamespaceEnabled, format!("the namespace's label {label} is \"{value}\""))]
}

/// Somebody else's selectors sent it, or those of another configuration.
pub(super) fn not_selected() -> Reason {
    Reason::new(
        Code::NotSelected,
        format!(
            "neither label {INJECT} nor selection.alwaysInject asks for injection; the webhook configuration in the cluster \
             is not the one of this configuration: apply what `injector export webhook` prints"
        ),
    )
}
