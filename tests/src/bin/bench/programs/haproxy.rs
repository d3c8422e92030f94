//! HAProxy of the Debian package `haproxy`: one thread, inbound connections to where they were going, outbound HTTP to the
//! endpoints of one Service; for TCP without a log, and for HTTP with its own.

use std::path::PathBuf;

use anyhow::Result;

use super::{CONFIGURATION, Program, file, libraries, version};
use crate::backend::HTTP1_PORT;
use crate::endpoints;
use crate::measures::memory;
use crate::protocol::Protocol;

/// Where Debian puts it.
const BINARY: &str = "/usr/sbin/haproxy";

/// For TCP.
pub(super) fn program() -> Result<Program> {
    with_mode("tcp").map(|program| Program {
        setup: "one thread; TCP to where it was going; no log",
        inbound: &[Protocol::Opaque],
        ..program
    })
}

/// For HTTP. Inbound connections to a server that are idle are of their client, since each may be going elsewhere.
pub(super) fn for_http() -> Result<Program> {
    with_mode("http\n    option httplog\n    log stdout format raw local0").map(|program| Program {
        name: "haproxy-http",
        setup: "one thread; HTTP to where it was going, outbound to 8 endpoints, least connections; the \
                access log of its HTTP format",
        inbound: &[Protocol::Http1],
        outbound: &[Protocol::Http1],
        ..program
    })
}

fn with_mode(mode: &str) -> Result<Program> {
    let binary = PathBuf::from(BINARY);
    let mut mounts = libraries();
    mounts.push(file(&binary, BINARY));
    Ok(Program {
        name: "haproxy",
        version: version("haproxy", &binary, "-v")?,
        setup: "",
        inbound: &[],
        outbound: &[],
        binary,
        mounts,
        configuration: Some(configuration(mode)),
        arguments: [BINARY, "-db", "-f", CONFIGURATION].map(str::to_owned).to_vec(),
        metrics: None,
    })
}

/// The application sees the address that it sees behind ours.
fn configuration(mode: &str) -> String {
    let endpoints: String = (1..)
        .zip(endpoints::all())
        .map(|(number, endpoint)| format!("    server {number} {endpoint}:{HTTP1_PORT}\n"))
        .collect();
    format!(
        "global
    nbthread 1
    maxconn {maximum}
defaults
    mode {mode}
    timeout connect 10s
    timeout http-keep-alive 1h
    timeout client 1h
    timeout server 1h
frontend inbound
    bind 0.0.0.0:{inbound}
    default_backend original
backend original
    option transparent
    source 127.0.0.{source}
frontend outbound
    bind 0.0.0.0:{outbound}
    default_backend service
backend service
    balance leastconn
{endpoints}",
        maximum = memory::MOST_CONNECTIONS,
        inbound = api::ports::INBOUND,
        outbound = api::ports::OUTBOUND,
        source = api::pod::INBOUND_SOURCES.start(),
    )
}
