//! What changes nothing about the decision, and what people should know.

use serde_json::Value;

use super::super::facts::Facts;
use super::super::reason::Code;
use super::{Finding, note, warn};

/// Pod Security looks at the pod after us, and forbids what the init container needs.
pub(super) fn pod_security(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.options.as_ref().is_ok_and(|options| !options.traffic.is_redirected()) {
        // There is no init container.
        return Vec::new();
    }
    let label = api::labels::POD_SECURITY_ENFORCE;
    let level = facts.namespace.metadata.and_then(|known| known.labels.get(label)).map(String::as_str);
    match level {
        Some(level @ ("baseline" | "restricted")) => vec![warn(Code::PodSecurity, forbidden(level))],
        _ => Vec::new(),
    }
}

fn forbidden(level: &str) -> String {
    format!(
        "the namespace's label {}={level} forbids capability {}, which container {} needs to install its rules: the pod \
         will be refused; use level privileged, or turn injection off",
        api::labels::POD_SECURITY_ENFORCE,
        api::pod::INIT_GRANTED_CAPABILITY,
        api::pod::INIT_CONTAINER
    )
}

/// Only TCP is captured.
pub(super) fn udp(facts: &Facts<'_>) -> Vec<Finding> {
    let ports = || {
        let containers = facts.pod.spec_list("containers").iter();
        containers.filter_map(|container| container.get("ports")?.as_array()).flatten()
    };
    let is_udp = |port: &Value| port.get("protocol").and_then(Value::as_str) == Some("UDP");
    if !ports().any(is_udp) {
        return Vec::new();
    }
    let which = if ports().all(is_udp) { "every declared port" } else { "a declared port" };
    vec![note(
        Code::UdpNotCaptured,
        format!("{which} is of UDP, which passes by the proxy: only TCP is captured"),
    )]
}
