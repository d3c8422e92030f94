//! Parse, plan, apply, report: what the program does, in order, and which exit code each end has. Nothing else.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::Context;
use clap::Parser;
use clap::error::ErrorKind;
use init_redirect::args::{Command, Output, Subaction};
use init_redirect::backend;
use init_redirect::capability;
use init_redirect::options::BackendChoice;
use init_redirect::plan::Plan;
use init_redirect::report::{Destination, Problem, Report};

/// Exit codes; README and `--help` list them.
mod exit {
    pub(super) const BAD_INPUT: u8 = 10;
    pub(super) const NOT_PERMITTED: u8 = 21;
    pub(super) const FAILED: u8 = 30;
}

fn main() -> ExitCode {
    let begun = Instant::now();
    match Command::try_parse() {
        Ok(command) => run(&command, begun),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // Whoever closed our output does not want the rest of it.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Its first line names the argument; the others are advice that does not fit into one.
            let text = error.to_string();
            let problem = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            bad_input(&format!("{problem}; allowed: what `init-redirect --help` lists"))
        }
    }
}

fn run(command: &Command, begun: Instant) -> ExitCode {
    let options = match command.typed.parse() {
        Ok(options) => options,
        Err(error) => return bad_input(&error),
    };
    let plan = Plan::new(&options);
    if let Some(Subaction::Plan { output }) = command.action {
        return match print(&plan, output) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(exit::FAILED, &format!("{error:#}")),
        };
    }
    let destination = match Destination::open(command.report.as_deref()) {
        Ok(destination) => destination,
        Err(error) if command.report.is_some() => return bad_input(&error),
        // Nobody asked for this one: no reason to keep a pod from starting.
        Err(error) => {
            log(&format!("init-redirect: {error}"));
            None
        }
    };
    let before = [("plan", begun.elapsed())];
    let report = match install(options.backend, &plan) {
        Ok(applied) => Report::success(&applied, &before),
        Err((exit_code, problem)) => Report::failure(exit_code, problem, &before),
    };
    log(&report.log_line(SystemTime::now()));
    // The rules are what they are: a report that cannot be written does not change that.
    if let Some(Err(error)) = destination.map(|destination| destination.write(&report)) {
        log(&format!("init-redirect: {error}"));
    }
    ExitCode::from(report.exit_code)
}

fn install(asked: BackendChoice, plan: &Plan) -> Result<backend::Applied, (u8, Problem)> {
    capability::raise_net_admin().map_err(|error| {
        (exit::NOT_PERMITTED, Problem { reason: "not-permitted", message: error.to_string() })
    })?;
    backend::apply(asked, plan).map_err(|error| {
        let problem = Problem { reason: error.reason(), message: error.to_string() };
        (error.exit_code(), problem)
    })
}

fn print(plan: &Plan, output: Output) -> anyhow::Result<()> {
    let text = match output {
        Output::Text => plan.to_string(),
        Output::Json => {
            serde_json::to_string_pretty(plan).context("the plan cannot be written as JSON")? + "\n"
        }
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever closed our output does not want the rest of it.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("the plan cannot be printed"),
    }
}

/// One line for each problem.
fn bad_input(problems: &(impl ToString + ?Sized)) -> ExitCode {
    fail(exit::BAD_INPUT, &problems.to_string())
}

fn fail(code: u8, problems: &str) -> ExitCode {
    problems.lines().for_each(|line| log(&format!("init-redirect: {line}")));
    ExitCode::from(code)
}

/// A closed standard error is no reason to fail.
fn log(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
