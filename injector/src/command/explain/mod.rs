//! `injector explain`: why a pod is injected or is not, by every rule, with every value and its source, and what becomes of the
//! pod. Offline for manifests, live for `pod/NAME`.

mod effects;
mod live;
mod text;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::files::{PassedOver, Surroundings};
use super::review::{Mesh, Sent, Why, patched, request, sent, verdict};
use super::{CommandError, Exit, ManifestArgs, Outcome, Style, output, pod_security};
use crate::cluster::ClusterArgs;
use crate::inject::{self, Matched, Namespace, RuleOutcome, RuleTrace, Source, ValueTrace, Verdict};
use crate::manifest::{Manifest, Place, Workload};
use effects::Effects;

/// Options of `injector explain`.
#[derive(Args, Clone, Debug)]
#[command(mut_arg("files", |files| files
    .value_name("FILE | pod/NAME")
    .help("Manifests in YAML or JSON (`-` reads standard input), or `pod/NAME` for a pod of the cluster")))]
pub struct ExplainArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub manifests: ManifestArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub cluster: ClusterArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    items: Vec<Explanation>,
    passed_over: Vec<PassedOver>,
}

/// All about one pod.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    /// Absent for a pod of the cluster.
    #[serde(flatten)]
    place: Option<Place>,
    object: String,
    namespace: String,
    verdict: &'static str,
    reasons: Vec<Why>,
    warnings: Vec<String>,
    /// By which entry of the webhook configuration the API server sends it; absent where it does not.
    sent: Option<Sent>,
    rules: Vec<Rule>,
    values: Vec<SourcedValue>,
    /// Absent where nothing is injected.
    effects: Option<Effects>,
    /// What is known of a pod that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<live::Running>,
}

#[derive(Serialize)]
struct Rule {
    rule: &'static str,
    outcome: &'static str,
    reasons: Vec<Why>,
}

#[derive(Serialize)]
struct SourcedValue {
    name: &'static str,
    value: String,
    source: &'static str,
    key: Option<String>,
}

pub(super) fn run(args: &ExplainArgs, style: Style) -> Result<Outcome, CommandError> {
    let subjects = &args.manifests.input.files;
    let (pods, files): (Vec<_>, Vec<_>) =
        subjects.iter().partition(|subject| live::pod_name(subject).is_some());
    let files: Vec<PathBuf> = files.into_iter().cloned().collect();
    let (manifests, surroundings) = args.manifests.load_of(&files)?;
    let mut items = offline(&manifests, &surroundings);
    let names: Vec<&str> = pods.iter().filter_map(|pod| live::pod_name(pod)).collect();
    if !names.is_empty() {
        items.extend(live::explain(&names, args)?);
    }
    let refused = items.iter().any(|item| item.verdict == verdict(Verdict::Reject));
    let findings = Findings { items, passed_over: PassedOver::of(&manifests) };
    let output = args.manifests.input.output.show(&findings, style);
    Ok(Outcome::new(if refused { Exit::Refused } else { Exit::Ok }, output))
}

fn offline(manifests: &[Manifest], surroundings: &Surroundings) -> Vec<Explanation> {
    let mut items = Vec::new();
    for (place, object) in manifests.iter().flat_map(Manifest::objects) {
        if let Some(workload) = Workload::of(object) {
            let namespace = surroundings.namespace(&workload);
            let mut item = Explanation::new(&workload, namespace, &surroundings.mesh);
            item.place = Some(place.clone());
            items.push(item);
        }
    }
    items
}

impl output::Findings for Findings {
    fn text(&self, style: Style) -> String {
        let mut text = text::print(&self.items, style);
        PassedOver::print(&self.passed_over, &mut text, style);
        text
    }
}

impl Explanation {
    fn new(workload: &Workload<'_>, namespace: Namespace<'_>, mesh: &Mesh) -> Self {
        let sent = sent(&workload.pod, namespace, mesh);
        // What is not sent is traced nevertheless: there may be more than one reason.
        let matched = sent.as_ref().map_or(Matched::Object, |sent| sent.matched);
        let traced = inject::explain(&request(workload, namespace, matched), &mesh.settings);
        let (sent, mut verdict_, mut reasons) = match sent {
            Ok(sent) => (Some(sent), traced.decision.verdict, why(&traced.decision.reasons)),
            Err(reasons) => (None, Verdict::Skip, why(&reasons)),
        };
        let enforced = namespace.metadata.and_then(|metadata| {
            pod_security::Level::parse(metadata.labels.get(api::labels::POD_SECURITY_ENFORCE)?)
        });
        let effects = match (verdict_, patched(&workload.pod, &traced.decision.operations)) {
            (Verdict::Inject, Ok(after)) => Some(Effects::new(&workload.pod, &after, enforced)),
            (Verdict::Inject, Err(reason)) => {
                (verdict_, reasons) = (Verdict::Reject, vec![Why::from(&reason)]);
                None
            }
            (Verdict::Unchanged | Verdict::Skip | Verdict::Reject, _) => None,
        };
        Self {
            place: None,
            object: workload.title(),
            namespace: namespace.name.to_owned(),
            verdict: verdict(verdict_),
            reasons,
            warnings: traced.decision.warnings,
            sent,
            rules: traced.rules.iter().map(Rule::from).collect(),
            values: traced.values.into_iter().map(SourcedValue::from).collect(),
            effects,
            running: None,
        }
    }
}

fn why(reasons: &[inject::Reason]) -> Vec<Why> {
    reasons.iter().map(Why::from).collect()
}

impl From<&RuleTrace> for Rule {
    fn from(trace: &RuleTrace) -> Self {
        let outcome = match trace.outcome {
            RuleOutcome::Silent => "silent",
            RuleOutcome::Note => "note",
            RuleOutcome::Warn => "warn",
            RuleOutcome::Inject => "inject",
            RuleOutcome::Skip => "skip",
            RuleOutcome::Reject => "reject",
        };
        Self { rule: trace.rule, outcome, reasons: why(&trace.reasons) }
    }
}

impl From<ValueTrace> for SourcedValue {
    fn from(trace: ValueTrace) -> Self {
        let source = match trace.source {
            Source::Default => "default",
            Source::Mesh => "mesh",
            Source::Namespace => "namespace",
            Source::Pod => "pod",
        };
        Self { name: trace.name, value: trace.value, source, key: trace.key }
    }
}

impl Explanation {
    /// Of something that is no pod.
    fn empty(namespace: &str) -> Self {
        Self {
            place: None,
            object: String::new(),
            namespace: namespace.to_owned(),
            verdict: verdict(Verdict::Skip),
            reasons: Vec::new(),
            warnings: Vec::new(),
            sent: None,
            rules: Vec::new(),
            values: Vec::new(),
            effects: None,
            running: None,
        }
    }
}
