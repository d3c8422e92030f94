//! `injector verify`: the pods of labelled namespaces that are not in the mesh although they should be, and those that an older
//! version or other settings injected.
//!
//! What a pod should carry is learned from a dry run in its namespace. Where that is not injected, nothing is said to be up to
//! date. Pods that are to be left alone (their label, the host's network) and those that ended are none of its findings.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::live::{LiveError, as_pod, look, name};
use super::meshed::{Meshed, owner_remedy};
use super::output::{self, Table, Tone, line};
use super::review::{Mesh, review};
use super::{CommandError, Exit, LiveArgs, Outcome, Style, probe_pod};
use crate::cluster::Survey;
use crate::inject::{Namespace, NamespaceMetadata, Verdict};
use crate::manifest::{Workload, metadata_of, namespace_name};

/// Options of `injector verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// Only this namespace; without it all whose label turns injection on
    #[arg(long, short, value_name = "NAME", value_parser = namespace_name)]
    pub namespace: Option<String>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub live: LiveArgs,
}

#[derive(Default, Serialize)]
struct Findings {
    namespaces: Vec<String>,
    /// How many pods were looked at.
    pods: usize,
    /// How many of them are in the mesh and up to date.
    current: usize,
    /// How many are in the mesh, while what a pod is injected with now is not known.
    unknown: usize,
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

pub(super) fn run(args: &VerifyArgs, style: Style) -> Result<Outcome, CommandError> {
    let LiveArgs { settings, cluster, output } = &args.live;
    let only = args.namespace.as_deref();
    let findings = look(cluster, settings, async |survey: &Survey, judging| {
        let unseen = judging.doubt().into_iter().collect();
        let mut findings = Findings { unseen, ..Findings::default() };
        let mesh = Mesh::exported(judging.settings);
        for namespace in namespaces(survey, only).await? {
            findings.look(survey, &namespace, &mesh).await;
        }
        Ok(findings)
    })?;
    let exit = match (findings.findings.is_empty(), findings.unseen.is_empty()) {
        (false, _) => Exit::Found,
        (true, false) => Exit::Warned,
        (true, true) => Exit::Ok,
    };
    Ok(Outcome::new(exit, output.show(&findings, style)))
}

async fn namespaces(survey: &Survey, only: Option<&str>) -> Result<Vec<Value>, LiveError> {
    if let Some(name) = only {
        let found = survey.namespace(name).await?;
        let absent = || LiveError::Absent(format!("there is no namespace {name}"));
        return Ok(vec![found.ok_or_else(absent)?]);
    }
    Ok(survey.namespaces().await?.into_iter().filter(is_labelled).collect())
}

fn is_labelled(namespace: &Value) -> bool {
    let labels = namespace.pointer("/metadata/labels");
    let label = labels.and_then(|labels| labels.get(api::labels::NAMESPACE_INJECTION));
    label.and_then(Value::as_str) == Some(api::labels::ENABLED)
}

/// What a pod that is created now is injected with, or why that is not known.
async fn current(survey: &Survey, namespace: &Value) -> Result<Meshed, String> {
    // Where the namespace's label says nothing, pods are injected that ask for it.
    let asks = (!is_labelled(namespace)).then_some("true");
    match survey.dry_run(name(namespace), &probe_pod(asks)).await {
        Ok(pod) => Meshed::of(&pod)
            .ok_or_else(|| "a pod that is created now is not injected; injector check says why".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a pod has ended or is about to.
fn has_ended(pod: &Value) -> bool {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    ["Succeeded", "Failed"].contains(&phase) || pod.pointer("/metadata/deletionTimestamp").is_some()
}

impl Findings {
    async fn look(&mut self, survey: &Survey, namespace: &Value, mesh: &Mesh) {
        let name = name(namespace);
        let current = current(survey, namespace).await;
        let unknown = self.unknown;
        self.namespaces.push(name.to_owned());
        match survey.pods(name).await {
            Ok(pods) => {
                let metadata = metadata_of(namespace.get("metadata").unwrap_or(&Value::Null));
                for pod in pods.into_iter().map(as_pod).filter(|pod| !has_ended(pod)) {
                    self.add(&pod, (name, &metadata), current.as_ref().ok(), mesh);
                }
            }
            Err(error) => self.unseen.push(format!("namespace {name}: {error}")),
        }
        // In a namespace without the label that matters only to pods that are in the mesh nevertheless.
        if let Err(why) = current
            && (is_labelled(namespace) || self.unknown > unknown)
        {
            self.unseen.push(format!("namespace {name}: what is outdated is not known: {why}"));
        }
    }

    fn add(
        &mut self,
        pod: &Value,
        (namespace, metadata): (&str, &NamespaceMetadata),
        current: Option<&Meshed>,
        mesh: &Mesh,
    ) {
        self.pods += 1;
        let (state, why) = match (Meshed::of(pod), current) {
            (Some(meshed), Some(current)) => match meshed.differs(current) {
                Some(why) => ("outdated", why),
                None => {
                    self.current += 1;
                    return;
                }
            },
            (Some(_), None) => {
                self.unknown += 1;
                return;
            }
            (None, _) => match should_be(pod, (namespace, metadata), mesh) {
                Some(why) => ("unmeshed", why),
                None => return,
            },
        };
        self.remedies.insert(owner_remedy(pod, namespace));
        let (namespace, pod) = (namespace.to_owned(), name(pod).to_owned());
        self.findings.push(Finding { namespace, pod, state, why });
    }
}

impl output::Findings for Findings {
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
        let (namespaces, to_mend) = (self.namespaces.len(), self.findings.len());
        let Self { pods, current, unknown, .. } = self;
        let left = pods - current - unknown - to_mend;
        let sum = format!(
            "namespaces: {namespaces}, pods: {pods}, up to date: {current}, unknown: {unknown}, left alone on purpose: {left}, \
             to be mended: {to_mend}"
        );
        let tone = match (to_mend, self.unseen.len()) {
            (0, 0) => Tone::Good,
            (0, _) => Tone::Doubtful,
            (_, _) => Tone::Bad,
        };
        line(&mut text, format_args!("{}", style.paint(tone, &sum)));
        text
    }
}

/// Why a pod without an injection should have one; nothing where it is left alone on purpose.
fn should_be(pod: &Value, (name, metadata): (&str, &NamespaceMetadata), mesh: &Mesh) -> Option<String> {
    let workload = Workload::of(pod)?;
    let namespace = Namespace { name, metadata: Some(metadata) };
    let decision = review(&workload, namespace, mesh).decision;
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
