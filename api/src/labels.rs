//! Labels that are read, and labels that are written.

/// Namespace switch: `enabled` or `disabled`.
pub const NAMESPACE_INJECTION: &str = "istio-injection";

/// The value of [`NAMESPACE_INJECTION`] that turns injection on.
pub const ENABLED: &str = "enabled";

/// The value of [`NAMESPACE_INJECTION`] that turns injection off.
pub const DISABLED: &str = "disabled";

/// Pod switch: `"true"` or `"false"`.
pub const POD_INJECT: &str = "sidecar.istio.io/inject";

/// Set by Kubernetes on every namespace: its name.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Set by the Deployment controller on the pods of a ReplicaSet; the ReplicaSet's name ends with its value.
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// The name under which telemetry shows a workload; written on injection where the user did not.
pub const CANONICAL_NAME: &str = "service.istio.io/canonical-name";

/// The revision that belongs to [`CANONICAL_NAME`].
pub const CANONICAL_REVISION: &str = "service.istio.io/canonical-revision";

/// Recommended label: application name.
pub const APP_NAME: &str = "app.kubernetes.io/name";

/// Recommended label: application version.
pub const APP_VERSION: &str = "app.kubernetes.io/version";

/// Recommended label: what the object is a part of.
pub const APP_PART_OF: &str = "app.kubernetes.io/part-of";

/// Short form of [`APP_NAME`].
pub const APP: &str = "app";

/// Short form of [`APP_VERSION`].
pub const VERSION: &str = "version";
