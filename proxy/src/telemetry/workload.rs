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
    app: Option<Box<str>>,
    version: Option<Box<str>>,
    /// Where nothing else is said, this pod's.
    cluster: Option<Box<str>>,
}

impl Workload {
    /// This pod, as `variable` tells (the product passes the process's environment).
    pub fn of_this_pod(variable: impl Fn(&str) -> Option<String>) -> Self {
        // The downward API makes an empty text of a label that the pod has not.
        let told = |name| variable(name).filter(|value| !value.is_empty());
        let known = |name| told(name).unwrap_or_else(|| UNKNOWN.to_owned());
        Self {
            name: known(api::env::WORKLOAD_NAME),
            namespace: known(api::env::POD_NAMESPACE),
            canonical_name: known(api::env::CANONICAL_NAME),
            canonical_revision: known(api::env::CANONICAL_REVISION),
            app: told(api::env::APP).map(Into::into),
            version: told(api::env::APP_VERSION).map(Into::into),
            cluster: Some(known(api::env::CLUSTER).into()),
        }
    }

    /// Another one of this cluster, as discovery tells; its canonical names are by default what Istio takes for them.
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
            app: None,
            version: None,
            cluster: None,
        }
    }

    /// The same, labelled as this version of this application.
    pub fn labelled(self, app: Option<&str>, version: Option<&str>) -> Self {
        Self { app: app.map(Into::into), version: version.map(Into::into), ..self }
    }

    /// The same, of another cluster where that is said.
    pub fn of_cluster(self, cluster: Option<&str>) -> Self {
        Self { cluster: cluster.map(Into::into), ..self }
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
        let Self { name, namespace, canonical_name, canonical_revision, .. } = self;
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

    /// What the labels of one end say, where the other end or this one is the pod `here`.
    pub(super) fn labels<'a>(&'a self, here: &'a Self) -> [&'a str; LABELS] {
        let Self { name, namespace, canonical_name, canonical_revision, app, version, cluster } = self;
        let known = |value: &'a Option<Box<str>>| value.as_deref().unwrap_or(UNKNOWN);
        // Nobody has proven who it is.
        let principal = UNKNOWN;
        let (app, version) = (known(app), known(version));
        let cluster = cluster.as_deref().unwrap_or_else(|| known(&here.cluster));
        [name, namespace, principal, app, version, canonical_name, canonical_revision, cluster]
    }
}
