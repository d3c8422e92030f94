//! What the injected containers are to the pod beside them: its quality of service, its start, its metrics.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::cluster::{
    FORTIO_IMAGE, Namespace, Pod, eventually, fortio_container, kubectl, service, workload,
};

#[test]
fn a_guaranteed_pod_stays_guaranteed() -> Result<()> {
    let mesh = Namespace::meshed("guaranteed")?;
    let mut container = fortio_container();
    container["resources"] =
        json!({"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}});
    mesh.apply(&[pod("app", &json!({}), &container)])?;
    mesh.wait("pod/app", "condition=Ready")?;
    let pod = Pod::named(&mesh, "app")?;
    ensure!(pod.is_meshed(), "{:?}", pod.containers());
    ensure!(pod.object["status"]["qosClass"] == "Guaranteed", "{}", pod.object["status"]["qosClass"]);
    Ok(())
}

/// Kubernetes writes the range's defaults into our containers too, and then asks the webhook again.
#[test]
fn a_limit_range_is_met() -> Result<()> {
    let mesh = Namespace::meshed("limit-range")?;
    let limit = json!({"type": "Container", "default": {"cpu": "500m", "memory": "256Mi"}, "defaultRequest": {"cpu": "10m", "memory": "32Mi"}});
    mesh.apply(&[json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"}, "spec": {"limits": [limit]}})])?;
    mesh.apply(&[pod("app", &json!({}), &fortio_container())])?;
    mesh.wait("pod/app", "condition=Ready")?;
    let pod = Pod::named(&mesh, "app")?;
    ensure!(pod.is_meshed(), "{:?}", pod.containers());
    Ok(())
}

/// An application that calls out as its first act would be refused while the rules are there and the proxy is not.
#[test]
fn the_legacy_form_holds_the_application_until_the_proxy_answers() -> Result<()> {
    let mesh = Namespace::meshed("legacy-hold")?;
    mesh.apply(&[workload("server", 1, None), service("server", "server", false)])?;
    mesh.rolled_out("server")?;
    let first_act = json!({
        "name": "fortio", "image": FORTIO_IMAGE,
        "args": ["load", "-c", "1", "-n", "1", "-qps", "0", "http://server:8080/"],
    });
    for round in 0..5 {
        let name = format!("caller-{round}");
        let mut caller = pod(&name, &json!({ api::annotations::NATIVE_SIDECAR: "false" }), &first_act);
        caller["spec"]["restartPolicy"] = json!("Never");
        mesh.apply(&[caller])?;
        let ended = eventually("the first call's end", Duration::from_secs(60), || {
            let pod = Pod::named(&mesh, &name)?;
            let statuses = pod.object["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
            let app = statuses.into_iter().find(|status| status["name"] == "fortio").unwrap_or_default();
            Ok(Some(app["state"]["terminated"].clone()).filter(Value::is_object))
        })?;
        if ended["exitCode"] != 0 {
            let log = mesh.kubectl(&["logs", &name, "-c", "fortio"])?;
            anyhow::bail!("{name}: {ended}\n{log}");
        }
        let pod = Pod::named(&mesh, &name)?;
        let names: Vec<&str> = pod.object["spec"]["containers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|container| container["name"].as_str())
            .collect();
        ensure!(names == [api::pod::PROXY_CONTAINER, "fortio"], "{names:?}");
    }
    Ok(())
}

#[test]
fn an_applications_metrics_are_served_beside_the_proxys() -> Result<()> {
    let mesh = Namespace::meshed("merged")?;
    let annotations = json!({
        "prometheus.io/scrape": "true", "prometheus.io/port": "8080", "prometheus.io/path": "/debug/metrics",
    });
    mesh.apply(&[pod("app", &annotations, &fortio_container())])?;
    mesh.wait("pod/app", "condition=Ready")?;
    let pod = Pod::named(&mesh, "app")?;
    let said = |key: &str| pod.object["metadata"]["annotations"][key].as_str().unwrap_or("absent").to_owned();
    let (port, path) = (said("prometheus.io/port"), said("prometheus.io/path"));
    ensure!(port == api::ports::METRICS.to_string(), "prometheus.io/port is {port}");
    let raw = format!("/api/v1/namespaces/{}/pods/{}:{port}/proxy{path}", mesh.name, pod.name);
    let text = kubectl(&["get", "--raw", &raw])?;
    for metric in ["fortio_num_fd", "istio_build"] {
        let families = text.lines().filter(|line| line.starts_with(metric)).count();
        ensure!(families > 0, "{metric} is not in what a scraper gets:\n{text}");
    }
    Ok(())
}

fn pod(name: &str, annotations: &Value, container: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}, "annotations": annotations},
        "spec": {"containers": [container]},
    })
}
