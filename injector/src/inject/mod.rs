//! The decision about a pod, pure: what the API server sends in, what is done and why comes out. The webhook, the command
//! line and the tests are thin shells around [`decide`].
//!
//! It works on the raw JSON of the pod, so that fields which are newer than this program survive, and it adds, but for a
//! declared list of edits: no diff, no template, no I/O, no clock. [`uninject()`] takes out what [`decide`] put in.
//!
//! Invariant: the same request and settings give the same decision, byte for byte; and a pod that carries our own
//! injection unchanged gets an empty patch.
//!
//! Reading order: `rules` say whether, `options` say how, `additions` say what, `patch` says where; `again` is about a pod
//! that was injected before.

use serde_json::Value;

mod additions;
mod again;
mod cautions;
mod edit;
mod explain;
mod facts;
mod init;
mod metadata;
mod namespace;
mod options;
mod patch;
mod pod;
mod probes;
mod prometheus;
mod proxy;
mod qos;
mod reason;
mod record;
mod requester;
mod resources;
mod rules;
mod selection;
mod settings;
mod status;
mod uninject;
mod volumes;

pub use explain::{Explanation, RuleOutcome, RuleTrace, Source, ValueTrace};
pub use namespace::{Namespace, NamespaceMetadata};
pub use options::{Defaults, KubernetesVersion};
pub use patch::{Operation, apply};
pub use qos::QosClass;
pub use reason::{Code, Reason};
pub use requester::Requester;
pub use rules::{entries, selected};
pub use selection::{
    Condition, Entry, InvalidLabel, LabelSelector, NamespaceName, NamespaceNameError, Requirement, Selection,
};
pub use settings::{Images, InjectArgs, RedirectBackend, Settings};
pub use uninject::{Uninjection, uninject};

use additions::Additions;
use facts::Facts;
use pod::Pod;
use status::Status;

/// What the selectors of the webhook configuration matched before the pod was sent to us. The API server alone decides
/// about labels of namespaces: a review does not carry them, and a cache of ours would lag behind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Matched {
    /// The namespace has the label that turns injection on.
    Namespace,
    /// The pod itself asks for injection, by its label or by a selector of the configuration, and the namespace says nothing.
    Object,
}

/// A question to [`decide`].
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The pod as the API server sent it, or `metadata` and `spec` of a workload's template.
    pub pod: &'a Value,
    /// Why we are asked.
    pub matched: Matched,
    /// The namespace in which the pod is created; the pod's own field may be empty.
    pub namespace: Namespace<'a>,
    /// Who creates it; absent where nobody does yet.
    pub requester: Option<&'a Requester>,
    /// Name of the workload whose template this is. A pod names its owner itself.
    pub workload: Option<&'a str>,
}

/// What is done with the pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is patched.
    Inject,
    /// It carries our injection already; nothing is to be done.
    Unchanged,
    /// It is let through as it is.
    Skip,
    /// It is refused.
    Reject,
}

/// The answer.
#[derive(Debug)]
pub struct Decision {
    /// What is done.
    pub verdict: Verdict,
    /// Why; never empty, the deciding reason first.
    pub reasons: Vec<Reason>,
    /// The patch; empty unless the verdict is [`Verdict::Inject`].
    pub operations: Vec<Operation>,
    /// What the author of the pod should know although nothing is refused.
    pub warnings: Vec<String>,
}

/// Decides about one pod.
pub fn decide(request: &Request<'_>, settings: &Settings) -> Decision {
    let previous = Pod::new(request.pod).map(Status::of);
    match previous {
        Ok(None) => first(request, settings),
        Ok(Some(previous)) => again::decide(request, settings, previous),
        Err(reason) => Err(reason),
    }
    .unwrap_or_else(|reason| Decision::without_patch(Verdict::Reject, vec![reason], Vec::new()))
}

/// Decides about one pod, and says how. A pod that carries our injection is traced as it would be without it.
pub fn explain(request: &Request<'_>, settings: &Settings) -> Explanation {
    let decision = decide(request, settings);
    let mut bare = request.pod.clone();
    if let Ok(undone) = uninject(request.pod) {
        // Operations that were made for this pod apply to it.
        let _ = apply(&mut bare, &undone.operations);
    }
    let request = Request { pod: &bare, ..*request };
    let (rules, values) = match Facts::new(&request, settings, None) {
        Ok(facts) => (rules::trace(&facts), options::trace(&facts)),
        Err(_) => (Vec::new(), Vec::new()),
    };
    Explanation { decision, rules, values }
}

/// The first review of a pod.
fn first(request: &Request<'_>, settings: &Settings) -> Result<Decision, Reason> {
    let facts = Facts::new(request, settings, None)?;
    let rules::Judgement { verdict, reasons, mut warnings } = rules::judge(&facts);
    match (verdict, &facts.options) {
        (Verdict::Inject, Ok(options)) => {
            let mut additions = Additions::new(&facts, options, &mut warnings);
            record::record(&mut additions, &facts, &reasons);
            let operations = patch::operations(additions, facts.pod)?;
            Ok(Decision { verdict, reasons, operations, warnings })
        }
        (_, _) => Ok(Decision::without_patch(verdict, reasons, warnings)),
    }
}

impl Decision {
    fn without_patch(verdict: Verdict, reasons: Vec<Reason>, warnings: Vec<String>) -> Self {
        Self { verdict, reasons, operations: Vec::new(), warnings }
    }
}
