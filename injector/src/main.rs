//! injector: parse the command line, do what it says, and turn the outcome into an exit code.

use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use injector::app::App;
use injector::config::{Cli, Command, ServeArgs};
use injector::inject::Settings;
use injector::manifest::{self, ManifestArgs, ManifestError};
use runtime::shutdown::{self, Signals};

/// Exit codes of `injector inject`, besides clap's 2.
const UNREADABLE: u8 = 10;
const REJECTED: u8 = 20;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match runtime::log::init(&cli.log) {
        Err(error) => Err(error.into()),
        Ok(_) => match &cli.command {
            Command::Serve(args) => serve(args).map(|()| ExitCode::SUCCESS),
            Command::Inject(args) => inject(args),
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

fn inject(args: &ManifestArgs) -> anyhow::Result<ExitCode> {
    let file = args.file.display().to_string();
    let text = match read(&args.file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("injector: {file}: {error}");
            return Ok(ExitCode::from(UNREADABLE));
        }
    };
    let settings = Settings::new(&args.inject, api::control::NAMESPACE);
    match manifest::inject(&file, &text, &args.namespace, &settings) {
        Ok((output, notes)) => {
            if notes.is_empty() {
                eprintln!("{file}: no object with pods is known in it; printed as it is");
            }
            for note in notes {
                let reasons: Vec<_> = note.reasons.iter().map(ToString::to_string).collect();
                eprintln!("{}: {:?}: {}", note.object, note.verdict, reasons.join("; "));
                note.warnings.iter().for_each(|warning| eprintln!("{}: warning: {warning}", note.object));
            }
            std::io::stdout().write_all(output.as_bytes()).context("standard output")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("injector: {error}");
            let rejected = matches!(error, ManifestError::Rejected { .. });
            Ok(ExitCode::from(if rejected { REJECTED } else { UNREADABLE }))
        }
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}
