//! The `proxy` binary: parses the command line, and runs the proxy or speaks to the running one.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use proxy::app::{App, Event, Surroundings};
use proxy::budget::Budget;
use proxy::config_dump::{self, Effective};
use proxy::control_socket::{self, Request};
use proxy::limits::{self, Basis};
use proxy::net::capacity::Capacity;
use proxy::{config, net::original_dst::Kernel, telemetry::workload::Workload, wait};
use runtime::shutdown::Signals;
use tokio::sync::mpsc;

/// Remora's sidecar: carries the pod's captured TCP connections
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: config::Args,
}

/// The subcommand whose options are also those of no subcommand.
const RUN: &str = "run";

#[derive(Subcommand)]
enum Command {
    /// Run the proxy (also without a subcommand)
    #[command(name = RUN)]
    Run(Box<config::Args>),
    /// Tell the running proxy to begin its inbound drain; returns when it has
    Drain(control_socket::Settings),
    /// Show what the running proxy logs, or change it until it ends
    Logging {
        /// A level (error, warn, info, debug, trace) or `module=level` directives, comma separated
        filter: Option<String>,
        #[command(flatten)]
        socket: control_socket::Settings,
    },
    /// Show all limits: of a proxy with these options, or of the running one
    Limits(Box<LimitsArgs>),
    /// Wait until the proxy of this pod is ready
    Wait(wait::Settings),
}

#[derive(clap::Args)]
struct LimitsArgs {
    /// Ask the running proxy, by its --admin-port
    #[arg(long)]
    running: bool,
    /// How they are shown
    #[arg(long, short, default_value = "table", value_enum, value_name = "FORMAT")]
    output: limits::Output,
    #[command(flatten)]
    run: config::Args,
}

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let options = config_dump::effective(matches.subcommand_matches(RUN).unwrap_or(&matches));
    let done = match cli.command {
        Some(Command::Drain(socket)) => ask(&socket, &Request::Drain),
        Some(Command::Logging { filter, socket }) => ask(&socket, &Request::Logging(filter)),
        Some(Command::Limits(args)) => show_limits(*args),
        Some(Command::Wait(settings)) => wait::until_ready(&settings).map_err(Into::into),
        Some(Command::Run(args)) => run(*args, options),
        None => run(cli.run, options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes in one line, and no backtrace: who reads it can mend what it names.
            eprintln!("proxy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Asks the running proxy, and prints what it says.
fn ask(socket: &control_socket::Settings, request: &Request) -> anyhow::Result<()> {
    let said = control_socket::ask(socket, request)?;
    if !said.is_empty() {
        writeln!(std::io::stdout(), "{said}")?;
    }
    Ok(())
}

fn show_limits(args: LimitsArgs) -> anyhow::Result<()> {
    let LimitsArgs { running, output, run } = args;
    let config = config::Config::try_from(run)?;
    let text = if running {
        limits::of_running(config.admin.admin_port, output)?
    } else {
        let (descriptors, budget) = (raise_descriptor_limit(), Budget::new(config.memory));
        let capacity = Capacity::new(&config.capacity, descriptors, budget.connections());
        let basis = Basis { config: &config, descriptors, capacity, budget: &budget };
        limits::written(&limits::in_use(&basis), output)
    };
    Ok(write!(std::io::stdout(), "{text}")?)
}

fn run(args: config::Args, options: Vec<Effective>) -> anyhow::Result<()> {
    let log = runtime::log::init(&args.log, &[])?;
    let descriptors = raise_descriptor_limit();
    let app = App::bind(args.try_into()?)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), addresses = ?app.addresses(), "proxy starts");
    let surroundings = Surroundings {
        network: Arc::new(Kernel),
        workload: Workload::of_this_pod(|name| std::env::var(name).ok()),
        descriptors,
        access_log: std::io::stdout(),
        log,
        options,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = runtime.block_on(async {
        let events = mpsc::channel(8);
        let mut signals = Signals::install().context("signal handlers")?;
        let sender = events.0.clone();
        tokio::spawn(
            async move { while sender.send(Event::Terminate(signals.next().await)).await.is_ok() {} },
        );
        Ok::<_, anyhow::Error>(app.run(surroundings, events).await?)
    });
    // A name that is being looked up is waited for by nobody.
    runtime.shutdown_background();
    let exit = exit?;
    tracing::info!(?exit, "proxy ends");
    Ok(())
}

/// A carried connection takes two descriptors, and many runtimes start a container with no more than 1024; the hard limit
/// is what it was really given.
fn raise_descriptor_limit() -> u64 {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of descriptors cannot be raised");
    }
    // It cannot fail for a limit that exists; were it to, the smallest one in use anywhere is the safe guess.
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft)
}
