//! The proxies that are compared: where each comes from, and how it is configured as a transparent proxy for a pod's
//! connections. One that is not there is an error which says how to get it.

mod bare_h2;
mod envoy;
mod haproxy;
mod nginx;
mod remora;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tests::exec::Mount;
use tests::tool;

use crate::protocol::Protocol;
use crate::way::Direction;

/// The name of our own.
pub(crate) const OURS: &str = "remora";

/// The directory of [`CONFIGURATION`].
const CONFIGURATION_DIRECTORY: &str = "/etc/bench";

/// Where a program finds its configuration. Envoy goes by the ending.
pub(crate) const CONFIGURATION: &str = "/etc/bench/configuration.yaml";

/// A proxy that can be started in a pod.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Its name in tables.
    pub(crate) name: &'static str,
    /// What it says of its version.
    pub(crate) version: String,
    /// What it does here, for the reader of the table.
    pub(crate) setup: &'static str,
    /// What it is measured with, towards its application.
    pub(crate) inbound: &'static [Protocol],
    /// And towards the endpoints of a Service.
    pub(crate) outbound: &'static [Protocol],
    /// The file on the machine.
    pub(crate) binary: PathBuf,
    /// What its container has besides.
    pub(crate) mounts: Vec<Mount>,
    /// The text of the file [`CONFIGURATION`].
    pub(crate) configuration: Option<String>,
    /// Its path in the container, and its arguments.
    pub(crate) arguments: Vec<String>,
    /// Where it is scraped.
    pub(crate) metrics: Option<Metrics>,
}

/// A page of metrics on loopback.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) port: u16,
    pub(crate) path: &'static str,
    /// The text of the file [`CONFIGURATION`] for more than 1,000 series.
    pub(crate) few: String,
    /// And for more than 20,000.
    pub(crate) many: String,
}

impl Program {
    /// What is asked to see that it carries anything.
    pub(crate) fn first_protocol(&self) -> Protocol {
        self.inbound.first().copied().expect("a program without a protocol would not be measured")
    }

    /// Whether it is measured with it.
    pub(crate) fn carries(&self, direction: Direction, protocol: Protocol) -> bool {
        match direction {
            Direction::Inbound => self.inbound.contains(&protocol),
            Direction::Outbound => self.outbound.contains(&protocol),
        }
    }
}

/// All that can be had, ours first, and why the others cannot.
pub(crate) fn all(options: &str) -> Result<(Vec<Program>, Vec<String>)> {
    let (mut programs, mut missing) = (vec![remora::program(options)?], Vec::new());
    let others = [
        ("envoy", envoy::program()),
        ("envoy-istio", envoy::as_sidecar()),
        ("haproxy", haproxy::program()),
        ("haproxy-http", haproxy::for_http()),
        ("nginx", nginx::program()),
        ("bare-h2", bare_h2::program()),
    ];
    for (name, found) in others {
        match found {
            Ok(program) => programs.push(program),
            Err(error) => missing.push(format!("{name}: {error:#}")),
        }
    }
    Ok((programs, missing))
}

/// The file `source` as `target`.
fn file(source: &Path, target: &str) -> Mount {
    Mount { source: source.to_owned(), target: target.into(), read_only: true }
}

/// The machine's libraries, for programs that are linked to them.
fn libraries() -> Vec<Mount> {
    let places = ["/usr/lib", "/lib", "/lib64"].map(Path::new);
    places
        .into_iter()
        .filter(|place| place.is_dir())
        .map(|place| Mount { source: place.to_owned(), target: place.to_owned(), read_only: true })
        .collect()
}

/// The first line that a program prints about itself which is not empty.
fn version(package: &str, binary: &Path, flag: &str) -> Result<String> {
    let output = tool::run(package, Command::new(binary).arg(flag))?;
    // nginx says it on its standard error.
    let text = String::from_utf8([output.stdout, output.stderr].concat()).context("its version")?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let line = line.with_context(|| format!("{} prints no version", binary.display()))?;
    // The own path is nobody's business.
    Ok(line.replace(&*binary.to_string_lossy(), "").trim().to_owned())
}
