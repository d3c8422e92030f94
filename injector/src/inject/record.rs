//! The status annotation of an injection: what the additions leave to be known, put among them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::additions::Additions;
use super::edit::{Edit, Handler, Original, Place};
use super::facts::Facts;
use super::pod::{Part, Pod};
use super::reason::Reason;
use super::status::{Entries, LONGEST_LEFTOVER, Status, VERSION};

/// Adds the annotation, and gives what is in it.
pub(super) fn record(additions: &mut Additions, facts: &Facts<'_>, reasons: &[Reason]) -> Status {
    if let Some(previous) = &facts.previous {
        keep(&mut additions.labels, &previous.labels);
        keep(&mut additions.annotations, &previous.annotations);
    }
    for edit in &additions.edits {
        if let (Place::Annotation(key), Some(Value::String(now))) = (&edit.place, &edit.now) {
            additions.annotations.insert(key.clone(), now.clone());
        }
    }
    let status = status(additions, facts, reasons);
    additions.annotations.insert(api::annotations::STATUS.to_owned(), status.text());
    status
}

fn status(additions: &Additions, facts: &Facts<'_>, reasons: &[Reason]) -> Status {
    let pod = facts.pod;
    let in_list = |list: Part| {
        let placed = additions.containers.iter().filter(|placed| placed.list == list);
        placed.map(|placed| placed.name.to_owned()).collect()
    };
    let parts = || Part::MAPS.into_iter().chain(Part::LISTS).filter(|part| additions.adds_to(*part));
    let mut status = Status {
        version: VERSION.to_owned(),
        config: facts.settings.hash.clone(),
        mode: additions.mode.as_str().to_owned(),
        init_containers: in_list(Part::InitContainers),
        containers: in_list(Part::Containers),
        volumes: additions.volumes.iter().map(|volume| volume.name.clone()).collect(),
        image_pull_secrets: additions.pull_secrets.clone(),
        labels: Entries::Values(additions.labels.clone()),
        annotations: Entries::Values(additions.annotations.clone()),
        replaced: replaced(pod, additions),
        handlers: handlers(&additions.edits),
        created: parts().filter(|part| pod.part(*part).is_none()).collect(),
        nulls: parts().filter(|part| pod.part(*part).is_some_and(|value| value.is_null())).collect(),
        reasons: reasons.iter().map(|reason| reason.code.as_str().to_owned()).collect(),
    };
    // What was true of the pod before the first injection stays true at the second review, whatever others add.
    if let Some(previous) = &facts.previous {
        status.created.clone_from(&previous.created);
        status.nulls.clone_from(&previous.nulls);
        status.reasons.clone_from(&previous.reasons);
    }
    status
}

/// An entry that an earlier injection added stays as that made it, although it would be another today: another's container
/// may have come to the front, and a template's name is not that of its pods' owner.
fn keep(wanted: &mut BTreeMap<String, String>, earlier: &Entries) {
    for (key, value) in wanted {
        if let Some(earlier) = earlier.value(key) {
            value.clear();
            value.push_str(earlier);
        }
    }
}

fn replaced(pod: Pod<'_>, additions: &Additions) -> BTreeMap<String, Option<String>> {
    let edited = additions.edits.iter().filter_map(|edit| match &edit.place {
        Place::Annotation(key) => Some(key.as_str()),
        Place::Handler { .. } => None,
    });
    let known = pod.map(Part::Annotations);
    let value = |key: &str| known.and_then(|map| map.get(key)).map(|value| value.as_str().map(str::to_owned));
    let mut replaced: BTreeMap<_, _> =
        edited.filter_map(|key| value(key).map(|value| (key.to_owned(), value))).collect();
    if let Some(leftover) = value(api::annotations::STATUS)
        && leftover.as_ref().is_none_or(|text| text.len() <= LONGEST_LEFTOVER)
    {
        replaced.insert(api::annotations::STATUS.to_owned(), leftover);
    }
    replaced
}

fn handlers(edits: &[Edit]) -> BTreeMap<String, BTreeMap<Handler, Original>> {
    let mut handlers: BTreeMap<String, BTreeMap<Handler, Original>> = BTreeMap::new();
    for edit in edits {
        if let (Place::Handler { container, handler }, Some(was), Some(now)) =
            (&edit.place, &edit.was, &edit.now)
        {
            let of_container = handlers.entry(container.clone()).or_default();
            of_container.insert(*handler, Original::new(was, now));
        }
    }
    handlers
}
