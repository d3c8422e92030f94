//! Parse, plan, apply, verify, report: what the program does, in order, and which exit code each end has. Nothing else.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::Context;
use clap::error::ErrorKind;
use init_redirect::args::{Command, Output, PlanOutput, Subaction};
use init_redirect::backend::{self, Applied};
use init_redirect::capability;
use init_redirect::options::Options;
use init_redirect::plan::Plan;
use init_redirect::plan::explain::Explanation;
use init_redirect::report::{Destination, Problem, Report, Unwritable};
use init_redirect::verify::{self, Subject};

/// Exit codes that no error of the library brings along; README and `--help` list all.
mod exit {
    pub(super) const BAD_INPUT: u8 = 10;
    pub(super) const NOT_PERMITTED: u8 = 21;
    pub(super) const FAILED: u8 = 30;
    pub(super) const DIFFERENT: u8 = 40;
}

/// Why something was not done: an exit code, and what to say.
type Failure = (u8, Problem);

fn main() -> ExitCode {
    let begun = Instant::now();
    match Command::from_process() {
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
    if let Some(Subaction::Call { source, destination }) = &command.action {
        return printed(verify::call(*source, *destination).context("the call's end cannot be printed"));
    }
    let options = match command.typed.parse() {
        Ok(options) => options,
        Err(error) => return bad_input(&error),
    };
    let plan = Plan::new(&options);
    match &command.action {
        Some(Subaction::Plan { output }) => printed(print_plan(&plan, *output)),
        Some(Subaction::Explain { packet, output }) => match packet.parse(&options) {
            Ok(packet) => printed(explain(&plan.explain(&packet), *output)),
            Err(error) => bad_input(&error),
        },
        Some(Subaction::Diff { output }) => diff(&plan, *output),
        Some(Subaction::Check { output }) => check(&plan, *output),
        Some(Subaction::Cleanup) => clean_up(),
        Some(Subaction::Call { .. }) | None => install(command, &options, &plan, begun),
    }
}

/// Installs the rules, proves them and tells of it.
fn install(command: &Command, options: &Options, plan: &Plan, begun: Instant) -> ExitCode {
    let asked = (command.report.as_deref(), command.termination_message.as_deref());
    let opened = [
        (asked.0.is_some(), Destination::report(asked.0)),
        (asked.1.is_some(), Destination::termination_message(asked.1)),
    ];
    let destinations = match destinations(opened) {
        Ok(destinations) => destinations,
        Err(error) => return bad_input(&error),
    };
    let before = [("plan", begun.elapsed())];
    let report = match apply(options, plan) {
        Ok(applied) if command.verify && !command.no_verify => {
            let (verdict, steps) = verify::verify(Subject { options, plan }, || applied.backend.holds(plan));
            Report::success(&applied, &before).verified(verdict, &steps)
        }
        Ok(applied) => {
            verify::remove_leftovers();
            Report::success(&applied, &before)
        }
        Err((exit_code, problem)) => Report::failure(exit_code, problem, &before),
    };
    log(&report.log_line(SystemTime::now()));
    // The rules are what they are: a report that cannot be written does not change that.
    for destination in destinations {
        if let Err(error) = destination.write(&report) {
            log(&format!("init-redirect: {error}"));
        }
    }
    ExitCode::from(report.exit_code)
}

/// The files that can be written. One that nobody asked for is no reason to keep a pod from starting.
fn destinations(
    opened: [(bool, Result<Option<Destination>, Unwritable>); 2],
) -> Result<Vec<Destination>, Unwritable> {
    let mut destinations = Vec::new();
    for (asked, destination) in opened {
        match destination {
            Ok(destination) => destinations.extend(destination),
            Err(error) if asked => return Err(error),
            Err(error) => log(&format!("init-redirect: {error}")),
        }
    }
    Ok(destinations)
}

fn apply(options: &Options, plan: &Plan) -> Result<Applied, Failure> {
    permitted()?;
    backend::apply(options.backend, plan).map_err(failure)
}

/// Tells whether the kernel holds the plan.
fn check(plan: &Plan, output: Output) -> ExitCode {
    let checked = permitted().and_then(|()| {
        let holder = backend::holder().map_err(failure)?;
        let holds = holder.map(|backend| backend.holds(plan)).transpose().map_err(failure)?;
        Ok((holder, holds))
    });
    let (holder, holds) = match checked {
        Ok(checked) => checked,
        Err((code, problem)) => return fail(code, &problem.message),
    };
    let (code, result, text) = match holds {
        Some(true) => (0, "as-planned", "the kernel holds these rules"),
        Some(false) => (exit::DIFFERENT, "different", "the kernel holds other rules than these"),
        None => (exit::DIFFERENT, "absent", "the kernel holds no rules of ours"),
    };
    let told = match output {
        Output::Text => format!("{text}\n"),
        Output::Json => {
            format!("{}\n", serde_json::json!({ "result": result, "backend": holder, "exit_code": code }))
        }
    };
    match print(&told) {
        Ok(()) => ExitCode::from(code),
        Err(error) => fail(exit::FAILED, &format!("{error:#}")),
    }
}

/// Shows what the kernel holds otherwise than planned.
fn diff(plan: &Plan, output: Output) -> ExitCode {
    let (holder, diff) = match permitted().and_then(|()| backend::compare(plan).map_err(failure)) {
        Ok(compared) => compared,
        Err((code, problem)) => return fail(code, &problem.message),
    };
    let code = if diff.is_empty() { 0 } else { exit::DIFFERENT };
    let told = match output {
        Output::Text => diff.to_string(),
        Output::Json => {
            format!(
                "{}\n",
                serde_json::json!({ "changes": diff.changes, "backend": holder, "exit_code": code })
            )
        }
    };
    match print(&told) {
        Ok(()) => ExitCode::from(code),
        Err(error) => fail(exit::FAILED, &format!("{error:#}")),
    }
}

fn permitted() -> Result<(), Failure> {
    let problem = |error: capability::Error| Problem { reason: "not-permitted", message: error.to_string() };
    capability::raise_net_admin().map_err(|error| (exit::NOT_PERMITTED, problem(error)))
}

fn failure(error: backend::Error) -> Failure {
    let problem = Problem { reason: error.reason(), message: error.to_string() };
    (error.exit_code(), problem)
}

/// Removes what is ours. One part that cannot be removed does not keep the others.
fn clean_up() -> ExitCode {
    let done = match permitted().and_then(|()| backend::clean().map_err(failure)) {
        Ok(done) => done,
        Err((code, problem)) => return fail(code, &problem.message),
    };
    verify::remove_leftovers();
    let mut code = 0;
    for (backend, result) in done {
        match result {
            Ok(()) => log(&format!("init-redirect: {backend}: the redirect rules are removed")),
            Err(error) => {
                log(&format!("init-redirect: {backend}: {error}"));
                code = code.max(error.exit_code());
            }
        }
    }
    ExitCode::from(code)
}

fn print_plan(plan: &Plan, output: PlanOutput) -> anyhow::Result<()> {
    match output {
        PlanOutput::Text => print(&plan.to_string()),
        PlanOutput::Json => print(&json(plan)?),
        PlanOutput::Nft => print(&plan.to_nft()),
        PlanOutput::Iptables => print(&plan.to_iptables()),
    }
}

fn explain(explanation: &Explanation<'_>, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Text => print(&explanation.to_string()),
        Output::Json => print(&json(explanation)?),
    }
}

fn json(value: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value).context("the answer cannot be written as JSON")? + "\n")
}

fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever closed our output does not want the rest of it.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("the answer cannot be printed"),
    }
}

fn printed(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(exit::FAILED, &format!("{error:#}")),
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
