//! Whether a pod is injected: one table of rules in order, each with a name, what the API server can check of it before it
//! calls us, and the check of our own.
//!
//! The first rule that skips or refuses decides; what the others of the same kind found is told along with it, so that a
//! person mends everything at once. Where no rule objects, the pod is injected because of those that ask for it.
//!
//! The table is compiled into the webhook configuration ([`entries`]), judged for a review ([`judge`]), and shown in slow
//! motion ([`trace`]). What the API server checks is checked here again, wherever a review carries what it takes: labels of
//! namespaces it does not carry, and whoever changed the configuration by hand is not second-guessed about these.

mod conflicts;
mod identity;
mod kinds;
mod labels;
mod migration;
mod notes;
mod selected;
mod sent;

use super::Verdict;
use super::explain::{RuleOutcome, RuleTrace};
use super::facts::Facts;
use super::reason::{Code, Reason};

pub use selected::selected;
pub use sent::entries;
use sent::{Gate, Term};

/// A row of the table.
struct Rule {
    /// Stable; `explain` and the conditions of the webhook show it.
    name: &'static str,
    /// What the API server is told of it.
    sent: fn(&Gate<'_>) -> Vec<Term>,
    check: fn(&Facts<'_>) -> Vec<Finding>,
}

enum Finding {
    /// Injection is asked for.
    Inject(Reason),
    /// The pod is to be left as it is.
    Skip(Reason),
    /// The pod is to be refused.
    Reject(Reason),
    /// Its author should know, whatever is decided.
    Advise(Reason),
    /// Its author should know, unless the pod is left as it is.
    Warn(Reason),
    /// Only `explain` tells it.
    Note(Reason),
}

/// The table. What cannot work at all comes before what the user asked for, and that before what collides with it.
const RULES: [Rule; 21] = [
    Rule { name: "system-namespace", sent: sent::system_namespace, check: labels::system_namespace },
    Rule { name: "provider-namespace", sent: sent::provider_namespace, check: nothing },
    Rule { name: "mirror-pod", sent: sent::mirror_pod, check: kinds::mirror_pod },
    Rule { name: "windows", sent: sent::windows, check: kinds::windows },
    Rule { name: "host-network", sent: sent::host_network, check: kinds::host_network },
    Rule { name: "pod-label", sent: sent::pod_label, check: labels::pod_label },
    Rule { name: "pod-annotation", sent: ours, check: migration::pod_annotation },
    Rule { name: "revision", sent: sent::revision, check: labels::revision },
    Rule { name: "never-inject", sent: sent::never_inject, check: labels::never_inject },
    Rule { name: "always-inject", sent: sent::always_inject, check: labels::always_inject },
    Rule { name: "namespace-label", sent: sent::namespace_label, check: labels::namespace_label },
    Rule { name: "namespace-annotation", sent: ours, check: migration::namespace_annotation },
    Rule { name: "containers", sent: ours, check: conflicts::containers },
    Rule { name: "annotations", sent: ours, check: conflicts::annotations },
    Rule { name: "container-names", sent: ours, check: conflicts::names },
    Rule { name: "foreign-sidecar", sent: ours, check: conflicts::foreign_sidecar },
    Rule { name: "proxy-identity", sent: ours, check: identity::proxy_identity },
    Rule { name: "ports", sent: ours, check: conflicts::ports },
    Rule { name: "volume-names", sent: ours, check: conflicts::volumes },
    Rule { name: "pod-security", sent: ours, check: notes::pod_security },
    Rule { name: "udp", sent: ours, check: notes::udp },
];

/// The verdict of all rules.
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    /// Never empty, the deciding one first.
    pub(super) reasons: Vec<Reason>,
    pub(super) warnings: Vec<String>,
}

/// Holds all rules against a pod.
pub(super) fn judge(facts: &Facts<'_>) -> Judgement {
    let (mut injects, mut skips, mut rejects) = (Vec::new(), Vec::new(), Vec::new());
    let (mut warnings, mut advice) = (Vec::new(), Vec::new());
    let mut first = None;
    for finding in RULES.iter().flat_map(|rule| (rule.check)(facts)) {
        match finding {
            Finding::Inject(reason) => injects.push(reason),
            Finding::Skip(reason) => {
                first.get_or_insert(Verdict::Skip);
                skips.push(reason);
            }
            Finding::Reject(reason) => {
                first.get_or_insert(Verdict::Reject);
                rejects.push(reason);
            }
            Finding::Advise(reason) => advice.push(reason.text),
            Finding::Warn(reason) => warnings.push(reason.text),
            Finding::Note(_) => {}
        }
    }
    let (verdict, reasons) = match first {
        Some(Verdict::Skip) => (Verdict::Skip, skips),
        Some(_) => (Verdict::Reject, rejects),
        None if injects.is_empty() => (Verdict::Skip, vec![labels::not_selected()]),
        None => (Verdict::Inject, injects),
    };
    if verdict == Verdict::Skip {
        // The rest is about what an injected pod would be like.
        return Judgement { verdict, reasons, warnings: advice };
    }
    warnings.splice(0..0, advice);
    warnings.extend(facts.warnings.iter().cloned());
    Judgement { verdict, reasons, warnings }
}

/// Every rule and what it found, in the order of the table.
pub(super) fn trace(facts: &Facts<'_>) -> Vec<RuleTrace> {
    let traced = |rule: &Rule| {
        let mut outcome = RuleOutcome::Silent;
        let mut reasons = Vec::new();
        for finding in (rule.check)(facts) {
            let (found, reason) = finding.outcome();
            outcome = outcome.max(found);
            reasons.push(reason);
        }
        RuleTrace { rule: rule.name, outcome, reasons }
    };
    RULES.iter().map(traced).collect()
}

impl Finding {
    fn outcome(self) -> (RuleOutcome, Reason) {
        match self {
            Self::Note(reason) => (RuleOutcome::Note, reason),
            Self::Advise(reason) | Self::Warn(reason) => (RuleOutcome::Warn, reason),
            Self::Inject(reason) => (RuleOutcome::Inject, reason),
            Self::Skip(reason) => (RuleOutcome::Skip, reason),
            Self::Reject(reason) => (RuleOutcome::Reject, reason),
        }
    }
}

fn inject(code: Code, text: impl Into<String>) -> Finding {
    Finding::Inject(Reason::new(code, text))
}

fn skip(code: Code, text: impl Into<String>) -> Finding {
    Finding::Skip(Reason::new(code, text))
}

fn reject(code: Code, text: impl Into<String>) -> Finding {
    Finding::Reject(Reason::new(code, text))
}

fn advise(code: Code, text: impl Into<String>) -> Finding {
    Finding::Advise(Reason::new(code, text))
}

fn warn(code: Code, text: impl Into<String>) -> Finding {
    Finding::Warn(Reason::new(code, text))
}

fn note(code: Code, text: impl Into<String>) -> Finding {
    Finding::Note(Reason::new(code, text))
}

/// A rule about which the API server is told nothing: it takes more than labels and a cheap look at the pod.
fn ours(_: &Gate<'_>) -> Vec<Term> {
    Vec::new()
}

/// A rule that is about labels of the namespace alone.
fn nothing(_: &Facts<'_>) -> Vec<Finding> {
    Vec::new()
}
