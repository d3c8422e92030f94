//! Containers that the redirect would take for the proxy.

use serde_json::Value;

use super::super::facts::Facts;
use super::super::pod::name_of;
use super::super::reason::Code;
use super::conflicts::user_containers;
use super::{Finding, reject, warn};

/// Connections of the proxy's uid and gid are not captured, so such a container would bypass the mesh, in silence.
pub(super) fn proxy_identity(facts: &Facts<'_>) -> Vec<Finding> {
    let pod_context = facts.pod.spec("securityContext");
    let id = |container: &Value, field: &str| {
        let own = container.get("securityContext").and_then(|context| context.get(field));
        own.or_else(|| pod_context.and_then(|context| context.get(field))).and_then(Value::as_u64)
    };
    // Where the options are wrong the pod is refused because of them.
    let Ok(options) = &facts.options else { return Vec::new() };
    let (uid, gid) = (u64::from(options.identity.uid.get()), u64::from(options.identity.gid.get()));
    let finding = |container: &Value| {
        let name = name_of(container);
        match (id(container, "runAsUser"), id(container, "runAsGroup")) {
            (Some(user), Some(group)) if user == uid && group == gid => Some(reject(
                Code::ProxyIdentity,
                format!(
                    "container {name} runs as user {uid} and group {gid}, which are the proxy's: its traffic would bypass \
                     the mesh; choose another runAsUser or runAsGroup"
                ),
            )),
            (Some(user), None) if user == uid => Some(warn(
                Code::ProxyIdentity,
                format!(
                    "container {name} runs as user {uid}, which is the proxy's, and in the group that its image names: if \
                     that is {gid}, its traffic bypasses the mesh; set runAsGroup"
                ),
            )),
            _ => None,
        }
    };
    user_containers(facts).filter_map(finding).collect()
}
