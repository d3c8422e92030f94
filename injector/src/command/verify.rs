//! `injector verify`: the pods of labelled namespaces that are not in the mesh although they should be, and those that an older
//! version or other settings injected.
//!
//! What a pod should carry is learned from a dry run in its namespace, so that no copy of the installation's settings is
//! needed. Pods that are to be left alone (their label, the host's network) and those that ended are none of its findings.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::live::{LiveError, as_pod, look};
use super::meshed::{Meshed, owner_remedy};
use super::output::{self, Table, Tone, line};
use super::review::review;
use super::{Exit, Format, Outcome, OutputArgs, SettingsArgs, Style, probe_pod};
use crate::cluster::{ClusterArgs, Survey};
use crate::inject::{Namespace, NamespaceMetadata, Settings, Verdict};
use crate::manifest::{Workload, metadata_of};

/// Options of `injector verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// Only this namespace; without it all whose label turns injection on
    #[arg(long, short, value_name = "NAME")]
    pub namespace: Option<String>,

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

#[derive(Default, Serialize)]
struct Findings {
    namespaces: Vec<String>,
    /// How many pods were looked at.
    pods: usize,
    /// How many of them are in the mesh and up to date.
    current: usize,
    findings: Vec<Finding>,
    /// What would end all findings.
    remedies: BTreeSet<String>,
    /// What could not be looked at.
    unseen: Vec<String>,
}

#[derive(Serialize)]
struct Finding {
    namespace: String,
    pod: String,
    /// `unmeshed` or `outdated`.
    state: &'static str,
    why: String,
}

pub(super) fn run(args: &VerifyArgs, style: Style) -> Outcome {
    let settings = match args.settings.load() {
        Ok(settings) => settings,
        Err(error) => return Outcome::failed(Exit::Unreadable, &error),
    };
    match look(&args.cluster, async |survey: &Survey| verify(survey, args, &settings).await) {
        Ok(findings) => {
            let exit = match (findings.findings.is_empty(), findings.unseen.is_empty()) {
                (false, _) => Exit::Found,
                (true, false) => Exit::Warned,
                (true, true) => Exit::Ok,
            };
            let output = match args.output.output {
                Format::Json => output::json(&findings),
                Format::Text => findings.text(style),
            };
            Outcome::new(exit, output)
        }
        Err(error) => Outcome::failed(Exit::Unreadable, &error),
    }
}

async fn verify(survey: &Survey, args: &VerifyArgs, settings: &Settings) -> Result<Findings, LiveError> {
    let mut findings = Findings::default();
    for namespace in namespaces(survey, args).await? {
        let name = namespace.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let current = match survey.dry_run(name, &probe_pod(None)).await {
            Ok(pod) => Meshed::of(&pod),
            Err(error) => {
                findings.unseen.push(format!("namespace {name}: what is outdated is not known: {error}"));
                None
            }
        };
        let metadata = metadata_of(namespace.get("metadata").unwrap_or(&Value::Null));
        findings.namespaces.push(name.to_owned());
        match survey.pods(name).await {
            Ok(pods) => {
                for pod in pods.into_iter().map(as_pod).filter(|pod| !has_ended(pod)) {
                    findings.add(&pod, (name, &metadata), current.as_ref(), settings);
                }
            }
            Err(error) => findings.unseen.push(format!("namespace {name}: {error}")),
        }
    }
    Ok(findings)
}

async fn namespaces(survey: &Survey, args: &VerifyArgs) -> Result<Vec<Value>, LiveError> {
    if let Some(name) = &args.namespace {
        let found = survey.namespace(name).await?;
        let absent = || LiveError::Absent(format!("there is no namespace {name}"));
        return Ok(vec![found.ok_or_else(absent)?]);
    }
    let labelled = |namespace: &Value| {
        let labels = namespace.pointer("/metadata/labels");
        let label = labels.and_then(|labels| labels.get(api::labels::NAMESPACE_INJECTION));
        label.and_then(Value::as_str) == Some(api::labels::ENABLED)
    };
    Ok(survey.namespaces().await?.into_iter().filter(labelled).collect())
}

/// Whether a pod has ended or is about to.
fn has_ended(pod: &Value) -> bool {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    ["Succeeded", "Failed"].contains(&phase) || pod.pointer("/metadata/deletionTimestamp").is_some()
}

impl Findings {
    fn add(
        &mut self,
        pod: &Value,
        (namespace, metadata): (&str, &NamespaceMetadata),
        current: Option<&Meshed>,
        settings: &Settings,
    ) {
        self.pods += 1;
        let (state, why) = match Meshed::of(pod) {
            Some(meshed) => match current.and_then(|current| meshed.differs(current)) {
                Some(why) => ("outdated", why),
                None => {
                    self.current += 1;
                    return;
                }
            },
            None => match should_be(pod, (namespace, metadata), settings) {
                Some(why) => ("unmeshed", why),
                None => return,
            },
        };
        let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        self.remedies.insert(owner_remedy(pod, namespace));
        self.findings.push(Finding { namespace: namespace.to_owned(), pod: name.to_owned(), state, why });
    }

    fn text(&self, style: Style) -> String {
        let mut text = String::new();
        if !self.findings.is_empty() {
            let mut table = Table::default();
            table.head(["NAMESPACE", "POD", "STATE", "WHY"]);
            for finding in &self.findings {
                let tone = if finding.state == "unmeshed" { Tone::Bad } else { Tone::Doubtful };
                table.row([
                    (Tone::Plain, finding.namespace.clone()),
                    (Tone::Plain, finding.pod.clone()),
                    (tone, finding.state.to_owned()),
                    (Tone::Plain, finding.why.clone()),
                ]);
            }
            text.push_str(&table.print(style));
            line(&mut text, format_args!("\n{}", style.paint(Tone::Title, "To mend it")));
            for remedy in &self.remedies {
                line(&mut text, format_args!("  {}", style.paint(Tone::Plain, remedy)));
            }
            text.push('\n');
        }
        for unseen in &self.unseen {
            line(&mut text, format_args!("{}", style.paint(Tone::Doubtful, unseen)));
        }
        let (namespaces, pods, current) = (self.namespaces.len(), self.pods, self.current);
        let left = pods - current - self.findings.len();
        let sum = format!(
            "namespaces: {namespaces}, pods: {pods}, up to date: {current}, left alone on purpose: {left}, \
             to be mended: {}",
            self.findings.len()
        );
        let tone = if self.findings.is_empty() { Tone::Good } else { Tone::Bad };
        line(&mut text, format_args!("{}", style.paint(tone, &sum)));
        text
    }
}

/// Why a pod without an injection should have one; nothing where it is left alone on purpose.
fn should_be(
    pod: &Value,
    (name, metadata): (&str, &NamespaceMetadata),
    settings: &Settings,
) -> Option<String> {
    let workload = Workload::of(pod)?;
    let namespace = Namespace { name, metadata: Some(metadata) };
    let decision = review(&workload, namespace, &super::configuration(settings), settings).decision;
    let reasons: Vec<_> = decision.reasons.iter().map(ToString::to_string).collect();
    match decision.verdict {
        Verdict::Inject | Verdict::Unchanged => {
            Some("it would be injected if it were created now".to_owned())
        }
        Verdict::Reject => {
            Some(format!("it would be refused if it were created now: {}", reasons.join("; ")))
        }
        Verdict::Skip => None,
    }
}
