//! injector: parse the command line, do what it says, and turn the outcome into an exit code.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use injector::app::App;
use injector::command::{self, Style};
use injector::config::{Cli, Command, ServeArgs};
use runtime::shutdown::{self, Signals};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match runtime::log::init(&cli.log, injector::cluster::QUIET) {
        Err(error) => Err(error.into()),
        Ok(_) => match &cli.command {
            Command::Serve(args) => serve(args).map(|()| ExitCode::SUCCESS),
            Command::Tool(tool) => {
                let outcome = command::run(tool, Style::of_stdout());
                let written = outcome.write(std::io::stdout().lock(), std::io::stderr().lock());
                written.context("standard output").map(|()| ExitCode::from(outcome.exit as u8))
            }
        },
    };
    done.unwrap_or_else(|error| {
        eprintln!("injector: {error:#}");
        ExitCode::FAILURE
    })
}

fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::install().context("signal handlers")?;
        let (trigger, shutdown) = shutdown::channel();
        let app = App::start(args).await?;
        tracing::info!(webhook = args.webhook_port, admin = args.admin_port, "started");
        let mut running = std::pin::pin!(app.run(shutdown));
        tokio::select! {
            ended = running.as_mut() => return Ok(ended?),
            signal = signals.next() => {
                tracing::info!(signal, "asked to stop");
                trigger.request();
            }
        }
        tokio::select! {
            ended = running => Ok(ended?),
            signal = signals.next() => anyhow::bail!("{signal} once more: stopped at once"),
        }
    })
}
