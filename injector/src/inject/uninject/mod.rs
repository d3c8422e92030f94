//! Taking an injection out again, by what its status says: the exact inverse, as far as nobody changed the pod since.
//!
//! What somebody changed of what was added or edited is theirs by now: it stays, and is told.
//!
//! Invariant: taking out what was put into a pod gives that pod, as a JSON value.

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::edit::{Handler, Original, stands_in};
use super::patch::{Content, Location, Operation};
use super::pod::{Part, Pod, name_of};
use super::reason::{Code, Reason};
use super::status::{Entries, Status, VERSION};

/// How an injection is taken out.
#[derive(Debug)]
pub struct Uninjection {
    /// The patch.
    pub operations: Vec<Operation>,
    /// What could not be put back as it was, and why.
    pub warnings: Vec<String>,
}

/// What takes the injection out of a pod, or out of `metadata` and `spec` of a workload's template; fails where there is
/// none of ours.
pub fn uninject(pod: &Value) -> Result<Uninjection, Reason> {
    let pod = Pod::new(pod)?;
    match Status::of(pod) {
        Some(status) => Ok(undo(&status, pod)),
        None => Err(not_ours(pod)),
    }
}

fn not_ours(pod: Pod<'_>) -> Reason {
    let ours = [api::pod::INIT_CONTAINER, api::pod::PROXY_CONTAINER];
    let status = api::annotations::STATUS;
    match ours.into_iter().find(|name| pod.container(name).is_some()) {
        Some(name) => Reason::new(
            Code::NameConflict,
            format!(
                "the pod has a container {name}, but annotation {status} does not say that this mesh added it; it is \
                 left to whoever did"
            ),
        ),
        None => Reason::new(Code::NotInjected, "the pod carries no injection"),
    }
}

/// What takes out everything that a status lists, and the status.
pub(super) fn undo(status: &Status, pod: Pod<'_>) -> Uninjection {
    let mut undoing = Undoing::new(status, pod);
    undoing.all(&[api::annotations::STATUS]);
    if status.version != VERSION {
        undoing.tell(format!(
            "the pod was injected by version {}; what that may have recorded and version {VERSION} does not know stays",
            status.version
        ));
    }
    if status.is_old() {
        undoing.tell(
            "the injection did not record which lists and maps it created; those that are empty without it were taken \
             out",
        );
    }
    undoing.result
}

/// What takes out the things that a status lists, and leaves the status.
pub(super) fn undo_stale(stale: &Status, pod: Pod<'_>) -> Vec<Operation> {
    let mut undoing = Undoing::new(stale, pod);
    undoing.all(&[]);
    undoing.result.operations
}

struct Undoing<'a> {
    status: &'a Status,
    pod: Pod<'a>,
    result: Uninjection,
}

/// What a list or a map was before the injection.
enum Before {
    There,
    Absent,
    Null,
}

impl<'a> Undoing<'a> {
    fn new(status: &'a Status, pod: Pod<'a>) -> Self {
        Self { status, pod, result: Uninjection { operations: Vec::new(), warnings: Vec::new() } }
    }

    fn tell(&mut self, warning: impl Into<String>) {
        self.result.warnings.push(warning.into());
    }

    fn all(&mut self, own_annotations: &[&str]) {
        // First, since the positions of the user's containers are those with ours among them.
        for (container, handlers) in &self.status.handlers {
            for (handler, original) in handlers {
                self.handler(container, *handler, original);
            }
        }
        self.map(Part::Labels, &self.status.labels, &[]);
        self.map(Part::Annotations, &self.status.annotations, own_annotations);
        for list in Part::LISTS {
            self.list(list);
        }
    }

    fn handler(&mut self, container: &str, handler: Handler, original: &Original) {
        let Some((list, position, found)) = self.pod.place_of(container) else { return };
        match found.pointer(handler.pointer()).filter(|now| stands_in(now)) {
            Some(now) => {
                let restored = Content::Json(original.restored(now));
                let location = Location::Handler(list, position, handler);
                self.result.operations.push(Operation::replace(location, restored));
            }
            None => self.tell(format!(
                "{} of container {container} was changed since it was injected, and stays",
                handler.name()
            )),
        }
    }

    /// `own` are keys that go whatever their values are.
    fn map(&mut self, part: Part, added: &Entries, own: &[&str]) {
        let Some(present) = self.pod.map(part) else { return };
        let replaced = |key: &str| self.status.replaced.get(key).filter(|_| part == Part::Annotations);
        let (mut operations, mut changed, mut left) = (Vec::new(), Vec::new(), present.len());
        for key in added.keys().chain(own.iter().copied()) {
            let entry = Location::Entry(part, key.to_owned());
            match present.get(key) {
                None => {}
                Some(value) if !own.contains(&key) && !added.is(key, value) => changed.push(key),
                Some(_) => operations.push(match replaced(key) {
                    Some(was) => Operation::replace(entry, text_or_null(was)),
                    None => {
                        left -= 1;
                        Operation::remove(entry)
                    }
                }),
            }
        }
        if part == Part::Annotations {
            let taken_away = self.status.replaced.iter().filter(|(key, _)| {
                !added.has(key) && !own.contains(&key.as_str()) && !present.contains_key(*key)
            });
            for (key, was) in taken_away {
                left += 1;
                operations.push(Operation::add(Location::Entry(part, key.clone()), text_or_null(was)));
            }
        }
        for key in changed {
            self.tell(format!("{} {key} was changed since it was injected, and stays", part.singular()));
        }
        self.emptied(part, left == 0, operations);
    }

    fn list(&mut self, list: Part) {
        let names = self.status.names(list);
        let present = self.pod.list(list).iter().enumerate();
        let ours = present.filter(|(_, item)| names.iter().any(|name| name == name_of(item)));
        // From the end, so that the positions of the others hold.
        let positions: Vec<_> = ours.map(|(position, _)| position).rev().collect();
        let empty = positions.len() == self.pod.list(list).len();
        let removals = positions.into_iter().map(|at| Operation::remove(Location::At(list, at))).collect();
        self.emptied(list, empty, removals);
    }

    /// The removals, or what the part was before if nothing is left of it.
    fn emptied(&mut self, part: Part, empty: bool, removals: Vec<Operation>) {
        let whole = Location::Whole(part);
        match self.before(part) {
            Before::Absent if empty && !removals.is_empty() => {
                self.result.operations.push(Operation::remove(whole));
            }
            Before::Null if empty && !removals.is_empty() => {
                self.result.operations.push(Operation::replace(whole, Content::Json(Value::Null)));
            }
            Before::There | Before::Absent | Before::Null => self.result.operations.extend(removals),
        }
    }

    fn before(&self, part: Part) -> Before {
        if self.status.nulls.contains(&part) {
            Before::Null
        } else if self.status.is_old() || self.status.created.contains(&part) {
            Before::Absent
        } else {
            Before::There
        }
    }
}

fn text_or_null(value: &Option<String>) -> Content {
    value.clone().map_or(Content::Json(Value::Null), Content::Text)
}
