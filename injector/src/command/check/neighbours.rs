//! Other admission webhooks: those that change pods as we do, and those that could keep our own pods from starting.

use serde_json::Value;

use super::super::live::name;
use super::super::selection::{Entry, namespace_labels};
use super::Check;
use super::seen::Seen;
use crate::inject::NamespaceMetadata;

const OTHERS: &str = "other-webhooks";
const CYCLE: &str = "webhook-cycle";

pub(super) fn checks(seen: &Seen) -> Vec<Check> {
    vec![others(seen), cycles(seen)]
}

/// Which other mutating webhooks see new pods of labelled namespaces, and whether they come before us: the API server calls
/// configurations in the order of their names.
fn others(seen: &Seen) -> Check {
    let configurations = match &seen.mutating {
        Ok(configurations) => configurations,
        Err(error) => return Check::unseen(OTHERS, error),
    };
    let labelled: Vec<_> =
        seen.namespaces.iter().flatten().filter(|namespace| namespace.is_labelled()).collect();
    let ours = api::control::WEBHOOK_CONFIGURATION;
    let mut found = Vec::new();
    for configuration in configurations.iter().filter(|configuration| name(configuration) != ours) {
        let touches = |entry: &Entry<'_>| {
            entry.sees_new_pods()
                && labelled.iter().any(|namespace| {
                    entry.may_match_in(&namespace_labels(&namespace.name, &namespace.metadata.labels))
                })
        };
        for entry in Entry::all(configuration).filter(touches) {
            let order = if name(configuration) < ours { "before" } else { "after" };
            let again = match entry.text("/reinvocationPolicy") {
                "IfNeeded" => ", called again when needed",
                _ => "",
            };
            let policy = if entry.fails_closed() { "Fail" } else { "Ignore" };
            found.push(format!("{} {order} us ({policy}{again})", entry.name()));
        }
    }
    if found.is_empty() {
        return Check::ok(OTHERS, "no other webhook changes pods of labelled namespaces");
    }
    // That is no fault: ours is called again when one of them changed the pod.
    Check::ok(
        OTHERS,
        format!("{} others may change pods of labelled namespaces: {}", found.len(), found.join(", ")),
    )
}

/// A webhook that fails closed and matches the namespace which its own backend, or ours, runs in: once its pods are gone they
/// cannot come back.
fn cycles(seen: &Seen) -> Check {
    let (mutating, validating) = match (&seen.mutating, &seen.validating) {
        (Ok(mutating), Ok(validating)) => (mutating, validating),
        (Err(error), _) | (_, Err(error)) => return Check::unseen(CYCLE, error),
    };
    let labels = |name: &str| {
        let known = seen.namespaces.iter().flatten().find(|namespace| namespace.name == name);
        let metadata = known.map_or_else(NamespaceMetadata::default, |namespace| namespace.metadata.clone());
        namespace_labels(name, &metadata.labels)
    };
    let mut found = Vec::new();
    for entry in mutating.iter().chain(validating).flat_map(closed) {
        let backend = entry.text("/clientConfig/service/namespace");
        if entry.may_match_in(&labels(&seen.own)) {
            let what = if entry.name().ends_with(api::control::WEBHOOK_ENTRY_SUFFIX) {
                "our own"
            } else {
                "another's"
            };
            found.push(format!(
                "{} ({what}) fails closed for pods of {}, where we run",
                entry.name(),
                seen.own
            ));
        } else if !backend.is_empty() && entry.may_match_in(&labels(backend)) {
            found.push(format!("{} fails closed for pods of {backend}, where it runs itself", entry.name()));
        }
    }
    if found.is_empty() {
        return Check::ok(CYCLE, "no webhook that fails closed stands in the way of its own pods or of ours");
    }
    Check::warn(
        CYCLE,
        found.join("; "),
        "leave these namespaces out of its namespaceSelector (kubernetes.io/metadata.name NotIn …), or pods that are gone \
         may not come back",
    )
}

fn closed(configuration: &Value) -> impl Iterator<Item = Entry<'_>> {
    Entry::all(configuration).filter(|entry| entry.sees_new_pods() && entry.fails_closed())
}
