//! `injector inject`: manifests in, patched manifests out, as the webhook would patch their pods.
//!
//! Invariant: either everything is printed or nothing: one document that cannot be read, or one pod that is refused, and there
//! is no output.

use serde_json::{Value, json};

use super::files::{PassedOver, Surroundings};
use super::review::{Review, patched, review};
use super::{CommandError, Exit, Format, ManifestArgs, Outcome, output};
use crate::inject::{Reason, Verdict};
use crate::manifest::{Manifest, ManifestError, Place, Workload};

/// What became of an object with pods.
#[derive(Debug)]
pub(super) struct Note {
    object: String,
    verdict: &'static str,
    reasons: Vec<Reason>,
    warnings: Vec<String>,
}

/// A pod that stops everything.
#[derive(Debug, thiserror::Error)]
#[error("{place}, {object}: {reasons}")]
pub(super) struct Refused {
    place: Place,
    object: String,
    reasons: String,
}

impl Refused {
    pub(super) fn new(place: &Place, object: String, reasons: &[Reason]) -> Self {
        let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
        Self { place: place.clone(), object, reasons: reasons.join("; ") }
    }
}

pub(super) fn run(args: &ManifestArgs) -> Result<Outcome, CommandError> {
    let (mut manifests, surroundings) = args.load()?;
    let notes = inject(&mut manifests, &surroundings)?;
    done(&manifests, notes.iter().flat_map(Note::lines).collect(), args.input.output.output)
}

/// Injects in place.
fn inject(manifests: &mut [Manifest], surroundings: &Surroundings) -> Result<Vec<Note>, Refused> {
    let mut notes = Vec::new();
    for manifest in manifests {
        manifest.change(|place, workload| {
            let Review { decision, .. } =
                review(workload, surroundings.namespace(workload), &surroundings.mesh);
            let refused = |reasons: &[Reason]| Refused::new(place, workload.title(), reasons);
            let changed = match decision.verdict {
                Verdict::Reject => return Err(refused(&decision.reasons)),
                Verdict::Inject => {
                    Some(patched(&workload.pod, &decision.operations).map_err(|reason| refused(&[reason]))?)
                }
                Verdict::Skip | Verdict::Unchanged => None,
            };
            notes.push(Note::new(workload, decision));
            Ok(changed)
        })?;
    }
    Ok(notes)
}

impl Note {
    fn new(workload: &Workload<'_>, decision: crate::inject::Decision) -> Self {
        Self {
            object: workload.title(),
            verdict: super::review::verdict(decision.verdict),
            reasons: decision.reasons,
            warnings: decision.warnings,
        }
    }

    fn lines(&self) -> Vec<String> {
        let reasons: Vec<_> = self.reasons.iter().map(ToString::to_string).collect();
        let warnings = self.warnings.iter().map(|warning| format!("{}: warning: {warning}", self.object));
        let decided = format!("{}: {}: {}", self.object, self.verdict, reasons.join("; "));
        std::iter::once(decided).chain(warnings).collect()
    }
}

/// The manifests as they are now, and what is told about them.
pub(super) fn done(
    manifests: &[Manifest],
    mut notes: Vec<String>,
    format: Format,
) -> Result<Outcome, CommandError> {
    if notes.is_empty() {
        notes.push("no object with pods is known in the input; printed as it is".to_owned());
    }
    notes.extend(PassedOver::of(manifests).iter().map(PassedOver::line));
    let output = match format {
        Format::Json => list(manifests),
        Format::Text => stream(manifests)?,
    };
    Ok(Outcome { output, notes, exit: Exit::Ok })
}

/// All objects as one List, as `kubectl` takes it.
fn list(manifests: &[Manifest]) -> String {
    let items: Vec<&Value> = manifests.iter().flat_map(Manifest::objects).map(|(_, object)| object).collect();
    output::json(&json!({"apiVersion": "v1", "kind": "List", "items": items}))
}

/// One file after the other, each beginning with a document's marker but for the first.
fn stream(manifests: &[Manifest]) -> Result<String, ManifestError> {
    let mut output = String::new();
    for manifest in manifests {
        let text = manifest.print()?;
        if !output.is_empty() && !text.starts_with("---") {
            if !output.ends_with('\n') {
                output.push('\n');
            }
            output.push_str("---\n");
        }
        output.push_str(&text);
    }
    Ok(output)
}
