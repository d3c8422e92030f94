//! What was done and what of it is proven, for programs: a JSON document for the pod's state directory, the same in less space
//! for its termination message, and a line of the log.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::backend::{Applied, Backend, Counts};
use crate::options::{Family, Flag};
use crate::verify::Verdict;

/// Where Kubernetes makes a file for a container's last words, and how many bytes it takes of it.
const TERMINATION_MESSAGE: &str = "/dev/termination-log";
const TERMINATION_MESSAGE_LIMIT: usize = 4096;

/// A packet landed wrongly.
const WRONG: u8 = 40;

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
    /// What packets showed, if they were asked.
    #[serde(flatten)]
    pub verdict: Option<Verdict>,
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
    /// The rules are there, and a packet landed wrongly.
    Wrong,
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
    /// Rules are in the kernel, and nobody asked whether they work.
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
            verdict: None,
            steps: before.iter().chain(&applied.steps).copied().map(Step::from).collect(),
        }
    }

    /// Packets were asked whether the rules work.
    pub fn verified(self, verdict: Verdict, steps: &[(&'static str, Duration)]) -> Self {
        let wrong: Vec<_> =
            verdict.wrong.iter().map(|wrong| format!("{}: {}", wrong.claim, wrong.found)).collect();
        let steps = self.steps.into_iter().chain(steps.iter().copied().map(Step::from)).collect();
        let verified = Self { verdict: Some(verdict), steps, ..self };
        if wrong.is_empty() {
            return verified;
        }
        let message = format!(
            "the rules are installed and do not work: it is not so that {}; look for rules of others in this network namespace",
            wrong.join("; nor that ")
        );
        let error = Some(Problem { reason: "landed-wrongly", message });
        Self { result: Outcome::Wrong, exit_code: WRONG, error, ..verified }
    }

    /// Nothing was changed.
    pub fn failure(exit_code: u8, error: Problem, steps: &[(&'static str, Duration)]) -> Self {
        let steps = steps.iter().copied().map(Step::from).collect();
        Self { result: Outcome::Failed, exit_code, error: Some(error), installed: None, verdict: None, steps }
    }

    /// One line of JSON for the log.
    pub fn log_line(&self, now: SystemTime) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            time: String,
            level: &'static str,
            message: String,
            #[serde(flatten)]
            report: &'a Report,
        }
        let (level, message) = match &self.error {
            Some(error) => ("error", error.message.clone()),
            None => ("info", self.summary()),
        };
        let time = humantime::format_rfc3339_millis(now).to_string();
        serde_json::to_string(&Line { time, level, message, report: self })
            .expect("the report has only texts as keys, and JSON takes all its values")
    }

    fn summary(&self) -> String {
        let done = match self.result {
            Outcome::Unchanged => "the redirect rules were installed already",
            Outcome::Applied | Outcome::Wrong | Outcome::Failed => "the redirect rules are installed",
        };
        match &self.verdict {
            Some(Verdict { unproven, .. }) if unproven.is_empty() => format!("{done} and proven"),
            Some(Verdict { proven, unproven, .. }) => {
                format!("{done}; {} claims are proven, {} are not", proven.len(), unproven.len())
            }
            None => format!("{done} and were not verified"),
        }
    }

    /// The report in the space that Kubernetes has for it. Where it is too long, what matters least is left out first.
    pub fn termination_message(&self) -> String {
        let fits = |text: &String| text.len() <= TERMINATION_MESSAGE_LIMIT;
        let whole = Some(self.text(serde_json::to_string)).filter(fits);
        let shorter = || {
            let mut value: serde_json::Value = self.text(|report| serde_json::to_value(report));
            let shorten: [fn(&mut serde_json::Value, &Self); 3] = [drop_steps, count_proven, keep_the_end];
            shorten.into_iter().find_map(|shorten| {
                shorten(&mut value, self);
                Some(value.to_string()).filter(fits)
            })
        };
        whole.or_else(shorter).unwrap_or_default()
    }

    fn text<T>(&self, write: impl FnOnce(&Self) -> serde_json::Result<T>) -> T {
        write(self).expect("the report has only texts as keys, and JSON takes all its values")
    }
}

fn drop_steps(value: &mut serde_json::Value, _: &Report) {
    value.as_object_mut().map(|object| object.remove("steps"));
}

/// Numbers in the place of what is proven, and reasons alone of what is not.
fn count_proven(value: &mut serde_json::Value, report: &Report) {
    let (Some(object), Some(verdict)) = (value.as_object_mut(), &report.verdict) else { return };
    let mut reasons: Vec<_> = verdict.unproven.iter().map(|unproven| unproven.because.reason).collect();
    reasons.sort_unstable();
    reasons.dedup();
    object.insert("proven".to_owned(), verdict.proven.len().into());
    object.insert("unproven".to_owned(), reasons.into());
    object.remove("wrong");
}

/// How it ended, and the beginning of what went wrong.
fn keep_the_end(value: &mut serde_json::Value, report: &Report) {
    let beginning = |text: &str| text.chars().take(TERMINATION_MESSAGE_LIMIT / 8).collect::<String>();
    *value = serde_json::json!({
        "result": report.result,
        "exit_code": report.exit_code,
        "error": report.error.as_ref().map(|error| {
            serde_json::json!({ "reason": error.reason, "message": beginning(&error.message) })
        }),
    });
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
    flag: Flag,
    path: PathBuf,
    file: File,
}

/// A report's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{flag} ({}) {path:?}: {error}; allowed: a file that can be written", flag.env())]
pub struct Unwritable {
    flag: Flag,
    path: PathBuf,
    error: io::Error,
}

impl Destination {
    /// The report's file: the one that was asked for; otherwise one in the pod's state directory, if there is such a directory.
    pub fn report(asked: Option<&Path>) -> Result<Option<Self>, Unwritable> {
        Self::open(Flag::Report, asked, Path::new(api::pod::REDIRECT_REPORT), true)
    }

    /// The termination message's: the one that was asked for; otherwise the one that Kubernetes made, if it did.
    pub fn termination_message(asked: Option<&Path>) -> Result<Option<Self>, Unwritable> {
        Self::open(Flag::TerminationMessage, asked, Path::new(TERMINATION_MESSAGE), false)
    }

    fn open(
        flag: Flag,
        asked: Option<&Path>,
        default: &Path,
        create: bool,
    ) -> Result<Option<Self>, Unwritable> {
        let path = asked.unwrap_or(default);
        let create = create || asked.is_some();
        match File::options().write(true).create(create).truncate(false).open(path) {
            Ok(file) => Ok(Some(Self { flag, path: path.to_owned(), file })),
            Err(error) if asked.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Unwritable { flag, path: path.to_owned(), error }),
        }
    }

    /// Writes the report in place of what the file held.
    pub fn write(mut self, report: &Report) -> Result<(), Unwritable> {
        let text = if self.flag == Flag::TerminationMessage {
            report.termination_message()
        } else {
            report.text(serde_json::to_string_pretty) + "\n"
        };
        let written = self.file.set_len(0).and_then(|()| self.file.write_all(text.as_bytes()));
        written.map_err(|error| Unwritable { flag: self.flag, path: self.path, error })
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Problem, Report, TERMINATION_MESSAGE_LIMIT};
    use crate::options::Family;
    use crate::verify::{Because, Claim, Kind, Unproven, Verdict, Wrong};

    fn claim(packet: String) -> Claim {
        Claim { claim: Kind::OutboundExcluded, family: Some(Family::V4), packet: Some(packet) }
    }

    fn report(claims: usize, message: usize) -> Report {
        let claims = || (0..claims).map(|number| claim(format!("192.0.2.1:{number}")));
        let because = || Because { reason: "lost", message: "something drops it".to_owned() };
        let verdict = Verdict {
            proven: claims().collect(),
            unproven: claims().map(|claim| Unproven { claim, because: because() }).collect(),
            wrong: claims()
                .map(|claim| Wrong { claim, found: "it lands at 192.0.2.1:1".to_owned() })
                .collect(),
        };
        let problem = Problem { reason: "conflict", message: "\u{e9}".repeat(message) };
        let steps = vec![("plan", std::time::Duration::from_micros(7)).into()];
        let failure = Report::failure(22, problem, &[]);
        Report { verdict: Some(verdict), steps, ..failure }
    }

    fn message(report: &Report) -> serde_json::Value {
        let text = report.termination_message();
        assert!(text.len() <= TERMINATION_MESSAGE_LIMIT, "{} bytes", text.len());
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&value["result"], &value["exit_code"]), (&"failed".into(), &22.into()));
        assert_eq!(value["error"]["reason"], "conflict");
        value
    }

    #[test]
    fn what_fits_is_told_whole() {
        let whole = message(&report(2, 10));
        assert_eq!(whole["steps"][0]["microseconds"], 7);
        assert_eq!(whole["wrong"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn what_matters_least_is_left_out_first() {
        // By one claim more: the durations go before any of them.
        let fits = |claims: &usize| message(&report(*claims, 10)).get("steps").is_some();
        let claims = (1..100).take_while(fits).count();
        let shorter = message(&report(claims + 1, 10));
        assert_eq!(shorter.get("steps"), None);
        let counted = message(&report(100, 10));
        assert_eq!((&counted["proven"], &counted["unproven"]), (&100.into(), &serde_json::json!(["lost"])));
    }

    #[test]
    fn an_endless_message_is_cut() {
        let cut = message(&report(100, 1_000_000));
        assert_eq!(cut["error"]["message"].as_str().map(|text| text.chars().count()), Some(512));
    }

    #[test]
    fn a_packet_that_landed_wrongly_ends_in_40() {
        let before = Report { result: Outcome::Applied, exit_code: 0, error: None, ..report(0, 0) };
        let verdict = report(1, 0).verdict.expect("a verdict");
        let wrong = before.verified(verdict, &[]);
        assert_eq!((wrong.result, wrong.exit_code), (Outcome::Wrong, 40));
        let line = wrong.log_line(std::time::SystemTime::UNIX_EPOCH);
        assert!(line.contains("\"level\":\"error\"") && line.contains("it lands at 192.0.2.1:1"), "{line}");
    }
}
