//! What collides with what injection adds.

use serde_json::Value;

use super::super::facts::Facts;
use super::super::options::Options;
use super::super::pod::name_of;
use super::super::reason::{Code, quoted};
use super::{Finding, reject};

/// Ports that the proxy always occupies in the pod's network namespace, each with its purpose.
const PROXY_PORTS: [(u16, &str); 5] = [
    (api::ports::OUTBOUND, "accepts captured outbound traffic"),
    (api::ports::INBOUND, "accepts captured inbound traffic"),
    (api::ports::ADMIN, "is its administration"),
    (api::ports::METRICS, "serves its metrics"),
    (api::ports::READINESS_CAPTURED, "answers readiness through capture"),
];

/// Other meshes' sidecars: whose, names of containers, and the last parts of the names of their images.
const FOREIGN: [(&str, &[&str], &[&str]); 5] = [
    ("Linkerd", &["linkerd-proxy"], &["linkerd/proxy"]),
    ("Istio", &[], &["proxyv2"]),
    ("Kuma", &["kuma-sidecar"], &["kuma-dp"]),
    ("Consul", &["consul-dataplane"], &["consul-dataplane"]),
    ("AWS App Mesh", &[], &["aws-appmesh-envoy"]),
];

/// The API server refuses it; with the proxy as an ordinary container it would take a pod that does nothing.
pub(super) fn containers(facts: &Facts<'_>) -> Vec<Finding> {
    if !facts.pod.spec_list("containers").is_empty() {
        return Vec::new();
    }
    vec![reject(Code::MalformedPod, "the pod has no containers; spec.containers must list at least one")]
}

pub(super) fn annotations(facts: &Facts<'_>) -> Vec<Finding> {
    facts.options.as_ref().err().into_iter().flatten().cloned().map(Finding::Reject).collect()
}

/// Containers of our names which we did not put there: Istio's own injection, or one written by hand.
pub(super) fn names(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.previous.is_some() {
        return Vec::new();
    }
    [api::pod::INIT_CONTAINER, api::pod::PROXY_CONTAINER]
        .into_iter()
        .filter(|name| facts.pod.container(name).is_some())
        .map(|name| {
            reject(
                Code::NameConflict,
                format!(
                    "the pod has a container {name} that this mesh did not add; remove it (a pod belongs to one \
                     mesh), rename it, or label the pod {}=\"false\"",
                    api::labels::POD_INJECT
                ),
            )
        })
        .collect()
}

/// Two proxies would each capture what the other sends.
pub(super) fn foreign_sidecar(facts: &Facts<'_>) -> Vec<Finding> {
    user_containers(facts)
        .filter_map(|container| {
            let (name, repository) = (name_of(container), repository(container));
            let known = |(_, names, images): &&(&str, &[&str], &[&str])| {
                names.contains(&name) || images.iter().any(|image| ends_with_parts(repository, image))
            };
            let (mesh, ..) = FOREIGN.iter().find(known)?;
            Some(reject(
                Code::ForeignSidecar,
                format!(
                    "container {} is the sidecar of {mesh}, and a pod belongs to one mesh: turn off its injection, or \
                     ours by label {}=\"false\"",
                    quoted(name),
                    api::labels::POD_INJECT
                ),
            ))
        })
        .collect()
}

fn ends_with_parts(repository: &str, parts: &str) -> bool {
    repository.strip_suffix(parts).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// An image's name without tag and digest.
fn repository(container: &Value) -> &str {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        // A colon before the last slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

pub(super) fn volumes(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.previous.is_some() {
        return Vec::new();
    }
    let taken = facts.pod.spec_list("volumes").iter().map(name_of);
    taken
        .filter(|name| api::pod::VOLUMES.contains(name))
        .map(|name| {
            reject(
                Code::NameConflict,
                format!("the pod has a volume {name}, a name that injection needs; rename it"),
            )
        })
        .collect()
}

/// Containers of a pod share one network namespace: whoever came second to such a port would fail to start.
pub(super) fn ports(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let readiness = facts.options.as_ref().map_or(api::ports::READINESS, Options::readiness_port);
    for container in user_containers(facts) {
        let declared = container.get("ports").and_then(Value::as_array).into_iter().flatten();
        for port in declared.filter(|port| protocol(port) == "TCP") {
            let number = port.get("containerPort").and_then(Value::as_u64);
            let readiness = (readiness, "answers readiness");
            let taken =
                PROXY_PORTS.iter().chain([&readiness]).find(|(ours, _)| number == Some(u64::from(*ours)));
            findings.extend(taken.map(|(ours, purpose)| {
                reject(
                    Code::PortConflict,
                    format!(
                        "container {} declares port {ours}, on which the proxy {purpose}; use another port",
                        name_of(container)
                    ),
                )
            }));
        }
    }
    findings
}

fn protocol(port: &Value) -> &str {
    port.get("protocol").and_then(Value::as_str).unwrap_or("TCP")
}

pub(super) fn user_containers<'a>(facts: &Facts<'a>) -> impl Iterator<Item = &'a Value> {
    facts.pod.all_containers().filter(|container| {
        ![api::pod::INIT_CONTAINER, api::pod::PROXY_CONTAINER].contains(&name_of(container))
    })
}
