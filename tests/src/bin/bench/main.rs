//! What carrying traffic costs with our proxy, and with the proxies of others in the same place: pods' namespaces with the rules of
//! `init-redirect`, the proxy on one processor, load and application on another. Everybody is measured in turn, round by round,
//! beside the direct path, which is a port that the rules of the same pod leave alone.
//!
//! It judges nothing: it is no test. What a busy machine's figures are good for are the ratios within a round, and their spread.

mod backend;
mod client;
mod destinations;
mod endpoints;
mod events;
mod figures;
mod http2;
mod machine;
mod measures;
mod pod;
mod process;
mod programs;
mod protocol;
mod rounds;
mod table;
mod way;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use tests::exec;

use crate::measures::Measure;
use crate::rounds::Outcome;

/// Somebody of those to compare with could not be measured.
const INCOMPLETE: u8 = 3;

/// What carrying traffic costs, beside Envoy, HAProxy, nginx and no proxy at all
#[derive(Clone, Debug, Parser)]
pub(crate) struct Options {
    /// One round of small amounts: to see that it works
    #[arg(long)]
    quick: bool,

    /// How often everything is measured
    #[arg(long, default_value_t = 5, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// Measure only this; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<Measure>,

    /// Further options of our proxy, separated by spaces
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true, default_value = "")]
    proxy_options: String,

    /// Congestion control of everybody, as in tcp_available_congestion_control [default: the machine's]. BBR paces by timers,
    /// whose work is charged to whoever sends, and keeps bulk below a third of what the machine can do
    #[arg(long, value_name = "NAME")]
    congestion_control: Option<String>,

    /// How the result is written
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,

    /// Where it is written instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How the result is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A Markdown table
    Table,
    /// Every value of every round
    Json,
}

fn main() -> ExitCode {
    match measure(Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: Options) -> Result<ExitCode> {
    let _prepared = machine::prepare()?;
    let given = options.clone();
    match exec::supervise(move || rounds::measure(&given))? {
        None => Ok(ExitCode::from(exec::INTERRUPTED)),
        Some(outcome) => write(&options, &outcome?),
    }
}

fn write(options: &Options, outcome: &Outcome) -> Result<ExitCode> {
    let text = match options.output {
        Format::Table => outcome.to_markdown(),
        Format::Json => outcome.to_json()?,
    };
    match &options.out {
        None => print!("{text}"),
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(if outcome.missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
}
