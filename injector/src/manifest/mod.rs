//! Injection of files: what `kubectl` would send, patched as the webhook would patch it. Documents that hold no pods are
//! passed through letter by letter.
//!
//! It deliberately asks no cluster: the namespace is taken to have the label that turns injection on.

mod documents;
mod workload;

use clap::Args;
use serde_json::Value;

pub use documents::DocumentError;

use crate::inject::{InjectArgs, Reason, Settings, Verdict};
use documents::{Document, Form};

/// Options of `injector inject`.
#[derive(Args, Clone, Debug)]
pub struct ManifestArgs {
    /// Manifests in YAML or JSON, several documents and lists included; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: std::path::PathBuf,

    /// Namespace of objects that name none
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    pub namespace: String,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub inject: InjectArgs,
}

/// What became of an object with pods.
#[derive(Debug)]
pub struct Note {
    /// `Kind/name`.
    pub object: String,
    /// What was decided.
    pub verdict: Verdict,
    /// Why.
    pub reasons: Vec<Reason>,
    /// What its author should know.
    pub warnings: Vec<String>,
}

/// Manifests that cannot be injected; nothing is printed then.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A document cannot be read.
    #[error("{file}, document {index}: {source}")]
    Document {
        /// The file.
        file: String,
        /// Counted from 1.
        index: usize,
        /// Why.
        source: DocumentError,
    },
    /// An object is refused, as the webhook would refuse its pods.
    #[error("{file}, document {index}, {object}: {reasons}")]
    Rejected {
        /// The file.
        file: String,
        /// Counted from 1.
        index: usize,
        /// `Kind/name`.
        object: String,
        /// All reasons.
        reasons: String,
    },
}

/// The manifests with their pods injected, and what was decided about each.
pub fn inject(
    file: &str,
    text: &str,
    namespace: &str,
    settings: &Settings,
) -> Result<(String, Vec<Note>), ManifestError> {
    let (mut output, mut notes) = (String::with_capacity(text.len() * 2), Vec::new());
    for (index, document) in (1..).zip(documents::split(text)) {
        let located = |source| ManifestError::Document { file: file.to_owned(), index, source };
        let Some((form, mut value)) = document.parse().map_err(located)? else {
            output.push_str(document.text());
            continue;
        };
        let outcomes = workload::inject(&mut value, namespace, settings);
        if let Some(error) = rejection(file, index, &outcomes) {
            return Err(error);
        }
        let changed = outcomes.iter().any(|outcome| outcome.verdict == Verdict::Inject);
        push(&mut output, &document, changed.then_some((form, &value))).map_err(located)?;
        notes.extend(outcomes);
    }
    Ok((output, notes))
}

fn push(
    output: &mut String,
    document: &Document<'_>,
    changed: Option<(Form, &Value)>,
) -> Result<(), DocumentError> {
    match changed {
        None => output.push_str(document.text()),
        Some((form, value)) => {
            output.push_str(document.separator());
            output.push_str(&form.print(value)?);
        }
    }
    Ok(())
}

fn rejection(file: &str, index: usize, outcomes: &[Note]) -> Option<ManifestError> {
    let rejected = outcomes.iter().find(|outcome| outcome.verdict == Verdict::Reject)?;
    let reasons: Vec<_> = rejected.reasons.iter().map(ToString::to_string).collect();
    Some(ManifestError::Rejected {
        file: file.to_owned(),
        index,
        object: rejected.object.clone(),
        reasons: reasons.join("; "),
    })
}
