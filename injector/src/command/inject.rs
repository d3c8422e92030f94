//! `injector inject`: manifests in, patched manifests out, as the webhook would patch their pods.
//!
//! Invariant: either everything is printed or nothing: one document that cannot be read, or one pod that is refused, and there
//! is no output.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::review::{Review, patched, review};
use super::{Exit, Format, Outcome, OutputArgs, SettingsArgs, output};
use crate::inject::{Reason, Settings, Verdict};
use crate::manifest::{self, Manifest, ManifestError, NamespaceArgs, Namespaces, Place, Workload};

/// Options of `injector inject`.
#[derive(Args, Clone, Debug)]
pub struct InjectFilesArgs {
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

pub(super) fn run(args: &InjectFilesArgs) -> Outcome {
    let settings = match args.settings.load() {
        Ok(settings) => settings,
        Err(error) => return Outcome::failed(Exit::Unreadable, &error),
    };
    let mut manifests = match manifest::read(&args.files) {
        Ok(manifests) => manifests,
        Err(error) => return error.into(),
    };
    let namespaces = Namespaces::new(&args.namespace, &manifests);
    match inject(&mut manifests, &namespaces, &settings) {
        Ok(notes) => done(&manifests, notes.iter().flat_map(Note::lines).collect(), args.output.output),
        Err(refused) => Outcome::failed(Exit::Refused, &refused),
    }
}

/// Injects in place.
fn inject(
    manifests: &mut [Manifest],
    namespaces: &Namespaces,
    settings: &Settings,
) -> Result<Vec<Note>, Refused> {
    let configuration = super::configuration(settings);
    let mut notes = Vec::new();
    for manifest in manifests {
        manifest.change(|place, workload| {
            let Review { decision, .. } =
                review(workload, namespaces.get(workload.namespace), &configuration, settings);
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
pub(super) fn done(manifests: &[Manifest], mut notes: Vec<String>, format: Format) -> Outcome {
    if notes.is_empty() {
        notes.push("no object with pods is known in the input; printed as it is".to_owned());
    }
    let printed = match format {
        Format::Json => Ok(list(manifests)),
        Format::Text => stream(manifests),
    };
    match printed {
        Ok(output) => Outcome { output, notes, exit: Exit::Ok },
        Err(error) => error.into(),
    }
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
