//! Operations (RFC 6902) as types: what can be said is only what injection may do, and where.

use std::collections::BTreeMap;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, MoveOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use k8s_openapi::api::core::v1::{Container, LocalObjectReference, Volume};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::inject::edit::Handler;
use crate::inject::pod::Part;

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    location: Location,
    change: Change,
}

#[derive(Clone, Debug, PartialEq)]
enum Change {
    Add(Content),
    Replace(Content),
    Remove,
    /// From there to the operation's location, in the list as it is without what is moved.
    Move(Location),
}

/// What an operation can address.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::inject) enum Location {
    /// A list or a map as a whole.
    Whole(Part),
    /// An entry of a map.
    Entry(Part, String),
    /// An element of a list, ours or about to be.
    At(Part, usize),
    /// After the last element of a list.
    End(Part),
    /// A handler of the container at this position.
    Handler(Part, usize, Handler),
    /// A field of our container at this position.
    Field(Part, usize, String),
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(in crate::inject) enum Content {
    Text(String),
    Map(BTreeMap<String, String>),
    Container(Box<Container>),
    Containers(Vec<Container>),
    Volume(Box<Volume>),
    Volumes(Vec<Volume>),
    Reference(LocalObjectReference),
    References(Vec<LocalObjectReference>),
    /// Something of the pod's own, changed in parts.
    Json(Value),
}

impl Operation {
    pub(in crate::inject) fn add(location: Location, content: Content) -> Self {
        Self { location, change: Change::Add(content) }
    }

    pub(in crate::inject) fn replace(location: Location, content: Content) -> Self {
        Self { location, change: Change::Replace(content) }
    }

    pub(in crate::inject) fn remove(location: Location) -> Self {
        Self { location, change: Change::Remove }
    }

    pub(in crate::inject) fn moved(from: Location, to: Location) -> Self {
        Self { location: to, change: Change::Move(from) }
    }

    /// The same without the way through JSON.
    fn to_apply(&self) -> Result<PatchOperation, String> {
        let path = self.location.parsed()?;
        let value = |content| serde_json::to_value(content).map_err(|error| error.to_string());
        Ok(match &self.change {
            Change::Add(content) => PatchOperation::Add(AddOperation { path, value: value(content)? }),
            Change::Replace(content) => {
                PatchOperation::Replace(ReplaceOperation { path, value: value(content)? })
            }
            Change::Remove => PatchOperation::Remove(RemoveOperation { path }),
            Change::Move(from) => PatchOperation::Move(MoveOperation { from: from.parsed()?, path }),
        })
    }

    /// What is done and where, for a message.
    pub(in crate::inject) fn described(&self) -> String {
        format!("{} {}", self.change.verb(), self.location.pointer())
    }
}

impl Change {
    fn verb(&self) -> &'static str {
        match self {
            Self::Add(_) => "add",
            Self::Replace(_) => "replace",
            Self::Remove => "remove",
            Self::Move(_) => "move",
        }
    }
}

impl Location {
    /// As a JSON pointer (RFC 6901).
    fn pointer(&self) -> String {
        match self {
            Self::Whole(part) => part.pointer().to_owned(),
            Self::Entry(part, key) => format!("{}/{}", part.pointer(), escaped(key)),
            Self::At(part, position) => format!("{}/{position}", part.pointer()),
            Self::End(part) => format!("{}/-", part.pointer()),
            Self::Handler(part, position, handler) => {
                format!("{}/{position}{}", part.pointer(), handler.pointer())
            }
            Self::Field(part, position, field) => {
                format!("{}/{position}/{}", part.pointer(), escaped(field))
            }
        }
    }

    fn parsed(&self) -> Result<PointerBuf, String> {
        PointerBuf::parse(self.pointer()).map_err(|error| error.to_string())
    }
}

/// RFC 6901, section 3: `~` and `/` within a key.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut operation = serializer.serialize_struct("Operation", 3)?;
        operation.serialize_field("op", self.change.verb())?;
        operation.serialize_field("path", &self.location.pointer())?;
        match &self.change {
            Change::Add(content) | Change::Replace(content) => {
                operation.serialize_field("value", content)?;
            }
            Change::Remove => operation.skip_field("value")?,
            Change::Move(from) => operation.serialize_field("from", &from.pointer())?,
        }
        operation.end()
    }
}

/// Applies operations as the API server does. It fails only where the pod is not the one that they were made for, and
/// then nothing is changed.
pub fn apply(pod: &mut Value, operations: &[Operation]) -> Result<(), String> {
    let patch = operations.iter().map(Operation::to_apply).collect::<Result<Vec<_>, _>>()?;
    json_patch::patch(pod, &patch).map_err(|error| error.to_string())
}

/// A pod after operations; what these remove of lists is not even copied.
pub(in crate::inject) fn applied(pod: &Value, operations: &[Operation]) -> Result<Value, String> {
    let field = |(name, value): (&String, &Value)| {
        let spec = value.as_object().filter(|_| name == "spec");
        (name.clone(), spec.map_or_else(|| value.clone(), |spec| without_removed(spec, operations)))
    };
    let mut pod = pod.as_object().map_or_else(|| pod.clone(), |fields| fields.iter().map(field).collect());
    apply(&mut pod, operations)?;
    Ok(pod)
}

/// With null in the place of what will be removed, so that every position is as it was.
fn without_removed(spec: &Map<String, Value>, operations: &[Operation]) -> Value {
    let removed = |location: Location| {
        operations
            .iter()
            .any(|operation| operation.change == Change::Remove && operation.location == location)
    };
    let copied =
        |field: &str, value: &Value| match (Part::LISTS.iter().find(|list| list.field() == field), value) {
            (Some(list), _) if removed(Location::Whole(*list)) => Value::Null,
            (Some(list), Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(at, item)| if removed(Location::At(*list, at)) { Value::Null } else { item.clone() })
                .collect(),
            _ => value.clone(),
        };
    Value::Object(spec.iter().map(|(field, value)| (field.clone(), copied(field, value))).collect())
}
