//! Whether a pod is injected: one table of rules in order, each a function that says what it found and why.
//!
//! The first rule that skips or refuses decides; the other findings of the same kind are told along with it, so that a
//! person mends everything at once. Where no rule objects, the pod is injected because of what was matched.

use serde_json::Value;

use super::facts::Facts;
use super::pod::name_of;
use super::reason::{Code, Reason, quoted};
use super::{Matched, Verdict};

enum Finding {
    Skip(Reason),
    Reject(Reason),
}

type Rule = fn(&Facts<'_>) -> Vec<Finding>;

/// The table. What cannot work at all comes before what the user asked for, and that before what collides with it.
const RULES: [Rule; 11] = [
    system_namespace,
    mirror_pod,
    windows,
    host_network,
    pod_label,
    containers,
    annotations,
    names,
    identity,
    ports,
    volumes,
];

/// Ports that the proxy occupies in the pod's network namespace, each with its purpose.
const PROXY_PORTS: [(u16, &str); 6] = [
    (api::ports::OUTBOUND, "accepts captured outbound traffic"),
    (api::ports::INBOUND, "accepts captured inbound traffic"),
    (api::ports::ADMIN, "is its administration"),
    (api::ports::METRICS, "serves its metrics"),
    (api::ports::READINESS, "answers readiness"),
    (api::ports::READINESS_CAPTURED, "answers readiness through capture"),
];

/// The verdict of all rules, and its reasons.
pub(super) fn judge(facts: &Facts<'_>) -> (Verdict, Vec<Reason>) {
    let (mut skips, mut rejects) = (Vec::new(), Vec::new());
    let mut verdict = Verdict::Inject;
    for finding in RULES.iter().flat_map(|rule| rule(facts)) {
        let (kind, reasons, reason) = match finding {
            Finding::Skip(reason) => (Verdict::Skip, &mut skips, reason),
            Finding::Reject(reason) => (Verdict::Reject, &mut rejects, reason),
        };
        reasons.push(reason);
        if verdict == Verdict::Inject {
            verdict = kind;
        }
    }
    let reasons = match verdict {
        Verdict::Skip => skips,
        Verdict::Reject => rejects,
        Verdict::Inject | Verdict::Unchanged => vec![why_injected(facts)],
    };
    (verdict, reasons)
}

fn why_injected(facts: &Facts<'_>) -> Reason {
    let label = api::labels::POD_INJECT;
    if facts.pod.label(label).is_some() {
        return Reason::new(Code::PodEnabled, format!("the pod's label {label} is \"true\""));
    }
    match facts.matched {
        Matched::Object => {
            Reason::new(Code::PodEnabled, format!("the pod's label {label} turns injection on"))
        }
        Matched::Namespace => Reason::new(
            Code::NamespaceEnabled,
            format!(
                "the namespace's label {} is \"{}\"",
                api::labels::NAMESPACE_INJECTION,
                api::labels::ENABLED
            ),
        ),
    }
}

fn skip(code: Code, text: impl Into<String>) -> Vec<Finding> {
    vec![Finding::Skip(Reason::new(code, text))]
}

fn reject(code: Code, text: impl Into<String>) -> Finding {
    Finding::Reject(Reason::new(code, text))
}

/// The selectors leave these out already; the check holds where somebody changed the selectors.
fn system_namespace(facts: &Facts<'_>) -> Vec<Finding> {
    let name = facts.namespace.name;
    let system = name == facts.settings.own_namespace || api::control::NEVER_INJECTED.contains(&name);
    if !system {
        return Vec::new();
    }
    skip(Code::SystemNamespace, format!("namespace {name} is the cluster's or the mesh's own"))
}

/// A mirror pod only shows what the kubelet runs from a file: a patch would change the picture, not the pod.
fn mirror_pod(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.pod.annotation(api::annotations::MIRROR_POD).is_none() {
        return Vec::new();
    }
    skip(Code::MirrorPod, "the pod mirrors a static pod, which only its node's files can change")
}

fn windows(facts: &Facts<'_>) -> Vec<Finding> {
    let os = facts.pod.spec("os").and_then(|os| os.get("name")).and_then(Value::as_str);
    let selected = facts
        .pod
        .spec("nodeSelector")
        .and_then(|selector| selector.get("kubernetes.io/os"))
        .and_then(Value::as_str);
    if os.or(selected) != Some("windows") {
        return Vec::new();
    }
    skip(Code::Windows, "the pod runs on Windows, where there is no redirect")
}

/// Rules in the node's network namespace would capture the node's own traffic.
fn host_network(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.pod.spec("hostNetwork").and_then(Value::as_bool) != Some(true) {
        return Vec::new();
    }
    skip(Code::HostNetwork, "the pod uses its node's network, whose traffic must not be captured")
}

fn pod_label(facts: &Facts<'_>) -> Vec<Finding> {
    let label = api::labels::POD_INJECT;
    match facts.pod.label(label) {
        None | Some("true") => Vec::new(),
        Some("false") => skip(Code::PodDisabled, format!("the pod's label {label} is \"false\"")),
        Some(other) => vec![reject(
            Code::InvalidLabel,
            format!("label {label} is {}; allowed are \"true\" and \"false\"", quoted(other)),
        )],
    }
}

/// The API server refuses it; with the proxy as an ordinary container it would take a pod that does nothing.
fn containers(facts: &Facts<'_>) -> Vec<Finding> {
    if !facts.pod.spec_list("containers").is_empty() {
        return Vec::new();
    }
    vec![reject(Code::MalformedPod, "the pod has no containers; spec.containers must list at least one")]
}

fn annotations(facts: &Facts<'_>) -> Vec<Finding> {
    facts.options.as_ref().err().into_iter().flatten().cloned().map(Finding::Reject).collect()
}

/// Containers of our names which we did not put there: Istio's own injection, or one written by hand.
fn names(facts: &Facts<'_>) -> Vec<Finding> {
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

fn volumes(facts: &Facts<'_>) -> Vec<Finding> {
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

/// Connections of the proxy's uid and gid are not captured, so such a container would bypass the mesh, in silence.
fn identity(facts: &Facts<'_>) -> Vec<Finding> {
    let pod_context = facts.pod.spec("securityContext");
    let id = |container: &Value, field: &str| {
        let own = container.get("securityContext").and_then(|context| context.get(field));
        own.or_else(|| pod_context.and_then(|context| context.get(field))).and_then(Value::as_u64)
    };
    let (uid, gid) = (u64::from(api::pod::PROXY_UID), u64::from(api::pod::PROXY_GID));
    user_containers(facts)
        .filter(|container| {
            id(container, "runAsUser") == Some(uid) && id(container, "runAsGroup") == Some(gid)
        })
        .map(|container| {
            reject(
                Code::ProxyIdentity,
                format!(
                    "container {} runs as user {uid} and group {gid}, which are the proxy's: its traffic would bypass \
                     the mesh; choose another runAsUser or runAsGroup",
                    name_of(container)
                ),
            )
        })
        .collect()
}

/// Containers of a pod share one network namespace: whoever came second to such a port would fail to start.
fn ports(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for container in user_containers(facts) {
        let declared = container.get("ports").and_then(Value::as_array).into_iter().flatten();
        for port in declared.filter(|port| protocol(port) == "TCP") {
            let number = port.get("containerPort").and_then(Value::as_u64);
            let taken = PROXY_PORTS.iter().find(|(ours, _)| number == Some(u64::from(*ours)));
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

fn user_containers<'a>(facts: &Facts<'a>) -> impl Iterator<Item = &'a Value> {
    facts.pod.all_containers().filter(|container| {
        ![api::pod::INIT_CONTAINER, api::pod::PROXY_CONTAINER].contains(&name_of(container))
    })
}
