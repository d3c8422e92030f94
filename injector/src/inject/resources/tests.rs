//! Classes of service and requirements.

use serde_json::{Value, json};

use super::Requirements;
use crate::inject::options;
use crate::inject::pod::Pod;
use crate::inject::{Namespace, Settings};

fn equal(cpu: &str, memory: &str) -> Value {
    json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}})
}

fn pod(annotations: Value, containers: &[Value]) -> Value {
    let containers: Vec<Value> = containers
        .iter()
        .enumerate()
        .map(|(at, r)| json!({"name": format!("c{at}"), "resources": r}))
        .collect();
    json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers}})
}

/// Requirements of proxy and init container as JSON, and the warnings.
fn requirements(pod: &Value) -> (Value, Value, Vec<String>) {
    let parsed = Pod::new(pod).unwrap();
    let options = options::read(parsed, Namespace::from("shop"), &Settings::default()).options.unwrap();
    let mut warnings = Vec::new();
    let found = Requirements::new(&options.resources, parsed, &mut warnings);
    let json = |requirements| serde_json::to_value(requirements).unwrap();
    (json(found.proxy), json(found.init), warnings)
}

#[test]
fn a_guaranteed_pod_stays_guaranteed() {
    for (annotations, cpu, memory) in [
        (json!({}), "100m", "64Mi"),
        (json!({"sidecar.istio.io/proxyCPU": "200m"}), "200m", "64Mi"),
        (
            json!({"sidecar.istio.io/proxyCPULimit": "2", "sidecar.istio.io/proxyMemoryLimit": "1Gi"}),
            "2",
            "1Gi",
        ),
    ] {
        let (proxy, init, warnings) = requirements(&pod(annotations, &[equal("1", "1Gi")]));
        assert_eq!((&proxy, &init), (&equal(cpu, memory), &equal(cpu, memory)));
        assert!(warnings.len() == 1 && warnings[0].contains("stays so"), "{warnings:?}");
    }
    let annotations = json!({"sidecar.istio.io/proxyCPU": "100m", "sidecar.istio.io/proxyCPULimit": "1"});
    let (proxy, _, warnings) = requirements(&pod(annotations, &[equal("1", "1Gi")]));
    assert_eq!(proxy["requests"]["cpu"], "100m", "what is annotated counts");
    assert!(warnings[0].contains("becomes Burstable"), "{warnings:?}");
}

#[test]
fn requests_are_always_set_and_each_value_changes_its_own_field() {
    let (proxy, init, warnings) = requirements(&pod(json!({}), &[json!({})]));
    assert_eq!(proxy, json!({"requests": {"cpu": "100m", "memory": "64Mi"}}));
    assert_eq!(init, json!({"requests": {"cpu": "10m", "memory": "16Mi"}}));
    assert_eq!(warnings, Vec::<String>::new());
    let annotations = json!({
        "sidecar.istio.io/proxyMemoryLimit": "1Gi",
        "config.linkerd.io/proxy-ephemeral-storage-request": "1Gi",
    });
    let (proxy, init, _) = requirements(&pod(annotations, &[json!({})]));
    let requests = json!({"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "1Gi"});
    assert_eq!(proxy, json!({"requests": requests, "limits": {"memory": "1Gi"}}));
    assert_eq!(init["limits"], json!({"memory": "1Gi"}), "a quota of limits asks every container");
}

#[test]
fn a_request_is_no_more_than_its_limit_and_the_init_containers_no_more_than_the_proxys() {
    let annotations = json!({"sidecar.istio.io/proxyCPU": "2", "sidecar.istio.io/proxyCPULimit": "500m", "sidecar.istio.io/proxyMemory": "8Mi"});
    let (proxy, init, warnings) = requirements(&pod(annotations, &[json!({})]));
    assert_eq!(proxy["requests"], json!({"cpu": "500m", "memory": "8Mi"}));
    assert_eq!(init["requests"], json!({"cpu": "10m", "memory": "8Mi"}));
    assert!(
        warnings.len() == 1 && warnings[0].contains("cpu request 2 is above its limit 500m"),
        "{warnings:?}"
    );
}

#[test]
fn what_the_pod_has_as_a_whole_is_shared() {
    for (requested, room) in [("500m", true), ("900m", true), ("901m", false)] {
        let mut pod = pod(json!({}), &[json!({"requests": {"cpu": requested}})]);
        pod["spec"]["resources"] = equal("1", "1Gi");
        let (proxy, _, warnings) = requirements(&pod);
        assert_eq!(proxy["requests"].get("cpu").is_some(), room, "{requested}");
        assert!(proxy.get("limits").is_none() && warnings.is_empty(), "{proxy} {warnings:?}");
    }
}

/// What Kubernetes says to it otherwise: "must be greater than or equal to aggregate container requests", and "must be less
/// than or equal to pod limits".
#[test]
fn what_is_asked_for_fits_into_the_pods_own() {
    let cpu = |proxy: &Value, list: &str| proxy.pointer(&format!("/{list}/cpu")).cloned();
    for (annotations, resources, request, limit) in [
        (json!({"sidecar.istio.io/proxyCPU": "65536"}), json!({"limits": {"cpu": "2"}}), None, None),
        (
            json!({"sidecar.istio.io/proxyCPULimit": "4"}),
            json!({"limits": {"cpu": "2"}}),
            Some("100m"),
            Some("2"),
        ),
        (json!({"sidecar.istio.io/proxyCPULimit": "1"}), json!({"requests": {"cpu": "1050m"}}), None, None),
        (
            json!({"sidecar.istio.io/proxyCPULimit": "20m"}),
            json!({"requests": {"cpu": "1050m"}}),
            None,
            Some("20m"),
        ),
        (json!({}), json!({"requests": {"cpu": "0"}}), None, None),
        (json!({}), json!({"requests": {"cpu": 0}, "limits": {"cpu": 2}}), None, None),
    ] {
        let mut pod = pod(annotations.clone(), &[json!({"requests": {"cpu": "1"}})]);
        pod["spec"]["resources"] = resources.clone();
        let (proxy, _, warnings) = requirements(&pod);
        let said = format!("{annotations} {resources}: {proxy} {warnings:?}");
        assert_eq!(cpu(&proxy, "requests"), request.map(Value::from), "{said}");
        assert_eq!(cpu(&proxy, "limits"), limit.map(Value::from), "{said}");
        let is_less = annotations != json!({}) && cpu(&proxy, "limits") != Some("20m".into());
        assert_eq!(!warnings.is_empty(), is_less, "{said}");
    }
}
