//! Whether one of our containers or volumes is still as it was injected, and what puts it right.
//!
//! Others may add to it, and may change what takes nothing from the mesh. What they dropped or changed besides is put back,
//! without what they added being lost. Two things are not put back, since whoever changed them did so on purpose and would
//! do it again after us: what the container runs, and as whom.

use k8s_openapi::api::core::v1::{Container, Volume};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::inject::options::Quantity;
use crate::inject::pod::name_of;
use crate::inject::reason::{Reason, quoted};

/// Fields that policy webhooks and LimitRangers may rewrite: a registry mirror, a pull policy, a quota.
const FREE_FIELDS: [&str; 3] = ["image", "imagePullPolicy", "resources"];

const COMMAND: &str = "command";
const SECURITY_CONTEXT: &str = "securityContext";

/// Fields of the security context that may be rewritten: operators of seccomp profiles set their own.
const FREE_SECURITY_FIELDS: [&str; 1] = ["seccompProfile"];

/// Fields of volumes that the API server writes in a spelling of its own: 1024Mi becomes 1Gi.
const QUANTITIES: [&str; 3] = ["divisor", "sizeLimit", "storage"];

/// The fields of one of our containers that have to be written for it to be right again.
pub(super) fn repairs(wanted: &Container, found: &Value) -> Result<Vec<(String, Value)>, Reason> {
    let mut repairs = Vec::new();
    for (field, wanted) in fields(wanted) {
        let repair = match found.get(&field).filter(|value| !value.is_null()) {
            None => Some(wanted),
            Some(_) if FREE_FIELDS.contains(&field.as_str()) => None,
            Some(present) if field == SECURITY_CONTEXT => security_context(&wanted, present, found)?,
            Some(present) if difference(&wanted, present).is_none() => None,
            Some(present) if field == COMMAND => return Err(taken(found, COMMAND, present)),
            Some(present) => Some(merged(wanted, present)),
        };
        repairs.extend(repair.map(|value| (field, value)));
    }
    Ok(repairs)
}

/// Whether one of our volumes is another than it was.
pub(super) fn differs(wanted: &Volume, found: &Value) -> bool {
    fields(wanted)
        .iter()
        .any(|(field, wanted)| found.get(field).is_none_or(|found| difference(wanted, found).is_some()))
}

/// The first place at which `found` has not what is wanted. What it has in addition (Kubernetes' defaults, somebody's
/// environment variable) does not count, but in a list of plain values, where it would be an argument.
pub(super) fn difference(wanted: &Value, found: &Value) -> Option<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => wanted.iter().find_map(|(key, value)| {
            let Some(found) = found.get(key) else { return Some(key.clone()) };
            if QUANTITIES.contains(&key.as_str()) && same_quantity(value, found) {
                return None;
            }
            difference(value, found).map(|path| joined(key, &path))
        }),
        (Value::Array(wanted), Value::Array(found)) => {
            let identities: Vec<_> = found.iter().map(identity).collect();
            wanted.iter().enumerate().find_map(|(position, value)| {
                let Some(identity) = identity(value) else {
                    let same = found.len() == wanted.len()
                        && found.get(position).is_some_and(|found| difference(value, found).is_none());
                    return (!same).then(|| position.to_string());
                };
                let mut same_identity =
                    identities.iter().zip(found).filter(|(found, _)| **found == Some(identity));
                let right = |(_, item): (_, &Value)| difference(value, item).is_none();
                let one = same_identity.next().is_some_and(right) && same_identity.next().is_none();
                (!one).then(|| identity.to_owned())
            })
        }
        (wanted, found) => (wanted != found).then(String::new),
    }
}

fn same_quantity(wanted: &Value, found: &Value) -> bool {
    let quantity = |value: &Value| Quantity::parse(value.as_str()?).ok();
    quantity(wanted).zip(quantity(found)).is_some_and(|(wanted, found)| wanted == found)
}

/// What it was, with the elements that somebody added to a list.
fn merged(wanted: Value, present: &Value) -> Value {
    let (Value::Array(wanted), Value::Array(present)) = (&wanted, present) else { return wanted };
    if wanted.iter().any(|item| identity(item).is_none()) {
        return Value::Array(wanted.clone());
    }
    let ours = |item: &Value| wanted.iter().any(|wanted| identity(wanted) == identity(item));
    let theirs = present.iter().filter(|item| !ours(item));
    Value::Array(wanted.iter().chain(theirs).cloned().collect())
}

/// With what was dropped from it; nothing where nothing was.
fn security_context(wanted: &Value, present: &Value, container: &Value) -> Result<Option<Value>, Reason> {
    let mut repaired = present.clone();
    let mut complete = true;
    for (field, wanted) in wanted.as_object().into_iter().flatten() {
        match present.get(field).filter(|value| !value.is_null()) {
            Some(_) if FREE_SECURITY_FIELDS.contains(&field.as_str()) => {}
            Some(present) => {
                if let Some(path) = difference(wanted, present) {
                    let path = joined(&joined(SECURITY_CONTEXT, field), &path);
                    return Err(taken(container, &path, present));
                }
            }
            None => {
                complete = false;
                if let Some(fields) = repaired.as_object_mut() {
                    fields.insert(field.clone(), wanted.clone());
                }
            }
        }
    }
    Ok((!complete).then_some(repaired))
}

fn taken(container: &Value, path: &str, now: &Value) -> Reason {
    let now = quoted(&now.to_string());
    Reason::altered(&format!("{path} of container {} was changed to {now}", name_of(container)))
}

/// What tells the elements of a list apart: mounts their path, everything else its name.
fn identity(item: &Value) -> Option<&str> {
    ["mountPath", "name"].into_iter().find_map(|key| item.get(key).and_then(Value::as_str))
}

fn joined(first: &str, rest: &str) -> String {
    if rest.is_empty() { first.to_owned() } else { format!("{first}.{rest}") }
}

/// What of ours is there to be compared, as JSON.
fn fields(ours: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(ours) {
        Ok(Value::Object(fields)) => fields,
        // A container and a volume are objects with text keys.
        Ok(_) | Err(_) => Map::new(),
    }
}
