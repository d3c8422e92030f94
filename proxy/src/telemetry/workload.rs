//! Who this pod is, from the environment that the injector wrote, and what Istio's metrics say of the two ends of a
//! connection.
//!
//! What is not known is the literal `unknown`, as dashboards expect; no label is ever left out, since Kiali drops series
//! that lack one.

/// The value of a label that is not known.
pub const UNKNOWN: &str = "unknown";

/// How many labels one end has.
pub(super) const LABELS: usize = 8;

/// One end of a connection.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Workload {
    name: String,
    namespace: String,
    canonical_name: String,
    canonical_revision: String,
}

impl Workload {
    /// This pod, as `variable` tells (the product passes the process's environment).
    pub fn of_this_pod(variable: impl Fn(&str) -> Option<String>) -> Self {
        let known =
            |name| variable(name).filter(|value| !value.is_empty()).unwrap_or_else(|| UNKNOWN.to_owned());
        Self {
            name: known(api::env::WORKLOAD_NAME),
            namespace: known(api::env::POD_NAMESPACE),
            canonical_name: known(api::env::CANONICAL_NAME),
            canonical_revision: known(api::env::CANONICAL_REVISION),
        }
    }

    /// Another one, as discovery tells; its canonical names are by default what Istio takes for them.
    pub fn known(
        name: &str,
        namespace: &str,
        canonical_name: Option<&str>,
        canonical_revision: Option<&str>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            canonical_name: canonical_name.unwrap_or(name).to_owned(),
            canonical_revision: canonical_revision.unwrap_or("latest").to_owned(),
        }
    }

    /// Nothing is known of it.
    pub(super) fn unknown() -> Self {
        Self::of_this_pod(|_| None)
    }

    /// As Istio's proxies name themselves to collectors.
    pub(crate) fn service(&self) -> String {
        format!("{}.{}", self.canonical_name, self.namespace)
    }

    /// What is known of it, in OpenTelemetry's words.
    pub(crate) fn resource(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let Self { name, namespace, canonical_name, canonical_revision } = self;
        let service = if canonical_name == UNKNOWN { name } else { canonical_name };
        let known = [
            ("service.namespace", namespace),
            ("service.version", canonical_revision),
            ("k8s.namespace.name", namespace),
        ];
        let known = known.into_iter().filter(|(_, value)| *value != UNKNOWN);
        // It has to be there.
        [("service.name", service)].into_iter().chain(known).map(|(key, value)| (key, value.as_str()))
    }

    /// The canonical service.
    pub(super) fn canonical_name(&self) -> &str {
        &self.canonical_name
    }

    /// The namespace.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What the labels of one end say.
    pub(super) fn labels(&self) -> [&str; LABELS] {
        let Self { name, namespace, canonical_name, canonical_revision } = self;
        let (principal, app, version, cluster) = (UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN);
        [name, namespace, principal, app, version, canonical_name, canonical_revision, cluster]
    }
}
