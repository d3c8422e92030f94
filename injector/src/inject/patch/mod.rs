//! The patch that makes a pod carry what injection adds: what is absent is added, what is there and right is left, what of
//! ours somebody moved or changed is put back. So the first review and every later one are the same code, and the patch of
//! an injected pod is empty.
//!
//! Invariant: of the user's own nothing is addressed but what an [`Edit`] names; what is moved or replaced besides is ours.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LocalObjectReference, Volume};

mod operation;
mod reassert;

pub use operation::{Operation, apply};

pub(super) use operation::{Content, Location, applied};

use super::additions::{Additions, Placed, Position};
use super::edit::{Edit, Place};
use super::pod::{Part, Pod, name_of};
use super::reason::Reason;

/// What has to be done to this pod; fails where putting back would be wrong.
pub(super) fn operations(additions: Additions, pod: Pod<'_>) -> Result<Vec<Operation>, Reason> {
    let Additions { containers, volumes, pull_secrets, labels, annotations, edits, .. } = additions;
    let mut operations = Vec::with_capacity(12);
    // First, since the positions of the user's containers are those before ours are added.
    operations.extend(edits.iter().filter_map(|edit| edit_operation(edit, pod)));
    operations.extend(map_operations(pod, Part::Labels, labels));
    operations.extend(map_operations(pod, Part::Annotations, annotations));
    operations.extend(volume_operations(pod, volumes));
    operations.extend(secret_operations(pod, pull_secrets));
    let (init, others) = containers.into_iter().partition(|placed| placed.list == Part::InitContainers);
    operations.extend(container_operations(pod, Part::InitContainers, init)?);
    operations.extend(container_operations(pod, Part::Containers, others)?);
    Ok(operations)
}

/// A handler's new value, or an annotation that goes; an annotation that changes is among those that are added.
fn edit_operation(edit: &Edit, pod: Pod<'_>) -> Option<Operation> {
    match (&edit.place, &edit.now) {
        (Place::Handler { container, handler }, Some(now)) => {
            let (list, position, found) = pod.place_of(container)?;
            let found = found.pointer(handler.pointer())?;
            let location = Location::Handler(list, position, *handler);
            let replace = || Operation::replace(location, Content::Json(now.clone()));
            reassert::difference(now, found).map(|_| replace())
        }
        (Place::Annotation(key), None) => {
            let present = pod.map(Part::Annotations)?.contains_key(key);
            present.then(|| Operation::remove(Location::Entry(Part::Annotations, key.clone())))
        }
        (Place::Handler { .. }, None) | (Place::Annotation(_), Some(_)) => None,
    }
}

fn map_operations(pod: Pod<'_>, part: Part, wanted: BTreeMap<String, String>) -> Vec<Operation> {
    let Some(present) = pod.map(part) else {
        let whole = (!wanted.is_empty()).then(|| Operation::add(Location::Whole(part), Content::Map(wanted)));
        return whole.into_iter().collect();
    };
    wanted
        .into_iter()
        .filter_map(|(key, value)| match present.get(&key) {
            Some(found) if found.as_str() == Some(&value) => None,
            Some(_) => Some(Operation::replace(Location::Entry(part, key), Content::Text(value))),
            None => Some(Operation::add(Location::Entry(part, key), Content::Text(value))),
        })
        .collect()
}

fn volume_operations(pod: Pod<'_>, wanted: Vec<Volume>) -> Vec<Operation> {
    if wanted.is_empty() {
        return Vec::new();
    }
    if !pod.has(Part::Volumes) {
        return vec![Operation::add(Location::Whole(Part::Volumes), Content::Volumes(wanted))];
    }
    let present = pod.list(Part::Volumes);
    wanted
        .into_iter()
        .filter_map(|volume| {
            let Some(at) = present.iter().position(|found| name_of(found) == volume.name) else {
                return Some(Operation::add(Location::End(Part::Volumes), Content::Volume(Box::new(volume))));
            };
            let differs = present.get(at).is_some_and(|found| reassert::differs(&volume, found));
            let location = Location::At(Part::Volumes, at);
            differs.then(|| Operation::replace(location, Content::Volume(Box::new(volume))))
        })
        .collect()
}

fn secret_operations(pod: Pod<'_>, wanted: Vec<String>) -> Vec<Operation> {
    const LIST: Part = Part::ImagePullSecrets;
    let reference = |name| LocalObjectReference { name };
    if wanted.is_empty() {
        return Vec::new();
    }
    if !pod.has(LIST) {
        let all = wanted.into_iter().map(reference).collect();
        return vec![Operation::add(Location::Whole(LIST), Content::References(all))];
    }
    let missing =
        wanted.into_iter().filter(|name| !pod.list(LIST).iter().any(|found| name_of(found) == name));
    missing.map(|name| Operation::add(Location::End(LIST), Content::Reference(reference(name)))).collect()
}

/// Ours are put in their places one after the other, in a list of names that follows along.
fn container_operations(pod: Pod<'_>, list: Part, ours: Vec<Placed>) -> Result<Vec<Operation>, Reason> {
    if ours.is_empty() {
        return Ok(Vec::new());
    }
    if !pod.has(list) {
        let all = ours.into_iter().map(|placed| placed.container).collect();
        return Ok(vec![Operation::add(Location::Whole(list), Content::Containers(all))]);
    }
    let present = pod.list(list);
    let mut names: Vec<&str> = present.iter().map(name_of).collect();
    let mut operations = Vec::with_capacity(ours.len());
    for Placed { name, position, container, .. } in ours {
        let at = names.iter().position(|found| *found == name);
        if let Some(at) = at {
            names.remove(at);
        }
        let target = position.within(names.len());
        let there = if target == names.len() { Location::End(list) } else { Location::At(list, target) };
        names.insert(target, name);
        let found = present.iter().find(|found| name_of(found) == name);
        let Some((at, found)) = at.zip(found) else {
            operations.push(Operation::add(there, Content::Container(Box::new(container))));
            continue;
        };
        if at != target {
            operations.push(Operation::moved(Location::At(list, at), there));
        }
        let repairs = reassert::repairs(&container, found)?.into_iter();
        operations.extend(repairs.map(|(field, value)| {
            Operation::add(Location::Field(list, target, field), Content::Json(value))
        }));
    }
    Ok(operations)
}

impl Position {
    /// As an index into a list of this length, from which ours has been taken out.
    fn within(self, length: usize) -> usize {
        match self {
            Self::Front(position) => position.min(length),
            Self::Last => length,
        }
    }
}
