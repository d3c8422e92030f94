//! The table of rules against the truth that was written down, without an API server: what its selectors would send, and
//! what is decided about it. The test target `admission` asks a real one.

use injector::inject::{Matched, NamespaceMetadata, Request, Settings, Verdict, decide, selected};

use crate::truth::cases::{self, Case};
use crate::truth::{Expected, Facts, Truth};

/// The settings of [`cases::configured`].
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.selection = serde_json::from_value(cases::selection()).expect("a selection");
    settings
}

/// What becomes of a case by the program alone. Where a condition keeps a pod away, the rule behind it skips the pod.
fn becomes(case: &Case, settings: &Settings) -> Expected {
    let pod = case.pod.object("app");
    let name = case.namespace.name();
    let labels = case.namespace.labels().into_iter();
    let labels = labels.map(|(key, value)| (key, value.as_str().unwrap().to_owned())).collect();
    let metadata = NamespaceMetadata { labels, ..NamespaceMetadata::default() };
    let matched = match selected(&pod, (&name, &metadata), settings) {
        Ok(matched) => matched,
        Err(reason) => return expected("-", "left", reason.code.as_str()),
    };
    let requester = case.pod.requester();
    let namespace = name.as_str().into();
    let request = Request { pod: &pod, matched, namespace, requester: Some(&requester), workload: None };
    let decision = decide(&request, settings);
    let outcome = match decision.verdict {
        Verdict::Inject => "injected",
        Verdict::Reject => "refused",
        Verdict::Skip => "left",
        Verdict::Unchanged => "unchanged",
    };
    assert_eq!(decision.operations.is_empty(), outcome != "injected");
    let entry = if matched == Matched::Namespace { "namespace" } else { "object" };
    expected(entry, outcome, decision.reasons[0].code.as_str())
}

fn expected(entry: &str, outcome: &str, reason: &str) -> Expected {
    Expected { entry: entry.to_owned(), outcome: outcome.to_owned(), reason: reason.to_owned() }
}

#[test]
fn the_table_of_rules_is_the_truth() {
    let (truth, settings) = (Truth::selection(), Settings::default());
    for namespace in cases::namespaces() {
        for pod in cases::pods() {
            let case = Case { namespace: namespace.clone(), pod };
            let (mut became, expected) = (becomes(&case, &settings), truth.expected(&case));
            if ["host-network", "windows", "windows-node"].contains(&case.fact("shape"))
                || case.fact("shape") == "mirror" && case.fact("by") == "node"
            {
                // Selectors do not see these; the conditions do, and the API server alone evaluates them.
                became.entry = expected.entry.clone();
            }
            assert_eq!(became, expected, "{case:?}");
        }
    }
    truth.assert_used();
}

#[test]
fn the_table_of_rules_is_the_truth_of_a_configuration() {
    let (truth, settings) = (Truth::configured(), settings());
    for case in cases::configured() {
        let (mut became, mut expected) = (becomes(&case, &settings), truth.expected(&case));
        // Which of them it is, the API server tells.
        if expected.entry.starts_with("always") {
            expected.entry = "object".to_owned();
        }
        if became.reason == "never-inject" {
            became.entry = expected.entry.clone();
        }
        assert_eq!(became, expected, "{case:?}");
    }
    truth.assert_used();
}
