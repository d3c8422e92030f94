//! The status annotation: what an injection added and changed, for the next review of the same pod, for `uninject`, for
//! tools and for people. Names of fields are Istio's where Istio has one, since its tools read them.
//!
//! Invariant: what is written here and what is in the pod give back the pod as it was. Of the user's own only what was
//! replaced is repeated, so that a big pod has no big status.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Settings;
use super::edit::{Handler, Original};
use super::pod::{Part, Pod, name_of};

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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) init_containers: Vec<String>,
    /// Names of containers that were added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) containers: Vec<String>,
    /// Names of volumes that were added.
    pub(super) volumes: Vec<String>,
    /// Names of pull secrets that were added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) image_pull_secrets: Vec<String>,
    /// Labels that were added.
    pub(super) labels: Entries,
    /// Annotations that were added or changed, this one left out.
    pub(super) annotations: Entries,
    /// The values of annotations that had one before; `null` is a null.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) replaced: BTreeMap<String, Option<String>>,
    /// What was replaced in probes and lifecycle handlers, by the container's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) handlers: BTreeMap<String, BTreeMap<Handler, Original>>,
    /// Lists and maps that the pod had not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) created: Vec<Part>,
    /// Lists and maps that were null.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) nulls: Vec<Part>,
    /// Codes of the reasons.
    pub(super) reasons: Vec<String>,
}

/// Entries of a map that were added.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Entries {
    /// With their values, so that one which somebody changed since is known to be theirs.
    Values(BTreeMap<String, String>),
    /// The keys alone, as version 0.1.0 first wrote them.
    Keys(Vec<String>),
}

/// The version that goes into the annotation.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A status that somebody copied along with a pod's metadata describes nothing, but it is theirs and comes back; one that
/// is longer than any of ours does not.
pub(super) const LONGEST_LEFTOVER: usize = 16 * 1024;

/// Nobody's time is spent on a text or a list that is longer than any of ours.
const LONGEST: usize = 128 * 1024;
const MOST_NAMES: usize = 64;

/// Names that the containers of an injection can have. A status that names others would take away the user's.
const CONTAINERS: [&str; 2] = [api::pod::INIT_CONTAINER, api::pod::PROXY_CONTAINER];

impl Status {
    /// What an earlier injection of ours wrote into this pod. A status of which nothing is there is a leftover (somebody
    /// copied a pod's metadata), and one that is not ours belongs to another mesh: neither counts.
    pub(super) fn of(pod: Pod<'_>) -> Option<Self> {
        let text = pod.annotation(api::annotations::STATUS).filter(|text| text.len() <= LONGEST)?;
        let status: Self = serde_json::from_str(text).ok()?;
        let present = |list| status.names(list).iter().any(|name| has_item(pod, list, name));
        let lists = [Part::InitContainers, Part::Containers, Part::Volumes];
        (status.could_be_ours() && lists.into_iter().any(present)).then_some(status)
    }

    fn could_be_ours(&self) -> bool {
        let few = Part::LISTS.into_iter().all(|list| self.names(list).len() <= MOST_NAMES);
        let mut containers = self.init_containers.iter().chain(&self.containers);
        few && containers.all(|name| CONTAINERS.contains(&name.as_str()))
    }

    /// Whether it lacks what later ones record.
    pub(super) fn is_old(&self) -> bool {
        matches!(self.annotations, Entries::Keys(_))
    }

    /// Whether everything that it lists of containers and volumes is there, and the sidecar is one that stays.
    pub(super) fn is_complete(&self, pod: Pod<'_>) -> bool {
        let stays =
            |container: &Value| container.get("restartPolicy").and_then(Value::as_str) == Some("Always");
        let right = |list: Part, item: &Value| {
            list != Part::InitContainers || name_of(item) != api::pod::PROXY_CONTAINER || stays(item)
        };
        Part::LISTS.into_iter().all(|list| {
            let present =
                |name: &String| pod.list(list).iter().any(|item| name_of(item) == name && right(list, item));
            self.names(list).iter().all(present)
        })
    }

    /// What it lists and `current` does not.
    pub(super) fn without(&self, current: &Self) -> Self {
        let mut stale = self.clone();
        stale.init_containers.retain(|name| !current.init_containers.contains(name));
        stale.containers.retain(|name| !current.containers.contains(name));
        stale.volumes.retain(|name| !current.volumes.contains(name));
        stale.image_pull_secrets.retain(|name| !current.image_pull_secrets.contains(name));
        stale.labels.retain(|key| !current.labels.has(key));
        stale.annotations.retain(|key| !current.annotations.has(key));
        stale.replaced.retain(|key, _| !current.replaced.contains_key(key));
        stale.handlers.retain(|container, handlers| {
            let now = current.handlers.get(container);
            handlers.retain(|handler, _| now.is_none_or(|now| !now.contains_key(handler)));
            !handlers.is_empty()
        });
        stale
    }

    /// Whether this version with these settings wrote it.
    pub(super) fn is_current(&self, settings: &Settings) -> bool {
        self.version == VERSION && self.config == settings.hash
    }

    /// The names that were added to a list.
    pub(super) fn names(&self, list: Part) -> &[String] {
        match list {
            Part::InitContainers => &self.init_containers,
            Part::Containers => &self.containers,
            Part::Volumes => &self.volumes,
            Part::ImagePullSecrets => &self.image_pull_secrets,
            Part::Labels | Part::Annotations => &[],
        }
    }

    /// The annotation's value.
    pub(super) fn text(&self) -> String {
        // Texts, and lists and maps of texts: it always serializes.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Entries {
    pub(super) fn keys(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Values(values) => Box::new(values.keys().map(String::as_str)),
            Self::Keys(keys) => Box::new(keys.iter().map(String::as_str)),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.keys().any(|added| added == key)
    }

    /// The value that was added, where it is known.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        match self {
            Self::Values(values) => values.get(key).map(String::as_str),
            Self::Keys(_) => None,
        }
    }

    /// Whether the entry is as it was added, as far as that is known.
    pub(super) fn is(&self, key: &str, value: &Value) -> bool {
        match self {
            Self::Values(values) => values.get(key).is_some_and(|added| value == added),
            Self::Keys(keys) => keys.iter().any(|added| added == key),
        }
    }

    fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        match self {
            Self::Values(values) => values.retain(|key, _| keep(key)),
            Self::Keys(keys) => keys.retain(|key| keep(key)),
        }
    }
}

fn has_item(pod: Pod<'_>, list: Part, name: &str) -> bool {
    pod.list(list).iter().any(|item| name_of(item) == name)
}
