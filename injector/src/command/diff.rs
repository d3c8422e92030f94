//! `injector diff`: what injection would change in manifests, as a unified diff of each object.
//!
//! Both sides are printed anew, so that comments and the order of keys are no part of the difference.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use similar::TextDiff;

use super::output::{self, Tone, line};
use super::review::{Review, Why, patched, review, verdict};
use super::{Exit, Format, Outcome, OutputArgs, SettingsArgs, Style};
use crate::inject::{Operation, Verdict};
use crate::manifest::{self, Form, Manifest, ManifestError, NamespaceArgs, Namespaces, Place, Workload};

/// Options of `injector diff`.
#[derive(Args, Clone, Debug)]
pub struct DiffArgs {
    /// Manifests in YAML or JSON, several documents and lists included; `-` reads standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub namespace: NamespaceArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub settings: SettingsArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Findings {
    items: Vec<Finding>,
}

/// One object with pods.
#[derive(Serialize)]
struct Finding {
    #[serde(flatten)]
    place: Place,
    object: String,
    verdict: &'static str,
    reasons: Vec<Why>,
    warnings: Vec<String>,
    /// RFC 6902, on the pod or the template.
    patch: Vec<Operation>,
    /// Unified, on the pod or the template in YAML.
    diff: String,
}

pub(super) fn run(args: &DiffArgs, style: Style) -> Outcome {
    let settings = match args.settings.load() {
        Ok(settings) => settings,
        Err(error) => return Outcome::failed(Exit::Unreadable, &error),
    };
    let manifests = match manifest::read(&args.files) {
        Ok(manifests) => manifests,
        Err(error) => return error.into(),
    };
    let namespaces = Namespaces::new(&args.namespace, &manifests);
    let configuration = super::configuration(&settings);
    let mut items = Vec::new();
    for (place, object) in manifests.iter().flat_map(Manifest::objects) {
        let Some(workload) = Workload::of(object) else { continue };
        let reviewed = review(&workload, namespaces.get(workload.namespace), &configuration, &settings);
        match Finding::new(place, &workload, reviewed) {
            Ok(finding) => items.push(finding),
            Err(error) => return error.into(),
        }
    }
    let findings = Findings { items };
    let output = match args.output.output {
        Format::Json => output::json(&findings),
        Format::Text => findings.text(style),
    };
    Outcome::new(findings.exit(), output)
}

impl Finding {
    fn new(place: &Place, workload: &Workload<'_>, reviewed: Review) -> Result<Self, ManifestError> {
        let Review { mut decision, .. } = reviewed;
        let after = match patched(&workload.pod, &decision.operations) {
            Ok(after) => after,
            Err(reason) => {
                decision.verdict = Verdict::Reject;
                decision.reasons = vec![reason];
                workload.pod.clone()
            }
        };
        let print = |pod| {
            Form::Yaml.print(pod).map_err(|source| ManifestError::Document { place: place.clone(), source })
        };
        let (before, after) = (print(&workload.pod)?, print(&after)?);
        Ok(Self {
            place: place.clone(),
            object: workload.title(),
            verdict: verdict(decision.verdict),
            reasons: decision.reasons.iter().map(Why::from).collect(),
            warnings: decision.warnings,
            patch: decision.operations,
            diff: unified(&before, &after, &workload.title()),
        })
    }
}

fn unified(before: &str, after: &str, title: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let (old, new) = (format!("{title} as written"), format!("{title} as injected"));
    diff.unified_diff().context_radius(3).header(&old, &new).to_string()
}

impl Findings {
    fn exit(&self) -> Exit {
        let any = |verdict| self.items.iter().any(|item| item.verdict == verdict);
        match (any("reject"), any("inject")) {
            (true, _) => Exit::Refused,
            (false, true) => Exit::Found,
            (false, false) => Exit::Ok,
        }
    }

    fn text(&self, style: Style) -> String {
        let mut text = String::new();
        for item in &self.items {
            let reasons: Vec<_> = item.reasons.iter().map(ToString::to_string).collect();
            let title =
                format!("# {}: {}: {}: {}", item.place, item.object, item.verdict, reasons.join("; "));
            line(&mut text, format_args!("{}", style.paint(Tone::Title, &title)));
            for warning in &item.warnings {
                line(
                    &mut text,
                    format_args!("{}", style.paint(Tone::Doubtful, &format!("# warning: {warning}"))),
                );
            }
            for changed in item.diff.lines() {
                let tone = match changed.as_bytes().first() {
                    Some(b'+') => Tone::Good,
                    Some(b'-') => Tone::Bad,
                    Some(b'@') => Tone::Quiet,
                    Some(_) | None => Tone::Plain,
                };
                line(&mut text, format_args!("{}", style.paint(tone, changed)));
            }
        }
        if self.items.is_empty() {
            line(&mut text, format_args!("# no object with pods is known in the input"));
        }
        text
    }
}
