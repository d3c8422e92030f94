//! HAProxy of the Debian package `haproxy`: one thread, connections to where they were going; for TCP without a log, and for
//! HTTP with its own.

use std::path::PathBuf;

use anyhow::Result;

use super::{CONFIGURATION, Program, file, libraries, version};
use crate::measures::memory;
use crate::protocol::Protocol;

/// Where Debian puts it.
const BINARY: &str = "/usr/sbin/haproxy";

/// For TCP.
pub(super) fn program() -> Result<Program> {
    with_mode("tcp").map(|program| Program {
        setup: "one thread; TCP to where it was going; no log",
        protocols: &[Protocol::Opaque],
        ..program
    })
}

/// For HTTP. Connections to a server that are idle are of their client, since each may be going elsewhere.
pub(super) fn for_http() -> Result<Program> {
    with_mode("http\n    option httplog\n    log stdout format raw local0").map(|program| Program {
        name: "haproxy-http",
        setup: "one thread; HTTP to where it was going; the access log of its HTTP format",
        protocols: &[Protocol::Http1],
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
        protocols: &[],
        binary,
        mounts,
        configuration: Some(configuration(mode)),
        arguments: [BINARY, "-db", "-f", CONFIGURATION].map(str::to_owned).to_vec(),
    })
}

/// The application sees the address that it sees behind ours.
fn configuration(mode: &str) -> String {
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
    bind 0.0.0.0:{port}
    default_backend original
backend original
    option transparent
    source 127.0.0.{source}
",
        maximum = memory::MOST_CONNECTIONS,
        port = api::ports::INBOUND,
        source = api::pod::INBOUND_SOURCES.start(),
    )
}
