//! Rules that look at more than the truth tables do: what collides with injection, and what people are told.

use injector::inject::{
    Decision, Matched, Namespace, NamespaceMetadata, Request, RuleOutcome, Settings, Verdict, decide, explain,
};
use serde_json::{Value, json};

use crate::selection::settings;

fn pod(spec: Value) -> Value {
    let mut pod =
        json!({"metadata": {"name": "app"}, "spec": {"containers": [{"name": "app", "image": "app"}]}});
    for (field, value) in spec.as_object().unwrap() {
        pod["spec"][field] = value.clone();
    }
    pod
}

fn request<'a>(pod: &'a Value, metadata: Option<&'a NamespaceMetadata>) -> Request<'a> {
    let namespace = Namespace { name: "shop", metadata };
    Request { pod, matched: Matched::Namespace, namespace, requester: None, workload: None }
}

fn decided(pod: &Value) -> Decision {
    decide(&request(pod, None), &Settings::default())
}

fn namespace(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> NamespaceMetadata {
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    NamespaceMetadata { labels: map(labels), annotations: map(annotations) }
}

fn codes(decision: &Decision) -> Vec<&str> {
    decision.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

#[test]
fn the_sidecar_of_another_mesh_is_known_by_name_and_image() {
    for (name, image, mesh) in [
        ("linkerd-proxy", "mirror.example.com/any", "Linkerd"),
        ("proxy", "cr.l5d.io/linkerd/proxy:edge-26.1.1", "Linkerd"),
        ("envoy", "docker.io/istio/proxyv2:1.29.0", "Istio"),
        ("envoy", "registry.example.com:5000/mirror/proxyv2@sha256:00", "Istio"),
        ("kuma-sidecar", "kuma", "Kuma"),
        ("data", "hashicorp/consul-dataplane", "Consul"),
        ("envoy", "840364872350.dkr.ecr.us-west-2.amazonaws.com/aws-appmesh-envoy:v1.29", "AWS App Mesh"),
    ] {
        for list in ["containers", "initContainers"] {
            let own = json!({"name": name, "image": image});
            let app = json!({"name": "app", "image": "app"});
            let mut pod = pod(json!({}));
            pod["spec"][list] = json!([own]);
            if list == "initContainers" {
                pod["spec"]["containers"] = json!([app]);
            }
            let decision = decided(&pod);
            assert_eq!(
                (decision.verdict, codes(&decision)),
                (Verdict::Reject, vec!["foreign-sidecar"]),
                "{image}"
            );
            assert!(decision.reasons[0].text.contains(mesh), "{}", decision.reasons[0]);
        }
    }
    for image in
        ["example.com/my-proxyv2", "example.com/xlinkerd/proxy", "proxyv2.example.com/app", "linkerd/proxy/x"]
    {
        let decision = decided(&pod(json!({"containers": [{"name": "app", "image": image}]})));
        assert_eq!(decision.verdict, Verdict::Inject, "{image}: {:?}", decision.reasons);
    }
}

/// Told together, so that they are mended together.
#[test]
fn everything_that_collides_is_told_at_once() {
    let decision = decided(&pod(json!({
        "initContainers": [{"name": "setup", "securityContext": {"runAsUser": 1337, "runAsGroup": 1337}}],
        "containers": [
            {"name": "linkerd-proxy", "image": "x"},
            {"name": "app", "ports": [{"containerPort": 15001}, {"containerPort": 15006, "protocol": "UDP"}]},
        ],
        "volumes": [{"name": api::pod::STATE_VOLUME, "emptyDir": {}}],
    })));
    assert_eq!(codes(&decision), ["foreign-sidecar", "proxy-identity", "port-conflict", "name-conflict"]);
}

#[test]
fn the_proxys_user_without_a_group_is_warned_about() {
    let warned = |context: Value| {
        let decision = decided(&pod(json!({"securityContext": context})));
        assert_eq!(decision.verdict, Verdict::Inject);
        decision.warnings.iter().any(|warning| warning.contains("set runAsGroup"))
    };
    assert!(warned(json!({"runAsUser": 1337})));
    assert!(!warned(json!({"runAsUser": 1337, "runAsGroup": 1000})));
    assert!(!warned(json!({"runAsGroup": 1337})));
    let own = decided(&pod(json!({
        "securityContext": {"runAsUser": 1337, "runAsGroup": 1337},
        "containers": [{"name": "app", "image": "app", "securityContext": {"runAsUser": 1000}}],
    })));
    assert_eq!(own.verdict, Verdict::Inject, "the container's own user counts");
}

#[test]
fn pod_security_that_forbids_us_is_a_warning_that_names_the_capability() {
    let warnings = |level: &str, pod: &Value| {
        let namespace = namespace(&[("pod-security.kubernetes.io/enforce", level)], &[]);
        let decision = decide(&request(pod, Some(&namespace)), &Settings::default());
        decision.warnings.into_iter().filter(|warning| warning.contains("NET_ADMIN")).count()
    };
    let plain = pod(json!({}));
    assert_eq!(["privileged", "baseline", "restricted"].map(|level| warnings(level, &plain)), [0, 1, 1]);
    assert_eq!(warnings("restricted", &pod(json!({"hostNetwork": true}))), 0, "it is not injected");
    let mut uncaptured = pod(json!({}));
    uncaptured["metadata"]["annotations"] = json!({"sidecar.istio.io/interceptionMode": "NONE"});
    assert_eq!(warnings("restricted", &uncaptured), 0, "nothing needs the capability");
}

#[test]
fn a_namespace_that_says_two_things_is_told_which_counts() {
    for (namespace, told) in [
        (namespace(&[("istio.io/rev", "canary")], &[]), "istio.io/rev has no effect"),
        (
            namespace(&[], &[("linkerd.io/inject", "disabled")]),
            "linkerd.io/inject is \"disabled\" and has no effect",
        ),
    ] {
        let pod = pod(json!({}));
        let decision = decide(&request(&pod, Some(&namespace)), &Settings::default());
        assert_eq!(
            decision.verdict,
            Verdict::Inject,
            "a cache that lags never turns an injection into a skip"
        );
        assert!(decision.warnings.iter().any(|warning| warning.contains(told)), "{:?}", decision.warnings);
    }
}

#[test]
fn a_label_that_is_warned_about_counts_for_nothing() {
    let mut pod = pod(json!({}));
    pod["metadata"]["labels"] = json!({"sidecar.istio.io/inject": "yes"});
    let decision = decide(&request(&pod, None), &settings());
    assert_eq!(codes(&decision), ["namespace-enabled"]);
    assert!(decision.warnings[0].contains("\"yes\""), "{:?}", decision.warnings);
    pod["metadata"]["labels"]["tier"] = json!("batch");
    let decision = decide(&request(&pod, None), &settings());
    assert_eq!((codes(&decision), decision.warnings.len()), (vec!["never-inject"], 1));
}

/// Whoever changed the selectors by hand, or has not applied those of a new configuration, is told.
#[test]
fn a_pod_that_nobody_asked_for_is_left() {
    let pod = pod(json!({}));
    let decision = decide(&Request { matched: Matched::Object, ..request(&pod, None) }, &Settings::default());
    assert_eq!((decision.verdict, codes(&decision)), (Verdict::Skip, vec!["not-selected"]));
    assert!(decision.reasons[0].text.contains("injector export webhook"));
}

#[test]
fn every_rule_is_traced_with_what_it_found() {
    let ports = json!([{"containerPort": 53, "protocol": "UDP"}]);
    let pod =
        pod(json!({"hostNetwork": true, "containers": [{"name": "dns", "image": "dns", "ports": ports}]}));
    let traced = explain(&request(&pod, None), &Settings::default()).rules;
    let told: Vec<_> = traced
        .iter()
        .filter(|trace| trace.outcome != RuleOutcome::Silent)
        .map(|trace| (trace.rule, trace.outcome, trace.reasons[0].code.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("host-network", RuleOutcome::Skip, "host-network"),
            ("namespace-label", RuleOutcome::Inject, "namespace-enabled"),
            ("udp", RuleOutcome::Note, "udp-not-captured"),
        ]
    );
    assert!(traced.iter().all(|trace| trace.reasons.is_empty() == (trace.outcome == RuleOutcome::Silent)));
}
