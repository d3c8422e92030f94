//! Our own: what cargo has built for release, with its defaults, the access log on.

use anyhow::Result;
use tests::binaries;

use super::{OURS, Program, file, version};
use crate::measures::memory;
use crate::protocol::Protocol;

pub(super) fn program(options: &str) -> Result<Program> {
    let binary = binaries::proxy()?;
    // By default a quarter of the descriptors is kept for outbound connections.
    let limit = format!("--max-inbound-connections={}", memory::MOST_CONNECTIONS);
    let arguments = [api::pod::PROXY_BINARY, &limit].into_iter().chain(options.split_whitespace());
    Ok(Program {
        name: OURS,
        version: version("none", &binary, "--version")?,
        setup: "as in a pod, with metrics, and the access log in JSON to a pipe that is read",
        protocols: &[Protocol::Opaque, Protocol::Http1, Protocol::Http2],
        mounts: vec![file(&binary, api::pod::PROXY_BINARY)],
        configuration: None,
        arguments: arguments.map(str::to_owned).collect(),
        binary,
    })
}
