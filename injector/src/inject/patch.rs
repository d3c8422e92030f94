//! Typed patch operations (RFC 6902): only `add`, and only on the places that [`Location`] can name. A position within a
//! list of the user's is never addressed but for its front, so nothing of the user's is ever replaced or moved past.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Volume};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::additions::Additions;
use super::options::Mode;
use super::pod::Pod;

/// One `add`.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    location: Location,
    value: Addition,
}

#[derive(Clone, Debug, PartialEq)]
enum Location {
    Labels,
    Label(String),
    Annotations,
    Annotation(String),
    /// The whole list, where the pod has none.
    List(&'static str),
    /// An element at the front of a list.
    At(&'static str, usize),
    /// An element at the end of a list.
    End(&'static str),
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Addition {
    Text(String),
    Map(BTreeMap<String, String>),
    Container(Box<Container>),
    Containers(Vec<Container>),
    Volume(Box<Volume>),
    Volumes(Vec<Volume>),
}

const INIT_CONTAINERS: &str = "initContainers";
const CONTAINERS: &str = "containers";
const VOLUMES: &str = "volumes";

/// Where the additions go in this pod.
pub(super) fn operations(additions: Additions, pod: Pod<'_>) -> Vec<Operation> {
    let Additions { mode, init, proxy, volumes, labels, annotations, edits: _ } = additions;
    let mut operations = Vec::with_capacity(12);
    operations.extend(map_operations(pod, Location::Labels, labels));
    operations.extend(map_operations(pod, Location::Annotations, annotations));
    operations.extend(volume_operations(pod, volumes));
    match mode {
        // Redirect first, then the proxy, then the user's init containers, which thus have a network already.
        Mode::Native => {
            operations.extend(container_operations(pod, INIT_CONTAINERS, vec![init, proxy], true))
        }
        // The user's init containers have to run before anything is redirected to a proxy that is not there yet.
        Mode::Legacy => {
            operations.extend(container_operations(pod, INIT_CONTAINERS, vec![init], false));
            operations.extend(container_operations(pod, CONTAINERS, vec![proxy], false));
        }
    }
    operations
}

fn map_operations(pod: Pod<'_>, whole: Location, map: BTreeMap<String, String>) -> Vec<Operation> {
    if map.is_empty() {
        return Vec::new();
    }
    let labels = whole == Location::Labels;
    if pod.metadata_map(if labels { "labels" } else { "annotations" }).is_none() {
        return vec![Operation { location: whole, value: Addition::Map(map) }];
    }
    let one = if labels { Location::Label } else { Location::Annotation };
    map.into_iter()
        .map(|(key, value)| Operation { location: one(key), value: Addition::Text(value) })
        .collect()
}

fn volume_operations(pod: Pod<'_>, volumes: Vec<Volume>) -> Vec<Operation> {
    if !pod.has_list(VOLUMES) {
        return vec![Operation { location: Location::List(VOLUMES), value: Addition::Volumes(volumes) }];
    }
    let one =
        |volume| Operation { location: Location::End(VOLUMES), value: Addition::Volume(Box::new(volume)) };
    volumes.into_iter().map(one).collect()
}

fn container_operations(
    pod: Pod<'_>,
    list: &'static str,
    containers: Vec<Container>,
    front: bool,
) -> Vec<Operation> {
    if !pod.has_list(list) {
        return vec![Operation { location: Location::List(list), value: Addition::Containers(containers) }];
    }
    let at = |position| if front { Location::At(list, position) } else { Location::End(list) };
    let one = |(position, container)| Operation {
        location: at(position),
        value: Addition::Container(Box::new(container)),
    };
    containers.into_iter().enumerate().map(one).collect()
}

impl Location {
    /// As a JSON pointer (RFC 6901).
    fn pointer(&self) -> String {
        match self {
            Self::Labels => "/metadata/labels".to_owned(),
            Self::Label(key) => format!("/metadata/labels/{}", escaped(key)),
            Self::Annotations => "/metadata/annotations".to_owned(),
            Self::Annotation(key) => format!("/metadata/annotations/{}", escaped(key)),
            Self::List(list) => format!("/spec/{list}"),
            Self::At(list, position) => format!("/spec/{list}/{position}"),
            Self::End(list) => format!("/spec/{list}/-"),
        }
    }
}

/// RFC 6901, section 3: `~` and `/` within a key.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut operation = serializer.serialize_struct("Operation", 3)?;
        operation.serialize_field("op", "add")?;
        operation.serialize_field("path", &self.location.pointer())?;
        operation.serialize_field("value", &self.value)?;
        operation.end()
    }
}
