//! Annotations that are read from pods, and those that are written.

/// What was added to a pod, as JSON: written on injection, read back by the next one and by tools.
pub const STATUS: &str = "sidecar.istio.io/status";

/// Inbound ports to capture: `*` or a list of ports and ranges.
pub const INCLUDE_INBOUND_PORTS: &str = "traffic.sidecar.istio.io/includeInboundPorts";

/// Inbound ports to leave alone.
pub const EXCLUDE_INBOUND_PORTS: &str = "traffic.sidecar.istio.io/excludeInboundPorts";

/// Outbound ports to capture, in addition to those that the address ranges select.
pub const INCLUDE_OUTBOUND_PORTS: &str = "traffic.sidecar.istio.io/includeOutboundPorts";

/// Outbound ports to leave alone.
pub const EXCLUDE_OUTBOUND_PORTS: &str = "traffic.sidecar.istio.io/excludeOutboundPorts";

/// Outbound addresses to capture: `*`, or a list of CIDRs; empty means none.
pub const INCLUDE_OUTBOUND_IP_RANGES: &str = "traffic.sidecar.istio.io/includeOutboundIPRanges";

/// Outbound addresses to leave alone: a list of CIDRs.
pub const EXCLUDE_OUTBOUND_IP_RANGES: &str = "traffic.sidecar.istio.io/excludeOutboundIPRanges";

/// The proxy's CPU request.
pub const PROXY_CPU: &str = "sidecar.istio.io/proxyCPU";

/// The proxy's CPU limit.
pub const PROXY_CPU_LIMIT: &str = "sidecar.istio.io/proxyCPULimit";

/// The proxy's memory request.
pub const PROXY_MEMORY: &str = "sidecar.istio.io/proxyMemory";

/// The proxy's memory limit.
pub const PROXY_MEMORY_LIMIT: &str = "sidecar.istio.io/proxyMemoryLimit";

/// The proxy's log level.
pub const LOG_LEVEL: &str = "sidecar.istio.io/logLevel";

/// Whether the proxy is a native sidecar (`"true"`) or an ordinary container (`"false"`).
pub const NATIVE_SIDECAR: &str = "sidecar.istio.io/nativeSidecar";

/// Prefix of ours, for what has no name in Istio's or Linkerd's vocabulary.
pub const OWN_PREFIX: &str = "remora.dev/";

/// Whether the pod's DNS is captured: `"true"` or `"false"`.
pub const DNS_CAPTURE: &str = "remora.dev/dns-capture";

/// Set by the kubelet on mirrors of static pods, which nobody can change.
pub const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// The container that `kubectl exec` and its siblings take by default; written where the user did not.
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The older sibling of [`DEFAULT_CONTAINER`] for `kubectl logs`; written where the user did not.
pub const DEFAULT_LOGS_CONTAINER: &str = "kubectl.kubernetes.io/default-logs-container";

/// Prefix of annotations that say how the proxy is injected; Istio's.
pub const SIDECAR_PREFIX: &str = "sidecar.istio.io/";

/// Prefix of annotations that say which traffic is captured; Istio's.
pub const TRAFFIC_PREFIX: &str = "traffic.sidecar.istio.io/";

/// How the application's probes reach it: `auto`, `rewrite`, `passthrough` or `off`.
pub const PROBES: &str = "remora.dev/probes";

/// Istio's older switch for [`PROBES`]: `"true"` is `rewrite`, `"false"` is `passthrough`.
pub const REWRITE_PROBERS: &str = "sidecar.istio.io/rewriteAppHTTPProbers";

/// `"false"` keeps the application's metrics out of the proxy's.
pub const MERGE_METRICS: &str = "prometheus.istio.io/merge-metrics";

/// Whether the pod is scraped: `"true"` or `"false"`.
pub const SCRAPE: &str = "prometheus.io/scrape";

/// The port that is scraped.
pub const SCRAPE_PORT: &str = "prometheus.io/port";

/// The path that is scraped; `/metrics` where it is absent.
pub const SCRAPE_PATH: &str = "prometheus.io/path";

/// `http` or `https`; `http` where it is absent.
pub const SCRAPE_SCHEME: &str = "prometheus.io/scheme";

/// Volumes that do not keep the cluster autoscaler from removing a node: names, comma separated.
pub const SAFE_TO_EVICT_VOLUMES: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";

/// Prefix of annotations that change the proxy's own configuration; Istio's.
pub const PROXY_PREFIX: &str = "proxy.istio.io/";

/// Prefix of annotations that configure Linkerd's proxy, some of which are read for migration.
pub const LINKERD_CONFIG_PREFIX: &str = "config.linkerd.io/";

/// Linkerd's switch: `enabled`, `ingress` or `disabled`; read for migration.
pub const LINKERD_INJECT: &str = "linkerd.io/inject";

/// Prefix of Linkerd's other annotations.
pub const LINKERD_PREFIX: &str = "linkerd.io/";

/// Set by OpenShift on the pods of a DeploymentConfig: its name.
pub const DEPLOYMENT_CONFIG: &str = "openshift.io/deployment-config.name";
