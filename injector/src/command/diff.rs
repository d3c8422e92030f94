//! `injector diff`: what injection would change in manifests, as a unified diff of each object.
//!
//! Both sides are printed anew, so that comments and the order of keys are no part of the difference.

use serde::Serialize;
use similar::TextDiff;

use super::files::PassedOver;
use super::output::{self, Tone, line};
use super::review::{Review, Why, patched, review, verdict};
use super::{CommandError, Exit, ManifestArgs, Outcome, Style};
use crate::inject::{Operation, Verdict};
use crate::manifest::{Form, Manifest, ManifestError, Place, Workload};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    items: Vec<Finding>,
    passed_over: Vec<PassedOver>,
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

pub(super) fn run(args: &ManifestArgs, style: Style) -> Result<Outcome, CommandError> {
    let (manifests, surroundings) = args.load()?;
    let mut items = Vec::new();
    for (place, object) in manifests.iter().flat_map(Manifest::objects) {
        let Some(workload) = Workload::of(object) else { continue };
        let reviewed = review(&workload, surroundings.namespace(&workload), &surroundings.mesh);
        items.push(Finding::new(place, &workload, reviewed)?);
    }
    let findings = Findings { items, passed_over: PassedOver::of(&manifests) };
    Ok(Outcome::new(findings.exit(), args.input.output.show(&findings, style)))
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
}

impl output::Findings for Findings {
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
        PassedOver::print(&self.passed_over, &mut text, style);
        text
    }
}
