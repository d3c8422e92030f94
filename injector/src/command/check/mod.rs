//! `injector check`: whether an installation works, and what keeps it from working. Everything is looked at first and judged
//! afterwards, so that one thing that cannot be seen hides nothing else.

mod certificates;
mod configuration;
mod namespaces;
mod neighbours;
mod reach;
mod seen;
mod versions;
mod webhook;

use serde::Serialize;

use super::live::look;
use super::output::{self, Table, Tone, line};
use super::review::Mesh;
use super::{CommandError, Exit, LiveArgs, Outcome, Style};
use crate::cluster::{Survey, SurveyError};
use seen::Seen;

/// How a check ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    /// It could not be looked at.
    Unknown,
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
struct Check {
    /// Stable.
    name: &'static str,
    status: Status,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), remedy: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, status: Status::Warn, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn fail(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Fail, ..Self::warn(name, found, remedy) }
    }

    fn unknown(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Unknown, ..Self::warn(name, found, remedy) }
    }

    /// What the error says has its remedy in it.
    fn unseen(name: &'static str, error: &SurveyError) -> Self {
        Self { name, status: Status::Unknown, found: error.to_string(), remedy: None }
    }
}

#[derive(Serialize)]
struct Findings {
    checks: Vec<Check>,
    failed: usize,
    unknown: usize,
    warned: usize,
}

pub(super) fn run(args: &LiveArgs, style: Style) -> Result<Outcome, CommandError> {
    let own = &args.settings.control_namespace;
    let seen = look(&args.cluster, &args.settings, async |survey: &Survey, judging| {
        Ok(Seen::look(survey, own, judging).await?)
    })?;
    let findings = judge(&seen);
    let exit = match (findings.failed, findings.unknown) {
        (1.., _) => Exit::Found,
        (0, 1..) => Exit::Warned,
        (0, 0) => Exit::Ok,
    };
    Ok(Outcome::new(exit, args.output.show(&findings, style)))
}

fn judge(seen: &Seen) -> Findings {
    let mesh = Mesh::exported(seen.judging.settings.clone());
    let mut checks = versions::checks(seen);
    checks.push(configuration::check(seen));
    checks.extend(webhook::checks(seen, &mesh.webhook));
    checks.extend(certificates::checks(seen));
    checks.extend(reach::checks(seen));
    checks.extend(namespaces::checks(seen, &mesh.settings));
    checks.extend(neighbours::checks(seen));
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let (failed, unknown, warned) = (count(Status::Fail), count(Status::Unknown), count(Status::Warn));
    Findings { checks, failed, unknown, warned }
}

impl output::Findings for Findings {
    fn text(&self, style: Style) -> String {
        let mut table = Table::default();
        for check in &self.checks {
            let (tone, status) = match check.status {
                Status::Ok => (Tone::Good, "ok"),
                Status::Warn => (Tone::Doubtful, "warn"),
                Status::Unknown => (Tone::Doubtful, "unknown"),
                Status::Fail => (Tone::Bad, "FAIL"),
            };
            table.row([
                (tone, status.to_owned()),
                (Tone::Plain, check.name.to_owned()),
                (Tone::Plain, check.found.clone()),
            ]);
            if let Some(remedy) = &check.remedy {
                let remedy = format!("remedy: {remedy}");
                table.row([
                    (Tone::Plain, String::new()),
                    (Tone::Plain, String::new()),
                    (Tone::Quiet, remedy),
                ]);
            }
        }
        let mut text = table.print(style);
        let Self { checks, failed, unknown, warned } = self;
        let sum =
            format!("checks: {}, failed: {failed}, unknown: {unknown}, warnings: {warned}", checks.len());
        let tone = match (failed, unknown + warned) {
            (0, 0) => Tone::Good,
            (0, _) => Tone::Doubtful,
            (_, _) => Tone::Bad,
        };
        line(&mut text, format_args!("\n{}", style.paint(tone, &sum)));
        text
    }
}
