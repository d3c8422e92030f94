//! TCP ports of the mesh. The numbers are Istio's where Istio has one for the purpose, since firewalls, scrape
//! configurations and people know them.

/// The proxy accepts what the pod's own processes send (REDIRECT target of OUTPUT). Loopback only.
pub const OUTBOUND: u16 = 15001;

/// The proxy accepts what others send to the pod (REDIRECT target of PREROUTING). Wildcard.
pub const INBOUND: u16 = 15006;

/// Reserved: mutual TLS between proxies.
pub const MESH_TLS: u16 = 15008;

/// The proxy's administration: loopback only and read-only.
pub const ADMIN: u16 = 15000;

/// Reserved: the control plane's discovery and certificate service.
pub const CONTROL_PLANE: u16 = 15012;

/// The injector's own metrics and health, plain HTTP.
pub const INJECTOR_ADMIN: u16 = 15014;

/// The proxy's metrics, and later the application's probes and metrics.
pub const METRICS: u16 = 15020;

/// The proxy's readiness for callers that reach it directly.
pub const READINESS: u16 = 15021;

/// The proxy's readiness through capture. Nobody listens here: only a working redirect brings a connection for this
/// port to [`INBOUND`], so an answer proves inbound capture.
pub const READINESS_CAPTURED: u16 = 15022;

/// Reserved: captured DNS.
pub const DNS: u16 = 15053;

/// Istio's port for the proxy's own Prometheus metrics; we do not listen there, but scrapers expect it uncaptured.
pub const ENVOY_PROMETHEUS: u16 = 15090;

/// The webhook's TLS port. 10250 is what managed clusters' firewalls let the API server reach on nodes and pods.
pub const WEBHOOK: u16 = 10250;

/// The port of the webhook's Service.
pub const WEBHOOK_SERVICE: u16 = 443;

/// Inbound ports that are never captured. [`READINESS_CAPTURED`] is never among them.
pub const INBOUND_LEFT_ALONE: [u16; 4] = [MESH_TLS, METRICS, READINESS, ENVOY_PROMETHEUS];

/// Ports on which the proxy itself accepts captured traffic: a captured connection to one of these at a local address
/// would come back to the proxy.
pub const LISTENERS: [u16; 2] = [OUTBOUND, INBOUND];
