//! What the webhook itself would say, as findings: its refusals are errors, its warnings warnings.

use super::Finding;
use crate::inject::{Code, Explanation, Reason, Verdict};

/// `elsewhere` says which warnings are found by other means already.
pub(super) fn findings(
    traced: Explanation,
    is_sent: bool,
    elsewhere: impl Fn(Code, &str) -> bool,
) -> Vec<Finding> {
    let Explanation { decision, rules, .. } = traced;
    let refused = decision.reasons.iter().filter(|_| decision.verdict == Verdict::Reject);
    let refused = refused.map(|reason| {
        let code = reason.code.as_str();
        if is_sent {
            Finding::error(code, reason.text.clone())
        } else {
            Finding::warning(code, format!("{}; as soon as it is in the mesh", reason.text))
        }
    });
    let told: Vec<&Reason> = rules.iter().flat_map(|rule| &rule.reasons).collect();
    // What no rule of the table warns of is about annotations, which are allowed as they are.
    let code = |warning: &str| {
        told.iter()
            .find(|reason| reason.text == warning)
            .map_or(Code::InvalidAnnotation, |reason| reason.code)
    };
    let warned = decision.warnings.iter().map(|warning| (code(warning), warning));
    let warned = warned.filter(|(code, warning)| !elsewhere(*code, warning)).map(|(code, warning)| {
        let code = if code == Code::InvalidAnnotation { "annotation" } else { code.as_str() };
        Finding::warning(code, warning.clone())
    });
    refused.chain(warned).collect()
}
