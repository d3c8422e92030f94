//! What the injector costs: computing an answer, answering over TLS, and creating a pod. Wherever the surroundings cost more
//! than the injector does, a webhook that allows everything at once is measured in the same run, with the same TLS and HTTP;
//! what counts then is the ratio.
//!
//! It judges nothing: it is no test. The figures of a busy machine say little.

mod allow;
mod cluster;
mod compute;
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
            cluster::print().await
        }),
        ["compute"] => runtime.block_on(compute::print()),
        ["serve"] => runtime.block_on(async {
            process::leave_the_first_core()?;
            serve::print().await
        }),
        ["cluster"] => runtime.block_on(async {
            process::leave_the_first_core()?;
            cluster::print().await
        }),
        // For ourselves: the webhook to compare with.
        [allow::COMMAND, port, directory] => {
            runtime.block_on(allow::serve(port.parse()?, directory.as_ref()))
        }
        _ => bail!("usage: bench-injector [compute | serve | cluster]"),
    }
}
