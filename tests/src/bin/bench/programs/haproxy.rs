//! HAProxy of the Debian package `haproxy`: one thread, connections to where they were going, without a log.

use std::path::PathBuf;

use anyhow::Result;

use super::{CONFIGURATION, Program, file, libraries, version};
use crate::measures::memory;
use crate::wire::Protocol;

/// Where Debian puts it.
const BINARY: &str = "/usr/sbin/haproxy";

pub(super) fn program() -> Result<Program> {
    let binary = PathBuf::from(BINARY);
    let mut mounts = libraries();
    mounts.push(file(&binary, BINARY));
    Ok(Program {
        name: "haproxy",
        version: version("haproxy", &binary, "-v")?,
        setup: "one thread; TCP to where it was going; no log",
        protocols: &[Protocol::Opaque],
        binary,
        mounts,
        configuration: Some(configuration()),
        arguments: [BINARY, "-db", "-f", CONFIGURATION].map(str::to_owned).to_vec(),
    })
}

/// The application sees the address that it sees behind ours.
fn configuration() -> String {
    format!(
        "global
    nbthread 1
    maxconn {maximum}
defaults
    mode tcp
    timeout connect 10s
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
