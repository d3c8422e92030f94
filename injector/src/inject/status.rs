//! The status annotation: what an injection added, for the next review of the same pod, for tools and for people.
//! Names of fields are Istio's where Istio has one, since its tools read them.

use serde::{Deserialize, Serialize};

use super::Settings;
use super::pod::Pod;

/// The annotation's value.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    /// Version of the injector.
    pub(super) version: String,
    /// Hash of the injector's settings.
    pub(super) config: String,
    /// Native or legacy sidecar.
    pub(super) mode: String,
    /// Names of init containers that were added.
    pub(super) init_containers: Vec<String>,
    /// Names of containers that were added.
    pub(super) containers: Vec<String>,
    /// Names of volumes that were added.
    pub(super) volumes: Vec<String>,
    /// Keys of labels that were added.
    pub(super) labels: Vec<String>,
    /// Keys of annotations that were added, this one left out.
    pub(super) annotations: Vec<String>,
    /// Codes of the reasons.
    pub(super) reasons: Vec<String>,
}

/// The version that goes into the annotation.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Status {
    /// What an earlier injection of ours wrote into this pod. A status without our containers is a leftover (somebody
    /// copied a pod's metadata), and one that is not ours belongs to another mesh: neither counts.
    pub(super) fn of(pod: Pod<'_>) -> Option<Self> {
        let status: Self = serde_json::from_str(pod.annotation(api::annotations::STATUS)?).ok()?;
        let present = |name: &str| pod.container(name).is_some();
        (present(api::pod::INIT_CONTAINER) && present(api::pod::PROXY_CONTAINER)).then_some(status)
    }

    /// Whether this version with these settings wrote it.
    pub(super) fn is_current(&self, settings: &Settings) -> bool {
        self.version == VERSION && self.config == settings.hash
    }
}
