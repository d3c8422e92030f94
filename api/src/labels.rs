//! Labels that are read, and labels that are written.

/// Namespace switch: `enabled` or `disabled`.
pub const NAMESPACE_INJECTION: &str = "istio-injection";

/// The value of [`NAMESPACE_INJECTION`] that turns injection on.
pub const ENABLED: &str = "enabled";

/// The value of [`NAMESPACE_INJECTION`] that turns injection off.
pub const DISABLED: &str = "disabled";

/// Pod switch: `"true"` or `"false"`.
pub const POD_INJECT: &str = "sidecar.istio.io/inject";

/// Istio's choice of a revision, on a namespace or a pod. There are no revisions here: who chooses one means another mesh.
pub const REVISION: &str = "istio.io/rev";

/// `"true"` marks namespaces that a provider keeps; Azure adds a requirement on it to everybody's webhooks.
pub const CONTROL_PLANE: &str = "control-plane";

/// The other label that Azure adds a requirement on.
pub const AZURE_MANAGED_BY: &str = "kubernetes.azure.com/managedby";

/// The value of [`AZURE_MANAGED_BY`] that marks Azure's own namespaces.
pub const AZURE: &str = "aks";

/// The Pod Security level that a namespace enforces: `privileged`, `baseline` or `restricted`.
pub const POD_SECURITY_ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Set by Kubernetes on every namespace: its name.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Set by the kubelet on every node: its operating system.
pub const NODE_OS: &str = "kubernetes.io/os";

/// Set by the Deployment controller on the pods of a ReplicaSet; the ReplicaSet's name ends with its value.
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// Set by Argo Rollouts in place of [`POD_TEMPLATE_HASH`].
pub const ROLLOUTS_POD_TEMPLATE_HASH: &str = "rollouts-pod-template-hash";

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
