//! What was done, for programs: a JSON document for the pod's state directory or termination message, and a line of the log.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::backend::{Applied, Backend, Counts};
use crate::options::Family;

/// File name of the report in the pod's state directory.
const FILE: &str = "redirect.json";

/// How a run ended.
#[derive(Debug, Serialize)]
pub struct Report {
    /// In one word.
    pub result: Outcome,
    /// The process's exit code.
    pub exit_code: u8,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    /// What is in the kernel now.
    #[serde(flatten)]
    pub installed: Option<Installed>,
    /// How long each step took.
    pub steps: Vec<Step>,
}

/// How a run ended, in one word.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The rules were written.
    Applied,
    /// The rules were there already.
    Unchanged,
    /// Nothing was changed, because of an error.
    Failed,
}

/// What went wrong.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// A stable word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// What is in the kernel.
#[derive(Debug, Serialize)]
pub struct Installed {
    /// Who put it there.
    pub backend: Backend,
    /// Why this one.
    pub backend_reason: String,
    /// The address families that the rules hold for.
    pub families: Vec<Family>,
    /// Whether this run wrote it.
    pub changed: bool,
    /// How much it is.
    pub counts: Counts,
}

/// A step, and its duration.
#[derive(Debug, Serialize)]
pub struct Step {
    /// Its name.
    pub step: &'static str,
    /// Microseconds.
    pub microseconds: u64,
}

impl Report {
    /// Rules are in the kernel.
    pub fn success(applied: &Applied, before: &[(&'static str, Duration)]) -> Self {
        let installed = Installed {
            backend: applied.backend,
            backend_reason: applied.reason.clone(),
            families: applied.families.clone(),
            changed: applied.changed,
            counts: applied.counts,
        };
        Self {
            result: if applied.changed { Outcome::Applied } else { Outcome::Unchanged },
            exit_code: 0,
            error: None,
            installed: Some(installed),
            steps: before.iter().chain(&applied.steps).copied().map(Step::from).collect(),
        }
    }

    /// Nothing was changed.
    pub fn failure(exit_code: u8, error: Problem, steps: &[(&'static str, Duration)]) -> Self {
        let steps = steps.iter().copied().map(Step::from).collect();
        Self { result: Outcome::Failed, exit_code, error: Some(error), installed: None, steps }
    }

    /// One line of JSON for the log.
    pub fn log_line(&self, now: SystemTime) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            time: String,
            level: &'static str,
            message: &'a str,
            #[serde(flatten)]
            report: &'a Report,
        }
        let (level, message) = match (self.result, &self.error) {
            (Outcome::Applied, _) => ("info", "the redirect rules are installed"),
            (Outcome::Unchanged, _) => ("info", "the redirect rules were installed already"),
            (Outcome::Failed, Some(error)) => ("error", error.message.as_str()),
            (Outcome::Failed, None) => ("error", "failed"),
        };
        let time = humantime::format_rfc3339_millis(now).to_string();
        serde_json::to_string(&Line { time, level, message, report: self })
            .expect("the report has only texts as keys, and JSON takes all its values")
    }
}

impl From<(&'static str, Duration)> for Step {
    fn from((step, duration): (&'static str, Duration)) -> Self {
        Self { step, microseconds: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX) }
    }
}

/// A file that can be written. It is opened before anything is done, so that a bad path is found while nothing has changed;
/// it is not replaced, since a termination message's file is a mount.
#[derive(Debug)]
pub struct Destination {
    path: PathBuf,
    file: File,
}

/// The report's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--report (REMORA_REDIRECT_REPORT) {path:?}: {error}; allowed: a file that can be written")]
pub struct Unwritable {
    path: PathBuf,
    error: io::Error,
}

impl Destination {
    /// The file that was asked for; otherwise one in the pod's state directory, if there is such a directory.
    pub fn open(asked: Option<&Path>) -> Result<Option<Self>, Unwritable> {
        let open = |path: &Path| {
            let file = File::options().write(true).create(true).truncate(false).open(path);
            file.map(|file| Self { path: path.to_owned(), file })
        };
        let default = Path::new(api::pod::STATE_PATH).join(FILE);
        let path = asked.unwrap_or(&default);
        match open(path) {
            Err(error) if asked.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some).map_err(|error| Unwritable { path: path.to_owned(), error }),
        }
    }

    /// Writes the report in place of what the file held.
    pub fn write(mut self, report: &Report) -> Result<(), Unwritable> {
        let mut text = serde_json::to_string_pretty(report)
            .expect("the report has only texts as keys, and JSON takes all its values");
        text.push('\n');
        let written = self.file.set_len(0).and_then(|()| self.file.write_all(text.as_bytes()));
        written.map_err(|error| Unwritable { path: self.path, error })
    }
}
