//! Names of the control plane's own objects, as `manifests/` declares them.

/// The namespace of everything that is ours.
pub const NAMESPACE: &str = "remora-system";

/// Name of the injector's Deployment, Service, ServiceAccount, ConfigMap, PodDisruptionBudget and roles.
pub const INJECTOR: &str = "remora-injector";

/// Key of the injector's configuration in the ConfigMap of its name.
pub const CONFIGURATION_KEY: &str = "injector.yaml";

/// Name of the MutatingWebhookConfiguration.
pub const WEBHOOK_CONFIGURATION: &str = "remora-injector";

/// Name of the webhook entry that is called because of the namespace's label.
pub const WEBHOOK_NAMESPACE_ENTRY: &str = "namespace.injector.remora.dev";

/// Path of [`WEBHOOK_NAMESPACE_ENTRY`].
pub const WEBHOOK_NAMESPACE_PATH: &str = "/inject/namespace";

/// Name of the webhook entry that is called because of the pod's own label.
pub const WEBHOOK_OBJECT_ENTRY: &str = "object.injector.remora.dev";

/// Path of [`WEBHOOK_OBJECT_ENTRY`].
pub const WEBHOOK_OBJECT_PATH: &str = "/inject/object";

/// The Secret that holds the certificate authority.
pub const CA_SECRET: &str = "remora-ca";

/// Address of the control plane as pods are told it.
pub const CONTROL_PLANE_HOST: &str = "remora-control-plane.remora-system.svc";

/// Namespaces that are never injected, besides [`NAMESPACE`].
pub const NEVER_INJECTED: [&str; 2] = ["kube-system", "kube-node-lease"];

/// Namespaces that are not injected unless the configuration lists others; they hold what every pod relies on.
pub const IGNORED: [&str; 2] = ["kube-public", "local-path-storage"];

/// How the names of all our webhook entries end.
pub const WEBHOOK_ENTRY_SUFFIX: &str = ".injector.remora.dev";

/// How the names of users begin that are nodes.
pub const NODE_USER_PREFIX: &str = "system:node:";

/// The group of all nodes.
pub const NODE_GROUP: &str = "system:nodes";

/// Seconds that the API server waits for the webhook.
pub const WEBHOOK_TIMEOUT_SECONDS: u8 = 5;

/// Path under which liveness is answered.
pub const LIVE_PATH: &str = "/healthz/live";

/// Path under which readiness is answered.
pub const READY_PATH: &str = "/healthz/ready";

/// Prefix of the paths under which the proxy makes the application's probes: `/app-health/CONTAINER/readyz`.
pub const APP_HEALTH_PATH: &str = "/app-health";

/// Prefix of the paths under which the proxy runs the application's lifecycle handlers.
pub const APP_LIFECYCLE_PATH: &str = "/app-lifecycle";

/// Path of the proxy's metrics together with the application's own.
pub const MERGED_METRICS_PATH: &str = "/stats/prometheus";
