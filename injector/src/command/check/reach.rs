//! Whether the API server reaches the webhook by each of its paths: proven by pods that are created for show.

use serde_json::Value;

use super::super::meshed::Meshed;
use super::Check;
use super::seen::{DryRun, Seen};

pub(super) fn checks(seen: &Seen) -> Vec<Check> {
    let enabled = format!("{}={}", api::labels::NAMESPACE_INJECTION, api::labels::ENABLED);
    vec![
        check(
            "reach-by-namespace",
            seen.by_namespace.as_ref(),
            &format!("no namespace has the label {enabled}"),
        ),
        check(
            "reach-by-pod",
            seen.by_object.as_ref(),
            "there is no namespace that says nothing about injection",
        ),
    ]
}

fn check(name: &'static str, run: Option<&DryRun>, none: &str) -> Check {
    let Some(DryRun { namespace, pod }) = run else {
        return Check::warn(
            name,
            format!("not tried: {none}"),
            "nothing to do, unless pods should be injected that way",
        );
    };
    match pod {
        Ok(pod) => match Meshed::of(pod) {
            Some(meshed) => Check::ok(name, format!("a pod in namespace {namespace} is injected {meshed}")),
            None => Check::fail(
                name,
                format!("a pod in namespace {namespace} is created without the sidecar{}", taken_out(pod)),
                "see the other checks: the webhook configuration, and other webhooks that change pods",
            ),
        },
        Err(error) => refused(name, namespace, error),
    }
}

/// The annotation without the containers: somebody took them out.
fn taken_out(pod: &Value) -> &'static str {
    let annotations = pod.pointer("/metadata/annotations");
    if annotations.is_some_and(|annotations| annotations.get(api::annotations::STATUS).is_some()) {
        "; another webhook took it out again"
    } else {
        ""
    }
}

fn refused(name: &'static str, namespace: &str, error: &crate::cluster::SurveyError) -> Check {
    use crate::cluster::SurveyError;
    let SurveyError::Failed { reason, .. } = error else { return Check::unseen(name, error) };
    let remedy = [
        ("x509", "the bundle does not verify what is served: see ca-bundle and authority"),
        ("certificate", "the bundle does not verify what is served: see ca-bundle and authority"),
        ("no endpoints", "no replica is ready: see replicas"),
        ("connection refused", "no replica listens: see replicas, and that the Service leads to port 10250"),
        (
            "deadline exceeded",
            "a firewall or network policy keeps the API server from port 10250 of the pods",
        ),
        ("timeout", "a firewall or network policy keeps the API server from port 10250 of the pods"),
        ("not found", "the Service is missing: injector export manifests | kubectl apply -f -"),
    ];
    if reason.contains("failed calling webhook") {
        let ours = reason.contains(api::control::WEBHOOK_ENTRY_SUFFIX);
        let remedy = match remedy.iter().find(|(part, _)| reason.contains(part)) {
            _ if !ours => "it is not our webhook that fails",
            Some((_, remedy)) => remedy,
            None => "see replicas and their log",
        };
        return Check::fail(name, format!("the API server cannot call it: {reason}"), remedy);
    }
    if reason.contains("PodSecurity") {
        return Check::fail(
            name,
            format!("namespace {namespace} refuses the injected pod: {reason}"),
            format!(
                "kubectl label namespace {namespace} --overwrite {}=privileged",
                api::labels::POD_SECURITY_ENFORCE
            ),
        );
    }
    Check::unknown(
        name,
        format!("not proven: the cluster refuses the pod that was to prove it: {reason}"),
        "try again with another namespace labelled, or mend what it says",
    )
}
