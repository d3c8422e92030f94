//! `conformance SUITE ADDRESS`: the suites that need nothing but an address, against whoever listens there.
//!
//! Exit codes: 0 if every case passed, 1 if one failed, 2 if nothing could be judged.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use conformance::report::{Report, Verdict};
use conformance::run::Pace;
use conformance::{attacks, http1, http2};
use tokio::net::TcpStream;

/// Cases of HTTP by RFC section, against a server or proxy of yours: a line for each case, and what came instead of what has to
/// follow
///
/// The peer has to answer GET and POST of / with success, without TLS. What it is asked is hostile: no server in use should be named.
/// The exit code is 0 if every case passed, 1 if one failed, and 2 if nothing could be judged.
#[derive(Parser)]
#[command(name = "conformance", version)]
struct Options {
    /// What is sent
    suite: Suite,

    /// Where the peer listens, as HOST:PORT
    address: String,

    /// How long an answer is waited for before it counts as none
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    patience: Duration,

    /// How many cases are run at once
    #[arg(long, default_value_t = 16, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1024))]
    at_once: u16,

    /// Leave out the cases that passed
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Suite {
    /// HTTP/1 requests that two readers could understand differently: each must be refused
    Http1,
    /// HTTP/2 by RFC section, without TLS: what a client may send, and what has to follow
    Http2,
    /// Floods of HTTP/2 frames: each must end within 1,000 of them
    Attacks,
}

const CANNOT_JUDGE: u8 = 2;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(report) => {
            show(&report, options.quiet);
            ExitCode::from(u8::from(report.failures().next().is_some()))
        }
        Err(error) => {
            eprintln!("conformance: {error:#}");
            ExitCode::from(CANNOT_JUDGE)
        }
    }
}

fn run(options: &Options) -> Result<Report> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime")?;
    runtime.block_on(judge(options))
}

async fn judge(options: &Options) -> Result<Report> {
    let pace = Pace { patience: options.patience, at_once: options.at_once.into() };
    let connect = async || connect(&options.address).await;
    let fit = match options.suite {
        Suite::Http1 => http1::preflight(&connect, pace.patience).await,
        Suite::Http2 | Suite::Attacks => http2::preflight(&connect, pace.patience).await,
    };
    fit.with_context(|| options.address.clone())?;
    Ok(match options.suite {
        Suite::Http1 => http1::server_face(&connect, pace, http1::Port::Any).await,
        Suite::Http2 => http2::server_face(&connect, pace).await,
        Suite::Attacks => attacks::server_face(&connect, pace).await,
    })
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Pieces are segments.
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn show(report: &Report, quiet: bool) {
    let is_shown = |verdict: &Verdict| !quiet || !matches!(verdict, Verdict::Passed(_));
    for line in report.lines.iter().filter(|line| is_shown(&line.verdict)) {
        println!("{line}");
    }
    println!("{}", report.summary());
}
