//! Environment variables of the injected containers. The proxy reads them; the injector writes them.

/// The pod's name (downward API).
pub const POD_NAME: &str = "POD_NAME";

/// The pod's namespace (downward API).
pub const POD_NAMESPACE: &str = "POD_NAMESPACE";

/// The pod's uid (downward API).
pub const POD_UID: &str = "POD_UID";

/// The pod's primary address (downward API); Istio's name.
pub const INSTANCE_IP: &str = "INSTANCE_IP";

/// All the pod's addresses, comma separated (downward API); Istio's name.
pub const INSTANCE_IPS: &str = "INSTANCE_IPS";

/// The node's name (downward API).
pub const NODE_NAME: &str = "NODE_NAME";

/// The node's address (downward API).
pub const HOST_IP: &str = "HOST_IP";

/// The pod's service account (downward API).
pub const SERVICE_ACCOUNT: &str = "SERVICE_ACCOUNT";

/// The proxy container's CPU limit in cores, rounded up (downward API); only where the container has one.
pub const CPU_LIMIT: &str = "REMORA_CPU_LIMIT";

/// The proxy container's memory limit in bytes (downward API); only where the container has one.
pub const MEMORY_LIMIT: &str = "REMORA_MEMORY_LIMIT";

/// The workload's name, from the pod's owner references.
pub const WORKLOAD_NAME: &str = "REMORA_WORKLOAD_NAME";

/// The canonical service name of telemetry.
pub const CANONICAL_NAME: &str = "REMORA_CANONICAL_NAME";

/// The canonical revision of telemetry.
pub const CANONICAL_REVISION: &str = "REMORA_CANONICAL_REVISION";

/// The application's name, from the pod's labels (downward API); empty without the label.
pub const APP: &str = "REMORA_APP";

/// The application's version, from the pod's labels (downward API); empty without the label.
pub const APP_VERSION: &str = "REMORA_APP_VERSION";

/// The cluster's name.
pub const CLUSTER: &str = "REMORA_CLUSTER";

/// The control plane's address, `HOST:PORT` with a DNS name.
pub const CONTROL_PLANE: &str = "REMORA_CONTROL_PLANE";

/// How the proxy runs in the pod: [`SIDECAR_MODE_NATIVE`] or [`SIDECAR_MODE_LEGACY`]. It decides what SIGTERM means.
pub const SIDECAR_MODE: &str = "REMORA_SIDECAR_MODE";

/// An init container with `restartPolicy: Always`: SIGTERM comes when the applications are gone.
pub const SIDECAR_MODE_NATIVE: &str = "native";

/// An ordinary container: SIGTERM comes together with the applications'.
pub const SIDECAR_MODE_LEGACY: &str = "legacy";

/// How traffic reaches the proxy: [`REDIRECT_MODE_REDIRECT`].
pub const REDIRECT_MODE: &str = "REMORA_REDIRECT_MODE";

/// By NAT REDIRECT rules, with SO_ORIGINAL_DST.
pub const REDIRECT_MODE_REDIRECT: &str = "redirect";

/// Not at all: there are no rules and no init container.
pub const REDIRECT_MODE_NONE: &str = "none";

/// Whether clients behind the pod's virtual interfaces send to the proxy, which then accepts outbound traffic on the
/// wildcard: `true` or absent.
pub const VIRTUAL_INTERFACES: &str = "REMORA_VIRTUAL_INTERFACES";

/// How long the proxy still accepts when the pod ends.
pub const DRAIN_DELAY: &str = "REMORA_DRAIN_DELAY";

/// How long connections may last after SIGTERM.
pub const DRAIN_DEADLINE: &str = "REMORA_DRAIN_DEADLINE";

/// How long a connection to the application may take.
pub const INBOUND_CONNECT_TIMEOUT: &str = "REMORA_INBOUND_CONNECT_TIMEOUT";

/// How long a connection to another pod or host may take.
pub const OUTBOUND_CONNECT_TIMEOUT: &str = "REMORA_OUTBOUND_CONNECT_TIMEOUT";

/// Ports on which nothing but TCP is spoken; a list of ports and ranges.
pub const OPAQUE_PORTS: &str = "REMORA_OPAQUE_PORTS";

/// Where spans go; a URL.
pub const TRACE_COLLECTOR: &str = "REMORA_TRACE_COLLECTOR";

/// What is spoken there: `otlp-http`, `otlp-grpc` or `zipkin`.
pub const TRACE_PROTOCOL: &str = "REMORA_TRACE_PROTOCOL";

/// How many of the traces that begin at the proxy are recorded, in percent.
pub const TRACE_SAMPLING: &str = "REMORA_TRACE_SAMPLING";

/// Bytes of spans that may wait for the collector.
pub const TRACE_QUEUE: &str = "REMORA_TRACE_QUEUE";

/// The least and the most that [`TRACE_QUEUE`] may say.
pub const TRACE_QUEUE_BYTES: std::ops::RangeInclusive<i64> = 16 * 1024..=256 * 1024 * 1024;

/// The port of [`PORTS`] on which the proxy answers whether it is ready.
pub const READINESS_PORT: &str = "REMORA_PORT_READINESS";

/// The proxy's ports. A pod is told those that differ. None of these names is one that Kubernetes makes of a Service's:
/// with `PORT` at the end, one named `remora-metrics` would say `tcp://…`.
pub const PORTS: [(&str, u16); 5] = [
    ("REMORA_PORT_OUTBOUND", crate::ports::OUTBOUND),
    ("REMORA_PORT_INBOUND", crate::ports::INBOUND),
    ("REMORA_PORT_ADMIN", crate::ports::ADMIN),
    ("REMORA_PORT_METRICS", crate::ports::METRICS),
    (READINESS_PORT, crate::ports::READINESS),
];

/// How the redirect rules are installed; read by `init-redirect`, and by the injector for all that it injects.
pub const REDIRECT_BACKEND: &str = "REMORA_REDIRECT_BACKEND";

/// Layout of a log line of any of the binaries: `text` or `json`.
pub const LOG_FORMAT: &str = "REMORA_LOG_FORMAT";

/// Format of the proxy's access log: `json`, `text` or `off`.
pub const ACCESS_LOG: &str = "REMORA_ACCESS_LOG";

/// Log filter of any of the binaries, for example `info` or `proxy=debug`.
pub const LOG: &str = "REMORA_LOG";

/// The application's probes and lifecycle handlers that the proxy answers for, as JSON; Istio's name and format.
pub const APP_PROBERS: &str = "ISTIO_KUBE_APP_PROBERS";

/// Where the application serves its own metrics, as JSON; Istio's name and format.
pub const PROMETHEUS_ANNOTATIONS: &str = "ISTIO_PROMETHEUS_ANNOTATIONS";
