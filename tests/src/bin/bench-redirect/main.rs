//! What installing the rules costs, from process start to exit, beside what Istio's init container runs for the same job.
//! Every run has a pod's namespace of its own, and all that is compared is measured on the same machine in the same minute.
//!
//! It judges nothing: it is no test.

mod istio;
mod measure;

use std::net::Ipv4Addr;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use tests::binaries;
use tests::rules::{BACKENDS, Backend};

use crate::measure::{Times, peak_memory, times};

/// How often each row is measured.
const RUNS: usize = 20;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-redirect: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    println!("Milliseconds from process start to exit, {RUNS} runs each, for IPv4 and IPv6.\n");
    println!("{:<44}{:>8}{:>8}{:>16}", "", "median", "least", "Istio is");
    let istio = istio::times(RUNS)?;
    for (name, arguments) in rows() {
        let times = times(RUNS, |pod| {
            let mut command = init_redirect(&arguments)?;
            Ok(vec![pod.output(&mut command)?])
        });
        print(&name, &times.with_context(|| name.clone())?, Some(&istio));
    }
    print(&format!("Istio's {} processes", istio::PROCESSES), &istio, None);
    let size = binaries::init_redirect()?.metadata().context("the program's size")?.len();
    println!("\nbinary: {} KiB, static", size / 1024);
    for (name, arguments) in rows() {
        println!("memory at its peak, {name}: {} KiB", peak_memory(init_redirect(&arguments)?)?);
    }
    Ok(())
}

/// What is measured, and the arguments for it.
fn rows() -> Vec<(String, Vec<String>)> {
    let mut rows = Vec::new();
    for (suffix, verify) in [("", "off"), (", proven by packets", "on")] {
        rows.extend(BACKENDS.map(|Backend { name, .. }| {
            let arguments = vec![format!("--backend={name}"), format!("--verify={verify}")];
            (format!("{name}{suffix}"), arguments)
        }));
    }
    let many = format!("--exclude-outbound-cidrs={}", networks(10_000));
    let many = vec!["--backend=nft".to_owned(), "--verify=off".to_owned(), many];
    rows.push(("nft, 10,000 excluded networks".to_owned(), many));
    rows
}

/// So many addresses of which no two are neighbours, or they would be merged.
fn networks(count: u32) -> String {
    let addresses = (0..count).map(|n| Ipv4Addr::from_bits(0x0100_0000 + 2 * n).to_string());
    addresses.collect::<Vec<_>>().join(",")
}

fn init_redirect(arguments: &[String]) -> Result<Command> {
    let mut command = Command::new(binaries::init_redirect()?);
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Ok(command)
}

fn print(name: &str, times: &Times, istio: Option<&Times>) {
    let ratio = istio.map_or_else(String::new, |istio| {
        format!("{:.1} x as long", istio.median().as_secs_f64() / times.median().as_secs_f64())
    });
    let [median, least] = [times.median(), times.least()].map(|time| time.as_secs_f64() * 1000.0);
    println!("{name:<44}{median:>8.1}{least:>8.1}{ratio:>16}");
}
