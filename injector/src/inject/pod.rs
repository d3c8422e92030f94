//! Reading the raw JSON of a pod. Everything is optional, as it is in JSON; nothing is copied.
//!
//! Invariant: in a [`Pod`] what is read or patched has the type that the API gives it, so that nothing of the user's is
//! taken for absent, and that a patch can add to it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::reason::{Code, Reason, quoted};
use super::selection::Labels;

/// A map or a list of a pod to which injection adds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Part {
    Labels,
    Annotations,
    InitContainers,
    Containers,
    Volumes,
    ImagePullSecrets,
}

impl Part {
    pub(super) const MAPS: [Self; 2] = [Self::Labels, Self::Annotations];
    pub(super) const LISTS: [Self; 4] =
        [Self::InitContainers, Self::Containers, Self::Volumes, Self::ImagePullSecrets];
    pub(super) const CONTAINERS: [Self; 2] = [Self::InitContainers, Self::Containers];

    /// Its field of `metadata` or `spec`.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Labels => "labels",
            Self::Annotations => "annotations",
            Self::InitContainers => "initContainers",
            Self::Containers => "containers",
            Self::Volumes => "volumes",
            Self::ImagePullSecrets => "imagePullSecrets",
        }
    }

    /// What one of its elements is called.
    pub(super) fn singular(self) -> &'static str {
        match self {
            Self::Labels => "label",
            Self::Annotations => "annotation",
            Self::InitContainers => "init container",
            Self::Containers => "container",
            Self::Volumes => "volume",
            Self::ImagePullSecrets => "pull secret",
        }
    }

    /// As a JSON pointer (RFC 6901).
    pub(super) fn pointer(self) -> &'static str {
        match self {
            Self::Labels => "/metadata/labels",
            Self::Annotations => "/metadata/annotations",
            Self::InitContainers => "/spec/initContainers",
            Self::Containers => "/spec/containers",
            Self::Volumes => "/spec/volumes",
            Self::ImagePullSecrets => "/spec/imagePullSecrets",
        }
    }
}

/// What Kubernetes gives a pod that does not say.
const DEFAULT_GRACE_SECONDS: u64 = 30;

/// A pod, or the `metadata` and `spec` of a template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pod<'a> {
    metadata: &'a Map<String, Value>,
    spec: &'a Map<String, Value>,
}

impl<'a> Pod<'a> {
    pub(super) fn new(value: &'a Value) -> Result<Self, Reason> {
        let part = |name: &str| {
            value.get(name).and_then(Value::as_object).ok_or_else(|| {
                malformed(format!("{name} is missing or not an object; every pod has metadata and spec"))
            })
        };
        let pod = Self { metadata: part("metadata")?, spec: part("spec")? };
        for map in Part::MAPS {
            check_texts(pod.metadata, map.field())?;
        }
        for list in Part::LISTS {
            if pod.part(list).is_some_and(|value| !value.is_null() && !value.is_array()) {
                return Err(malformed(format!("spec.{} is not a list", list.field())));
            }
        }
        Ok(pod)
    }

    /// A text field of `metadata`; empty counts as absent, as in Kubernetes.
    pub(super) fn metadata_text(self, field: &str) -> Option<&'a str> {
        self.metadata.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub(super) fn metadata_list(self, field: &str) -> &'a [Value] {
        list(self.metadata, field)
    }

    pub(super) fn label(self, key: &str) -> Option<&'a str> {
        self.map(Part::Labels)?.get(key)?.as_str()
    }

    pub(super) fn annotation(self, key: &str) -> Option<&'a str> {
        self.map(Part::Annotations)?.get(key)?.as_str()
    }

    pub(super) fn spec(self, field: &str) -> Option<&'a Value> {
        self.spec.get(field)
    }

    /// How long the kubelet waits between SIGTERM and SIGKILL.
    pub(super) fn grace(self) -> Duration {
        let seconds = self.spec("terminationGracePeriodSeconds").and_then(Value::as_u64);
        Duration::from_secs(seconds.unwrap_or(DEFAULT_GRACE_SECONDS))
    }

    /// `containers`, `initContainers` or `volumes`; `null` counts as absent.
    pub(super) fn spec_list(self, field: &str) -> &'a [Value] {
        list(self.spec, field)
    }

    /// A part as it is: absent, null, or what its type says.
    pub(super) fn part(self, part: Part) -> Option<&'a Value> {
        match part {
            Part::Labels | Part::Annotations => self.metadata.get(part.field()),
            Part::InitContainers | Part::Containers | Part::Volumes | Part::ImagePullSecrets => {
                self.spec.get(part.field())
            }
        }
    }

    /// Whether a part is there to be added to.
    pub(super) fn has(self, part: Part) -> bool {
        self.part(part).is_some_and(|value| !value.is_null())
    }

    /// The elements of a part that is a list; `null` counts as absent.
    pub(super) fn list(self, part: Part) -> &'a [Value] {
        self.part(part).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The entries of a part that is a map; `null` counts as absent.
    pub(super) fn map(self, part: Part) -> Option<&'a Map<String, Value>> {
        self.part(part).and_then(Value::as_object)
    }

    /// Where a container or an init container is.
    pub(super) fn place_of(self, name: &str) -> Option<(Part, usize, &'a Value)> {
        Part::CONTAINERS.into_iter().find_map(|part| {
            let mut containers = self.list(part).iter().enumerate();
            containers.find(|(_, found)| name_of(found) == name).map(|(at, found)| (part, at, found))
        })
    }

    /// Init containers, then containers. Ephemeral ones cannot be in a pod that is being created.
    pub(super) fn all_containers(self) -> impl Iterator<Item = &'a Value> {
        Part::CONTAINERS.into_iter().flat_map(move |part| self.list(part))
    }

    pub(super) fn container(self, name: &str) -> Option<&'a Value> {
        self.all_containers().find(|container| name_of(container) == name)
    }
}

impl Labels for Pod<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.label(key)
    }
}

/// The name of a container, a volume or a port.
pub(super) fn name_of(item: &Value) -> &str {
    item.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// A file says `inject: false` or `excludeInboundPorts: 8080` easily, which the API server does not take.
fn check_texts(metadata: &Map<String, Value>, field: &str) -> Result<(), Reason> {
    let entries = match metadata.get(field) {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(entries)) => entries,
        Some(_) => return Err(malformed(format!("metadata.{field} is not an object"))),
    };
    let wrong = entries.iter().find(|(_, value)| !value.is_string() && !value.is_null());
    wrong.map_or(Ok(()), |(key, value)| {
        let (key, value) = (quoted(key), quoted(&value.to_string()));
        Err(malformed(format!("metadata.{field} {key} is {value} and not text; put the value in quotes")))
    })
}

fn malformed(text: String) -> Reason {
    Reason::new(Code::MalformedPod, text)
}

fn list<'a>(map: &'a Map<String, Value>, field: &str) -> &'a [Value] {
    map.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
