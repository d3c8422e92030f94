//! A decision in slow motion, for people: every rule and what it found, every value and where it comes from. The webhook has
//! no use for it.

use super::Decision;
use super::reason::Reason;

/// A decision with everything that led to it.
#[derive(Debug)]
pub struct Explanation {
    /// The decision, as the webhook makes it.
    pub decision: Decision,
    /// Every rule, in the order of the table; of a pod that carries our injection, of the pod without it. Empty where what
    /// was sent is no pod.
    pub rules: Vec<RuleTrace>,
    /// Every value; empty where an annotation is wrong.
    pub values: Vec<ValueTrace>,
}

/// Where a value comes from; later ones win.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Source {
    /// Built in.
    #[default]
    Default,
    /// The configuration file.
    Mesh,
    /// An annotation of the namespace.
    Namespace,
    /// An annotation of the pod.
    Pod,
}

/// One value that an injection uses.
#[derive(Clone, Debug)]
pub struct ValueTrace {
    /// What it is, in the words of the documentation.
    pub name: &'static str,
    /// The value in use, as text.
    pub value: String,
    /// Where it comes from.
    pub source: Source,
    /// The key that set it; absent for a built-in value.
    pub key: Option<String>,
}

/// One rule of the table, and what it found.
#[derive(Clone, Debug)]
pub struct RuleTrace {
    /// Its name, stable.
    pub rule: &'static str,
    /// What it says about this pod.
    pub outcome: RuleOutcome,
    /// Why; empty where the rule has nothing to say.
    pub reasons: Vec<Reason>,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum RuleOutcome {
    /// Nothing: the pod is none of its business.
    Silent,
    /// Something that nobody needs to change.
    Note,
    /// Something that the author of the pod should know.
    Warn,
    /// The pod is injected because of it.
    Inject,
    /// The pod is left as it is.
    Skip,
    /// The pod is refused.
    Reject,
}
