//! Reading the raw JSON of a pod. Everything is optional, as it is in JSON; nothing is copied.
//!
//! Invariant: in a [`Pod`] what is read or patched has the type that the API gives it, so that nothing of the user's is
//! taken for absent, and that a patch can add to it.

use serde_json::{Map, Value};

use super::reason::{Code, Reason, quoted};

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
        for field in ["labels", "annotations"] {
            check_texts(pod.metadata, field)?;
        }
        for field in ["containers", "initContainers", "volumes"] {
            if !pod.has_list(field) && pod.spec(field).is_some_and(|value| !value.is_null()) {
                return Err(malformed(format!("spec.{field} is not a list")));
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

    /// `labels` or `annotations`; `null` counts as absent.
    pub(super) fn metadata_map(self, field: &str) -> Option<&'a Map<String, Value>> {
        self.metadata.get(field).and_then(Value::as_object)
    }

    pub(super) fn label(self, key: &str) -> Option<&'a str> {
        self.metadata_map("labels")?.get(key)?.as_str()
    }

    pub(super) fn annotation(self, key: &str) -> Option<&'a str> {
        self.metadata_map("annotations")?.get(key)?.as_str()
    }

    pub(super) fn annotation_keys(self) -> impl Iterator<Item = &'a str> {
        self.metadata_map("annotations").into_iter().flat_map(Map::keys).map(String::as_str)
    }

    pub(super) fn spec(self, field: &str) -> Option<&'a Value> {
        self.spec.get(field)
    }

    /// `containers`, `initContainers` or `volumes`; `null` counts as absent.
    pub(super) fn spec_list(self, field: &str) -> &'a [Value] {
        list(self.spec, field)
    }

    /// Whether a list of `spec` is there to be added to.
    pub(super) fn has_list(self, field: &str) -> bool {
        self.spec.get(field).is_some_and(Value::is_array)
    }

    /// Init containers, then containers. Ephemeral ones cannot be in a pod that is being created.
    pub(super) fn all_containers(self) -> impl Iterator<Item = &'a Value> {
        self.spec_list("initContainers").iter().chain(self.spec_list("containers"))
    }

    pub(super) fn container(self, name: &str) -> Option<&'a Value> {
        self.all_containers().find(|container| name_of(container) == name)
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
