//! `injector explain`: why a pod is injected or is not, by every rule, with every value and its source, and what becomes of the
//! pod. Offline for manifests, live for `pod/NAME`.

mod effects;
mod live;
mod text;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::review::{Sent, Why, patched, request, sent, verdict};
use super::{Exit, Format, Outcome, OutputArgs, SettingsArgs, Style, output, pod_security};
use crate::cluster::ClusterArgs;
use crate::inject::{
    self, Matched, Namespace, RuleOutcome, RuleTrace, Settings, Source, ValueTrace, Verdict,
};
use crate::manifest::{self, Manifest, NamespaceArgs, Namespaces, Place, Workload};
use effects::Effects;

/// Options of `injector explain`.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// Manifests in YAML or JSON (`-` reads standard input), or `pod/NAME` for a pod of the cluster
    #[arg(value_name = "FILE | pod/NAME", required = true)]
    pub subjects: Vec<PathBuf>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub namespace: NamespaceArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub settings: SettingsArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub cluster: ClusterArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Findings {
    items: Vec<Explanation>,
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

pub(super) fn run(args: &ExplainArgs, style: Style) -> Outcome {
    let settings = match args.settings.load() {
        Ok(settings) => settings,
        Err(error) => return Outcome::failed(Exit::Unreadable, &error),
    };
    let (pods, files): (Vec<_>, Vec<_>) =
        args.subjects.iter().partition(|subject| live::pod_name(subject).is_some());
    let files: Vec<PathBuf> = files.into_iter().cloned().collect();
    let manifests = match manifest::read(&files) {
        Ok(manifests) => manifests,
        Err(error) => return error.into(),
    };
    let mut items = offline(&manifests, &Namespaces::new(&args.namespace, &manifests), &settings);
    let names: Vec<&str> = pods.iter().filter_map(|pod| live::pod_name(pod)).collect();
    if !names.is_empty() {
        match live::explain(&names, args, &settings) {
            Ok(running) => items.extend(running),
            Err(error) => return Outcome::failed(Exit::Unreadable, &error),
        }
    }
    let refused = items.iter().any(|item| item.verdict == verdict(Verdict::Reject));
    let findings = Findings { items };
    let output = match args.output.output {
        Format::Json => output::json(&findings),
        Format::Text => text::print(&findings.items, style),
    };
    Outcome::new(if refused { Exit::Refused } else { Exit::Ok }, output)
}

fn offline(manifests: &[Manifest], namespaces: &Namespaces, settings: &Settings) -> Vec<Explanation> {
    let configuration = super::configuration(settings);
    let mut items = Vec::new();
    for (place, object) in manifests.iter().flat_map(Manifest::objects) {
        if let Some(workload) = Workload::of(object) {
            let namespace = namespaces.get(workload.namespace);
            let mut item = Explanation::new(&workload, namespace, &configuration, settings);
            item.place = Some(place.clone());
            items.push(item);
        }
    }
    items
}

impl Explanation {
    fn new(
        workload: &Workload<'_>,
        namespace: Namespace<'_>,
        configuration: &Value,
        settings: &Settings,
    ) -> Self {
        let sent = sent(&workload.pod, namespace, configuration, settings);
        // What is not sent is traced nevertheless: there may be more than one reason.
        let matched = sent.as_ref().map_or(Matched::Object, |sent| sent.matched);
        let traced = inject::explain(&request(workload, namespace, matched), settings);
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
