//! What the API server is told of the rules: requirements on labels, and conditions in CEL, for each reason to call us.
//!
//! Fail closed is for those who asked alone: what is not selected here is never held up by us, whatever happens to us.
//!
//! Invariant: a condition never fails. Every field that may be absent is asked for first; a failing condition would refuse the
//! pod. None looks at `namespaceObject`: the API server accepts such a condition, and then refuses every pod.

use super::super::Matched;
use super::super::Settings;
use super::super::selection::{Condition, Entry, LabelSelector, Requirement};
use super::RULES;

/// Why a pod is sent: each is an entry of its own, since the requirements of one entry must all hold.
#[derive(Clone, Copy)]
pub(super) enum Cause<'a> {
    /// The label of the namespace.
    Namespace,
    /// The label of the pod, where the namespace says nothing.
    Pod,
    /// A selector of the configuration, where neither says anything.
    Always(&'a LabelSelector),
}

/// What is compiled: one entry.
pub(super) struct Gate<'a> {
    cause: Cause<'a>,
    settings: &'a Settings,
}

/// What holds for a pod that is sent.
pub(super) enum Term {
    Namespace(Requirement),
    Pod(Requirement),
    Condition(String),
}

/// The entries of the webhook configuration.
pub fn entries(settings: &Settings) -> Vec<Entry> {
    let named = [
        (api::control::WEBHOOK_NAMESPACE_ENTRY.to_owned(), Cause::Namespace),
        (api::control::WEBHOOK_OBJECT_ENTRY.to_owned(), Cause::Pod),
    ];
    let always = settings.selection.always_inject.iter().enumerate().map(|(index, selector)| {
        (format!("always-{index}{}", api::control::WEBHOOK_ENTRY_SUFFIX), Cause::Always(selector))
    });
    named.into_iter().chain(always).map(|(name, cause)| compile(name, &Gate { cause, settings })).collect()
}

fn compile(name: String, gate: &Gate<'_>) -> Entry {
    let matched = match gate.cause {
        Cause::Namespace => Matched::Namespace,
        Cause::Pod | Cause::Always(_) => Matched::Object,
    };
    let mut entry =
        Entry { name, matched, namespace: Vec::new(), object: Vec::new(), conditions: Vec::new() };
    for rule in &RULES {
        for (index, term) in (rule.sent)(gate).into_iter().enumerate() {
            match term {
                Term::Namespace(requirement) => entry.namespace.push(requirement),
                Term::Pod(requirement) => entry.object.push(requirement),
                Term::Condition(expression) => {
                    let name =
                        if index == 0 { rule.name.to_owned() } else { format!("{}-{index}", rule.name) };
                    entry.conditions.push(Condition { name, expression });
                }
            }
        }
    }
    entry
}

pub(super) fn system_namespace(gate: &Gate<'_>) -> Vec<Term> {
    let names = gate.settings.never_injected_namespaces();
    vec![Term::Namespace(Requirement::not_in(api::labels::NAMESPACE_NAME, names))]
}

/// What Azure's admission enforcer would add by itself, again and again, to whatever is applied without it.
pub(super) fn provider_namespace(_: &Gate<'_>) -> Vec<Term> {
    vec![
        Term::Namespace(Requirement::not_in(api::labels::CONTROL_PLANE, ["true"])),
        Term::Namespace(Requirement::not_in(api::labels::AZURE_MANAGED_BY, [api::labels::AZURE])),
    ]
}

pub(super) fn namespace_label(gate: &Gate<'_>) -> Vec<Term> {
    let label = api::labels::NAMESPACE_INJECTION;
    let requirement = match gate.cause {
        Cause::Namespace => Requirement::is_in(label, [api::labels::ENABLED]),
        Cause::Pod if gate.settings.selection.pod_wins_over_disabled_namespace => {
            Requirement::not_in(label, [api::labels::ENABLED])
        }
        Cause::Pod | Cause::Always(_) => Requirement::does_not_exist(label),
    };
    vec![Term::Namespace(requirement)]
}

pub(super) fn pod_label(gate: &Gate<'_>) -> Vec<Term> {
    let label = api::labels::POD_INJECT;
    let requirement = match gate.cause {
        // Values that are not allowed are sent, so that their author is told.
        Cause::Namespace => Requirement::not_in(label, ["false"]),
        Cause::Pod => Requirement::is_in(label, ["true"]),
        Cause::Always(_) => Requirement::does_not_exist(label),
    };
    vec![Term::Pod(requirement)]
}

/// `istio-injection` wins over a revision, as in Istio; without it a revision means somebody else.
pub(super) fn revision(gate: &Gate<'_>) -> Vec<Term> {
    let absent = || Requirement::does_not_exist(api::labels::REVISION);
    match gate.cause {
        Cause::Namespace => Vec::new(),
        Cause::Pod | Cause::Always(_) => vec![Term::Namespace(absent()), Term::Pod(absent())],
    }
}

pub(super) fn always_inject(gate: &Gate<'_>) -> Vec<Term> {
    match gate.cause {
        Cause::Namespace | Cause::Pod => Vec::new(),
        Cause::Always(selector) => selector.requirements().iter().cloned().map(Term::Pod).collect(),
    }
}

/// Conditions and not requirements: "not both labels", and "unless the pod asks", are more than a selector can say.
pub(super) fn never_inject(gate: &Gate<'_>) -> Vec<Term> {
    const LABELS: &str = "object.metadata.labels";
    let label = api::labels::POD_INJECT;
    let asks = format!("has({LABELS}) && '{label}' in {LABELS} && {LABELS}['{label}'] == 'true'");
    let condition = |selector: &LabelSelector| match gate.cause {
        Cause::Namespace => Some(format!("({asks}) || !({})", selector.cel(LABELS))),
        Cause::Pod => None,
        Cause::Always(_) => Some(format!("!({})", selector.cel(LABELS))),
    };
    gate.settings.selection.never_inject.iter().filter_map(condition).map(Term::Condition).collect()
}

pub(super) fn mirror_pod(_: &Gate<'_>) -> Vec<Term> {
    let annotation = api::annotations::MIRROR_POD;
    let (prefix, group) = (api::control::NODE_USER_PREFIX, api::control::NODE_GROUP);
    vec![Term::Condition(format!(
        "!(has(object.metadata.annotations) && '{annotation}' in object.metadata.annotations && \
         has(request.userInfo.username) && request.userInfo.username.startsWith('{prefix}') && \
         has(request.userInfo.groups) && '{group}' in request.userInfo.groups)"
    ))]
}

pub(super) fn windows(_: &Gate<'_>) -> Vec<Term> {
    let label = api::labels::NODE_OS;
    vec![Term::Condition(format!(
        "!(has(object.spec.os) && has(object.spec.os.name) ? object.spec.os.name == 'windows' : \
         has(object.spec.nodeSelector) && '{label}' in object.spec.nodeSelector && \
         object.spec.nodeSelector['{label}'] == 'windows')"
    ))]
}

pub(super) fn host_network(_: &Gate<'_>) -> Vec<Term> {
    vec![Term::Condition("!(has(object.spec.hostNetwork) && object.spec.hostNetwork)".to_owned())]
}
