//! Judges of a patched pod that know what must hold for every pod, and nothing of how a patch is made: `valid` says what
//! Kubernetes would say, `frame` what of the user's was changed, `order` where our containers stand.
//!
//! Each gives a list of faults, so that properties, fuzz targets and single tests can share them.

mod frame;
mod order;
mod probes;
mod quantity;
mod valid;

use serde_json::Value;

pub(crate) use frame::{OURS, changed};
pub(crate) use order::misplaced;
pub(crate) use probes::unrecoverable;
pub(crate) use quantity::{Class, class};
pub(crate) use valid::faults;

/// All that must hold of a pod that was injected, and of the pod that it was made of.
pub(crate) fn injection(original: &Value, patched: &Value) -> Vec<String> {
    let mut found = changed(original, patched);
    found.extend(misplaced(original, patched));
    found.extend(unrecoverable(original, patched));
    // Whoever sends what no API server would take gets what no API server will take.
    if faults(original).is_empty() {
        // Who asks for more than the pod has gets what was asked for, and the API server's refusal.
        found.extend(
            faults(patched)
                .into_iter()
                .filter(|fault| !(asks(original) && fault.starts_with(valid::POD_LEVEL))),
        );
        found.extend(valid::lost(original, patched));
    }
    found
}

/// Whether annotations say what the proxy requests or may use.
fn asks(pod: &Value) -> bool {
    let keys = pod["metadata"]["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.to_ascii_lowercase());
    keys.into_iter().any(|key| {
        key.contains("/proxy") && ["cpu", "memory", "storage"].iter().any(|word| key.contains(word))
    })
}

/// A list of the pod's spec; absent and null are empty.
fn list<'a>(pod: &'a Value, field: &str) -> &'a [Value] {
    pod["spec"][field].as_array().map_or(&[], Vec::as_slice)
}

fn name(item: &Value) -> &str {
    item["name"].as_str().unwrap_or_default()
}
