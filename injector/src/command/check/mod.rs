//! `injector check`: whether an installation works, and what keeps it from working. Everything is looked at first and judged
//! afterwards, so that one thing that cannot be seen hides nothing else.

mod certificates;
mod namespaces;
mod neighbours;
mod reach;
mod seen;
mod versions;
mod webhook;

use clap::Args;
use serde::Serialize;

use super::live::look;
use super::output::{self, Table, Tone, line};
use super::{Exit, Format, Outcome, OutputArgs, SettingsArgs, Style};
use crate::cluster::{ClusterArgs, Survey, SurveyError};
use crate::inject::Settings;
use seen::Seen;

/// Options of `injector check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The namespace that the injector runs in
    #[arg(long, short, default_value = api::control::NAMESPACE, value_name = "NAME")]
    pub namespace: String,

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

/// How a check ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
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

    fn unseen(name: &'static str, error: &SurveyError) -> Self {
        Self { name, status: Status::Warn, found: error.to_string(), remedy: None }
    }
}

#[derive(Serialize)]
struct Findings {
    checks: Vec<Check>,
    failed: usize,
    warned: usize,
}

pub(super) fn run(args: &CheckArgs, style: Style) -> Outcome {
    let settings = match args.settings.load_in(&args.namespace) {
        Ok(settings) => settings,
        Err(error) => return Outcome::failed(Exit::Unreadable, &error),
    };
    let looked = look(&args.cluster, async |survey: &Survey| Ok(Seen::look(survey, &args.namespace).await?));
    match looked {
        Ok(seen) => {
            let findings = judge(&seen, &settings);
            let output = match args.output.output {
                Format::Json => output::json(&findings),
                Format::Text => findings.text(style),
            };
            Outcome::new(if findings.failed > 0 { Exit::Found } else { Exit::Ok }, output)
        }
        Err(error) => Outcome::failed(Exit::Unreadable, &error),
    }
}

fn judge(seen: &Seen, settings: &Settings) -> Findings {
    let mut checks = versions::checks(seen);
    checks.extend(webhook::checks(seen, settings));
    checks.extend(certificates::checks(seen));
    checks.extend(reach::checks(seen));
    checks.extend(namespaces::checks(seen, settings));
    checks.extend(neighbours::checks(seen));
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let (failed, warned) = (count(Status::Fail), count(Status::Warn));
    Findings { checks, failed, warned }
}

impl Findings {
    fn text(&self, style: Style) -> String {
        let mut table = Table::default();
        for check in &self.checks {
            let (tone, status) = match check.status {
                Status::Ok => (Tone::Good, "ok"),
                Status::Warn => (Tone::Doubtful, "warn"),
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
        let Self { checks, failed, warned } = self;
        let sum = format!("checks: {}, failed: {failed}, warnings: {warned}", checks.len());
        let tone = match (failed, warned) {
            (0, 0) => Tone::Good,
            (0, _) => Tone::Doubtful,
            (_, _) => Tone::Bad,
        };
        line(&mut text, format_args!("\n{}", style.paint(tone, &sum)));
        text
    }
}
