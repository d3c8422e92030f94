//! What is wrong with a namespace's labels and annotations, in a file or in a cluster.

use api::labels::{DISABLED, ENABLED, NAMESPACE_INJECTION, POD_INJECT, POD_SECURITY_ENFORCE, REVISION};

use super::{Finding, said};
use crate::command::pod_security::Level;
use crate::command::probe_pod;
use crate::inject::{self, Code, Matched, Namespace, NamespaceMetadata, Request, Settings};

/// All findings about one namespace.
pub(in super::super) fn findings(
    name: &str,
    metadata: &NamespaceMetadata,
    settings: &Settings,
) -> Vec<Finding> {
    let mut found = labels(name, metadata);
    found.extend(said_of_any_pod(name, metadata, settings));
    found
}

/// What even a pod that says nothing would be told in it, because of the namespace's annotations.
fn said_of_any_pod(name: &str, metadata: &NamespaceMetadata, settings: &Settings) -> Vec<Finding> {
    let pod = probe_pod(None);
    let namespace = Namespace { name, metadata: Some(metadata) };
    let request =
        Request { pod: &pod, matched: Matched::Namespace, namespace, requester: None, workload: None };
    said::findings(inject::explain(&request, settings), true, |code, _| {
        [Code::PodSecurity, Code::Revision].contains(&code)
    })
}

fn labels(name: &str, metadata: &NamespaceMetadata) -> Vec<Finding> {
    let mut found = Vec::new();
    let label = |key: &str| metadata.labels.get(key).map(String::as_str);
    let annotation = |key: &str| metadata.annotations.get(key).map(String::as_str);
    let enable = format!("kubectl label namespace {name} --overwrite {NAMESPACE_INJECTION}={ENABLED}");
    match label(NAMESPACE_INJECTION) {
        Some(ENABLED) if is_system(name) => found.push(
            Finding::warning(
                "system-namespace",
                format!("label {NAMESPACE_INJECTION} has no effect: {name} is the cluster's or the mesh's own"),
            )
            .remedy("take the label off"),
        ),
        Some(ENABLED | DISABLED) => {}
        Some(other) => found.push(
            Finding::error(
                "namespace-label",
                format!("label {NAMESPACE_INJECTION} is {other:?}, which counts for nothing; allowed are {ENABLED:?} and {DISABLED:?}"),
            )
            .remedy(enable.clone()),
        ),
        None => {
            if let Some(value) = annotation(NAMESPACE_INJECTION) {
                found.push(
                    Finding::error(
                        "namespace-annotation",
                        format!("{NAMESPACE_INJECTION}: {value:?} is an annotation, which selectors cannot see; it must be a label"),
                    )
                    .remedy(enable.clone()),
                );
            }
        }
    }
    if label(POD_INJECT).is_some() || annotation(POD_INJECT).is_some() {
        found.push(
            Finding::error(
                "pod-label-on-namespace",
                format!("{POD_INJECT} is for pods; on a namespace it has no effect"),
            )
            .remedy(enable.clone()),
        );
    }
    found.extend(revision(label(NAMESPACE_INJECTION), label(REVISION), &enable));
    found.extend(pod_security(label(NAMESPACE_INJECTION), label(POD_SECURITY_ENFORCE), name));
    found
}

fn is_system(name: &str) -> bool {
    name == api::control::NAMESPACE || api::control::NEVER_INJECTED.contains(&name)
}

fn revision(switch: Option<&str>, revision: Option<&str>, enable: &str) -> Option<Finding> {
    let revision = revision?;
    Some(match switch {
        Some(_) => Finding::warning(
            "two-selectors",
            format!("labels {NAMESPACE_INJECTION} and {REVISION}={revision} are both there; {NAMESPACE_INJECTION} wins"),
        )
        .remedy(format!("take {REVISION} off")),
        None => Finding::warning(
            "revision",
            format!("label {REVISION}={revision} chooses another mesh; this one has no revisions and leaves the namespace alone"),
        )
        .remedy(format!("{enable} {REVISION}-")),
    })
}

/// The init container needs a capability that the two stricter levels refuse.
fn pod_security(switch: Option<&str>, enforced: Option<&str>, name: &str) -> Option<Finding> {
    let level = enforced.and_then(Level::parse).filter(|level| *level > Level::Privileged)?;
    if switch != Some(ENABLED) {
        return None;
    }
    Some(
        Finding::error(
            "pod-security",
            format!(
                "{POD_SECURITY_ENFORCE}={} refuses every injected pod: the init container {} needs the capability {}",
                level.as_str(),
                api::pod::INIT_CONTAINER,
                api::pod::INIT_GRANTED_CAPABILITY
            ),
        )
        .remedy(format!("kubectl label namespace {name} --overwrite {POD_SECURITY_ENFORCE}=privileged")),
    )
}

#[cfg(test)]
mod tests {
    use super::findings;
    use crate::inject::{NamespaceMetadata, Settings};

    fn codes(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Vec<&'static str> {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let metadata = NamespaceMetadata { labels: map(labels), annotations: map(annotations) };
        findings("shop", &metadata, &Settings::default()).iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn each_pitfall_is_found_and_nothing_else() {
        let enabled = ("istio-injection", "enabled");
        for (labels, annotations, expected) in [
            (&[enabled][..], &[][..], &[][..]),
            (&[], &[], &[]),
            (&[("istio-injection", "disabled")], &[], &[]),
            (&[("istio-injection", "true")], &[], &["namespace-label"]),
            (&[], &[enabled], &["namespace-annotation"]),
            (&[("sidecar.istio.io/inject", "true")], &[], &["pod-label-on-namespace"]),
            (&[enabled, ("istio.io/rev", "canary")], &[], &["two-selectors"]),
            (&[("istio.io/rev", "canary")], &[], &["revision"]),
            (&[enabled, ("pod-security.kubernetes.io/enforce", "baseline")], &[], &["pod-security"]),
            (&[enabled, ("pod-security.kubernetes.io/enforce", "privileged")], &[], &[]),
            (&[("pod-security.kubernetes.io/enforce", "restricted")], &[], &[]),
            (&[enabled], &[("sidecar.istio.io/proxyCPU", "lots")], &["invalid-annotation"]),
            (&[enabled], &[("sidecar.istio.io/proxyCpu", "1")], &["annotation"]),
        ] {
            assert_eq!(codes(labels, annotations), expected, "{labels:?} {annotations:?}");
        }
    }
}
