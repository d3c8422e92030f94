//! `injector config check`: whether a configuration file would be put in force, and all that is wrong with it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::output::{self, Tone, line};
use super::{CommandError, Exit, Outcome, OutputArgs, Style};
use crate::configuration;
use crate::manifest;

/// Options of `injector config`.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do with a configuration file.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether a running injector would put a file in force, and all that is wrong with it
    #[command(
        after_help = "Exit codes: 0 good, 1 something is wrong, 2 wrong options, 10 a file that cannot be read."
    )]
    Check(CheckFileArgs),
}

/// Options of `injector config check`.
#[derive(Args, Clone, Debug)]
pub struct CheckFileArgs {
    /// The file, or the text of the ConfigMap's key; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Findings {
    file: String,
    ok: bool,
    problems: Vec<Problem>,
}

#[derive(Serialize)]
struct Problem {
    /// Counted from 1; absent where it is not one line's fault.
    line: Option<u64>,
    text: String,
}

pub(super) fn run(args: &ConfigArgs, style: Style) -> Result<Outcome, CommandError> {
    let ConfigCommand::Check(args) = &args.command;
    let text = manifest::text(&args.file)?;
    let problems = configuration::check(&text).err().map(|problems| problems.0).unwrap_or_default();
    let problems: Vec<_> =
        problems.into_iter().map(|problem| Problem { line: problem.line, text: problem.text }).collect();
    let findings = Findings { file: manifest::shown(&args.file), ok: problems.is_empty(), problems };
    let exit = if findings.ok { Exit::Ok } else { Exit::Found };
    Ok(Outcome::new(exit, args.output.show(&findings, style)))
}

impl output::Findings for Findings {
    fn text(&self, style: Style) -> String {
        let mut text = String::new();
        let file = &self.file;
        for problem in &self.problems {
            let place = problem.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"));
            let told = style.paint(Tone::Plain, &problem.text);
            line(&mut text, format_args!("{}: {told}", style.paint(Tone::Bad, &place)));
        }
        if self.ok {
            line(&mut text, format_args!("{}", style.paint(Tone::Good, &format!("{file}: good"))));
        }
        text
    }
}
