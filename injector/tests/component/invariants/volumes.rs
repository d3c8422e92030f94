//! The invariants where mesh, namespace and pod add volumes and mounts.

use std::collections::BTreeMap;

use injector::configuration;
use injector::inject::{
    Decision, Matched, Namespace, NamespaceMetadata, Request, Settings, Verdict, apply, decide, uninject,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::mutations;
use crate::common::{list, names, patched, pod, pods};
use crate::golden::same;
use crate::{corpus, judge};

const VOLUME: &str = "sidecar.istio.io/userVolume";
const MOUNT: &str = "sidecar.istio.io/userVolumeMount";

/// The mesh adds one volume, the namespace two, and a fixture another.
const ADDED: [&str; 4] = ["mesh-certs", "shop-cache", "shop-info", "certs"];

fn settings() -> Settings {
    let text = format!(
        "apiVersion: remora.dev/v1alpha1
kind: InjectorConfiguration
workloadOverrides: [{VOLUME}, {MOUNT}]
defaults:
  {VOLUME}: '{{\"mesh-certs\": {{\"secret\": {{\"secretName\": \"certs\", \"optional\": true}}}}}}'
  {MOUNT}: '{{\"mesh-certs\": {{\"mountPath\": \"/etc/certs\", \"readOnly\": true}}}}'
"
    );
    configuration::check(&text).unwrap_or_else(|problems| panic!("{problems}")).settings
}

fn namespace() -> NamespaceMetadata {
    let volumes = json!([
        {"name": "shop-cache", "emptyDir": {"sizeLimit": "1024Mi"}},
        {"name": "shop-info", "downwardAPI": {"items": [{
            "path": "cpu",
            "resourceFieldRef": {"containerName": api::pod::PROXY_CONTAINER, "resource": "requests.cpu", "divisor": "1000m"},
        }]}},
    ]);
    let mounts = json!([
        {"name": "shop-cache", "mountPath": "/cache", "subPath": "a"},
        {"name": "shop-cache", "mountPath": "/cache-again/"},
        {"name": "shop-info", "mountPath": "/info", "readOnly": true},
    ]);
    let annotations =
        BTreeMap::from([(VOLUME.to_owned(), volumes.to_string()), (MOUNT.to_owned(), mounts.to_string())]);
    NamespaceMetadata { annotations, ..NamespaceMetadata::default() }
}

fn decision(pod: &Value) -> Decision {
    let metadata = namespace();
    let request = Request {
        pod,
        matched: Matched::Namespace,
        namespace: Namespace { name: "shop", metadata: Some(&metadata) },
        requester: None,
        workload: None,
    };
    decide(&request, &settings())
}

fn proxy(pod: &Value) -> &Value {
    let mut containers = list(pod, "initContainers").iter().chain(list(pod, "containers"));
    containers.find(|container| container["name"] == api::pod::PROXY_CONTAINER).expect("a proxy")
}

/// As the API server hands a pod on.
fn defaulted(pod: &Value) -> Value {
    let mut pod = pod.clone();
    for volume in pod["spec"]["volumes"].as_array_mut().into_iter().flatten() {
        match volume["name"].as_str().unwrap_or_default() {
            "mesh-certs" => volume["secret"]["defaultMode"] = json!(420),
            "shop-cache" => volume["emptyDir"]["sizeLimit"] = json!("1Gi"),
            "shop-info" => {
                volume["downwardAPI"]["defaultMode"] = json!(420);
                volume["downwardAPI"]["items"][0]["resourceFieldRef"]["divisor"] = json!("1");
            }
            _ => {}
        }
    }
    pod
}

/// I1 to I4; nothing where the pod is not injected.
fn faults(pod: &Value) -> Vec<String> {
    let first = decision(pod);
    if first.verdict != Verdict::Inject {
        return Vec::new();
    }
    let patched = patched(pod, &first);
    let mut faults = if judge::faults(pod).is_empty() { judge::faults(&patched) } else { Vec::new() };
    let mut without = patched.clone();
    if let Some(volumes) = without["spec"]["volumes"].as_array_mut() {
        volumes.retain(|volume| !ADDED.iter().any(|added| volume["name"] == *added));
    }
    faults.extend(judge::changed(pod, &without));
    for later in [&patched, &defaulted(&patched)] {
        let second = decision(later);
        if second.verdict != Verdict::Unchanged || !second.operations.is_empty() {
            faults.push(format!("the second review: {:?}", second.reasons));
        }
    }
    let mut back = patched.clone();
    let undone = uninject(&patched).map(|undone| apply(&mut back, &undone.operations));
    if undone != Ok(Ok(())) || back != *pod {
        faults.push(format!("taken out it is {back}"));
    }
    faults
}

#[test]
fn volumes_and_mounts_keep_the_invariants() {
    let mut count = 0;
    for pod in pods() {
        let own =
            judge::faults(&pod).is_empty() || pod["metadata"]["annotations"][corpus::UNSERVABLE].is_string();
        assert!(own, "{}", pod["metadata"]);
        assert_eq!(faults(&pod), Vec::<String>::new(), "{}", pod["metadata"]);
        count += usize::from(decision(&pod).verdict == Verdict::Inject);
    }
    assert!(count >= 80, "only {count} fixtures are injected");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_with_volumes(pod in mutations::pod()) {
        prop_assert_eq!(faults(&pod), Vec::<String>::new());
    }

    /// Whatever a pod says of volumes, where it may.
    #[test]
    fn invariants_hold_for_any_volumes(volume in mutations::annotation_value(), mount in mutations::annotation_value()) {
        let mut pod = pod("bare");
        pod["metadata"]["annotations"] = json!({VOLUME: volume, MOUNT: mount});
        prop_assert_eq!(faults(&pod), Vec::<String>::new());
    }
}

/// Each layer adds to those before it, and the proxy alone mounts them.
#[test]
fn layers_add_up() {
    let mut pod = pod("bare");
    pod["spec"]["volumes"] = json!([{"name": "own", "emptyDir": {}}]);
    pod["metadata"]["annotations"] = json!({
        VOLUME: r#"[{"name": "mesh-certs", "configMap": {"name": "other"}}]"#,
        MOUNT: r#"{"own": {"mountPath": "/own"}}"#,
    });
    let decision = decision(&pod);
    let operations = serde_json::to_value(&decision.operations).unwrap();
    same("volumes.json", &(serde_json::to_string_pretty(&operations).unwrap() + "\n"));
    let patched = patched(&pod, &decision);
    let added = ["shop-cache", "shop-info", "mesh-certs"];
    let expected: Vec<_> = ["own"].into_iter().chain(api::pod::VOLUMES).chain(added).collect();
    assert_eq!(names(&patched, "volumes"), expected);
    let paths: Vec<_> =
        proxy(&patched)["volumeMounts"].as_array().unwrap().iter().skip(5).map(|m| &m["mountPath"]).collect();
    assert_eq!(paths, ["/etc/certs", "/cache", "/cache-again/", "/info", "/own"]);
    assert_eq!(faults(&pod), Vec::<String>::new());
}

/// A pod that could add to the mesh's container could read what the mesh mounts there.
#[test]
fn a_pod_may_only_where_the_configuration_says_so() {
    let mut pod = pod("bare");
    pod["metadata"]["annotations"] = json!({VOLUME: "[]"});
    let decision = crate::common::decision(&pod);
    assert_eq!((decision.verdict, decision.reasons[0].code.as_str()), (Verdict::Reject, "admin-only"));
}

#[test]
fn what_collides_is_refused() {
    for (volumes, annotations, code, told) in [
        (
            json!([{"name": "shop-cache", "emptyDir": {}}]),
            json!({}),
            "name-conflict",
            "userVolume adds a volume shop-cache",
        ),
        (
            json!([]),
            json!({MOUNT: r#"{"nowhere": {"mountPath": "/a"}}"#}),
            "invalid-annotation",
            "mounts the volume nowhere",
        ),
        (
            json!([]),
            json!({VOLUME: r#"{"a": {"emptydir": {}}}"#}),
            "invalid-annotation",
            "allowed is a JSON list",
        ),
        (
            json!([]),
            json!({MOUNT: r#"{"mesh-certs": {"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}}"#}),
            "invalid-annotation",
            "in the way of",
        ),
        (
            json!([]),
            json!({MOUNT: r#"{"remora-token": {"mountPath": "/a"}}"#}),
            "invalid-annotation",
            "injection's own",
        ),
    ] {
        let mut pod = pod("bare");
        pod["spec"]["volumes"] = volumes;
        pod["metadata"]["annotations"] = annotations;
        let decision = decision(&pod);
        let reason = &decision.reasons[0];
        assert_eq!((decision.verdict, reason.code.as_str()), (Verdict::Reject, code), "{}", reason.text);
        assert!(reason.text.contains(told) && decision.operations.is_empty(), "{}", reason.text);
    }
}
