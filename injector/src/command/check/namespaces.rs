//! Pitfalls in the labels of all namespaces of the cluster.

use super::super::lint::{Severity, namespaces};
use super::Check;
use super::seen::Seen;
use crate::inject::Settings;

const NAMESPACES: &str = "namespaces";

pub(super) fn checks(seen: &Seen, settings: &Settings) -> Vec<Check> {
    let all = match &seen.namespaces {
        Ok(all) => all,
        Err(error) => return vec![Check::unseen(NAMESPACES, error)],
    };
    let mut checks = Vec::new();
    for namespace in all {
        for finding in namespaces::findings(&namespace.name, &namespace.metadata, settings) {
            let name = if finding.code == "pod-security" { "pod-security" } else { NAMESPACES };
            let found = format!("{}: {}", namespace.name, finding.text);
            let remedy = finding.remedy.unwrap_or_default();
            checks.push(match finding.severity {
                Severity::Error => Check::fail(name, found, remedy),
                Severity::Warning => Check::warn(name, found, remedy),
            });
        }
    }
    if checks.is_empty() {
        let labelled = all.iter().filter(|namespace| namespace.is_labelled()).count();
        checks.push(Check::ok(
            NAMESPACES,
            format!("{labelled} of {} labelled for injection, all labels well", all.len()),
        ));
    }
    checks
}
