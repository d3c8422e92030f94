//! I5 and I6: exactly one proxy and one redirect init container, where each has to be.

use serde_json::Value;

use super::frame::OURS;
use super::{list, name};

/// What of ours is missing, is there twice, or stands in the wrong place; and whether the user's order is kept.
pub(crate) fn misplaced(original: &Value, patched: &Value) -> Vec<String> {
    let [redirect, proxy] = OURS;
    let names = |pod, field| list(pod, field).iter().map(name).collect::<Vec<_>>();
    let (inits, containers) = (names(patched, "initContainers"), names(patched, "containers"));
    let (users, application) = (names(original, "initContainers"), names(original, "containers"));
    let native = inits.contains(&proxy);
    let right = if native {
        let sidecar = list(patched, "initContainers").iter().find(|container| name(container) == proxy);
        let stays = sidecar.is_some_and(|sidecar| sidecar["restartPolicy"] == "Always");
        stays && inits == [vec![redirect, proxy], users].concat() && containers == application
    } else {
        // An application that is held starts after the proxy, and kubelets start containers in the order of the list.
        let held = containers == [vec![proxy], application.clone()].concat();
        let free = containers == [application, vec![proxy]].concat();
        inits == [users, vec![redirect]].concat() && (held || free)
    };
    if right {
        Vec::new()
    } else {
        vec![format!("order: init containers {inits:?}, containers {containers:?}")]
    }
}
