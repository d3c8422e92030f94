//! What the injector costs: computing an answer, answering over TLS, and creating a pod. Wherever the surroundings cost more
//! than the injector does, a webhook that allows everything at once is measured in the same run, with the same TLS and HTTP;
//! what counts then is the ratio.
//!
//! It judges nothing: it is no test. The figures of a busy machine say little.

mod allow;
mod compute;
mod creation;
mod load;
mod process;
mod reviews;
mod serve;
mod times;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-injector: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("tokio")?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => runtime.block_on(async {
            process::leave_the_first_core()?;
            compute::print().await?;
            serve::print().await?;
            creation::print_on_control_plane().await
        }),
        ["compute"] => runtime.block_on(compute::print()),
        ["serve"] => runtime.block_on(async {
            process::leave_the_first_core()?;
            serve::print().await
        }),
        ["control-plane"] => runtime.block_on(async {
            process::leave_the_first_core()?;
            creation::print_on_control_plane().await
        }),
        // On whatever cluster kubectl leads to; see tests/kind/bench-injector.
        ["cluster", image] => runtime.block_on(creation::print_on_cluster(image)),
        // For ourselves: the webhook to compare with.
        [allow::COMMAND, port, directory] => {
            runtime.block_on(allow::serve(port.parse()?, directory.as_ref()))
        }
        _ => bail!("usage: bench-injector [compute | serve | control-plane | cluster IMAGE]"),
    }
}
