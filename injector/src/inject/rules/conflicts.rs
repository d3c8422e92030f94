//! What collides with what injection adds.

use serde_json::Value;

use super::super::facts::Facts;
use super::super::options::Options;
use super::super::pod::{Part, name_of};
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

/// Names of volumes: ours, those that mesh and namespace add, and the pod's own.
pub(super) fn volumes(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = further_volumes(facts);
    if facts.previous.is_none() {
        findings.extend(taken_volumes(facts));
    }
    findings
}

/// What is added by annotations, held against the pod's own.
fn further_volumes(facts: &Facts<'_>) -> Vec<Finding> {
    // Where the options are wrong the pod is refused because of them.
    let Ok(options) = &facts.options else { return Vec::new() };
    let of_pod = |name: &str| facts.pod.list(Part::Volumes).iter().any(|volume| name_of(volume) == name);
    let twice = options.volumes.iter().filter(|volume| of_pod(&volume.name)).map(|volume| {
        let (key, name) = (options.volumes.key().unwrap_or_default(), &volume.name);
        reject(
            Code::NameConflict,
            format!(
                "{key} adds a volume {name}, and the pod has one of this name; allowed are names that the pod has not: \
                 rename one of the two"
            ),
        )
    });
    let further = |name: &str| options.volumes.iter().any(|volume| volume.name == name);
    let lost = options.mounts.iter().filter(|mount| !further(&mount.name) && !of_pod(&mount.name));
    let lost = lost.map(|mount| {
        let (key, name) = (options.mounts.key().unwrap_or_default(), &mount.name);
        reject(
            Code::InvalidAnnotation,
            format!(
                "{key} mounts the volume {name} at {}, and there is none of this name; allowed are the names of \
                 sidecar.istio.io/userVolume and of the pod's volumes",
                quoted(&mount.mount_path)
            ),
        )
    });
    twice.chain(lost).collect()
}

fn taken_volumes(facts: &Facts<'_>) -> Vec<Finding> {
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
