//! The kubelet's probes of the application pass through the proxy, and fail when they should.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::cluster::{FORTIO_IMAGE, Namespace, Pod, eventually};

#[test]
fn every_kind_of_probe_passes() -> Result<()> {
    let mesh = Namespace::meshed("probes")?;
    let kinds = [
        ("http", json!({"httpGet": {"path": "/debug", "port": 8080}})),
        ("tcp", json!({"tcpSocket": {"port": 8078}})),
        ("grpc", json!({"grpc": {"port": 8079}})),
        ("exec", json!({"exec": {"command": ["/fortio", "version"]}, "timeoutSeconds": 5})),
    ];
    for (name, probe) in &kinds {
        mesh.apply(&[pod(name, probe)])?;
    }
    for (name, _) in &kinds {
        mesh.wait(&format!("pod/{name}"), "condition=Ready")?;
        let pod = Pod::named(&mesh, name)?;
        ensure!(pod.is_meshed(), "{name}: {:?}", pod.containers());
        let restarts = pod.object["status"]["containerStatuses"][0]["restartCount"].as_u64();
        ensure!(restarts == Some(0), "{name}: {restarts:?} restarts");
    }
    Ok(())
}

/// A proxy accepts every connection before it knows whether the application would: what it must not do is to say so to the
/// kubelet.
#[test]
fn probes_of_a_closed_port_fail() -> Result<()> {
    let mesh = Namespace::meshed("closed")?;
    let kinds = [
        ("http", json!({"httpGet": {"path": "/", "port": 9999}})),
        ("https", json!({"httpGet": {"path": "/", "port": 9999, "scheme": "HTTPS"}})),
        ("tcp", json!({"tcpSocket": {"port": 9999}})),
        ("grpc", json!({"grpc": {"port": 9999}})),
    ];
    for (name, probe) in &kinds {
        let mut object = pod(name, probe);
        let container = object["spec"]["containers"][0].as_object_mut().context("a container")?;
        container.remove("livenessProbe");
        container.remove("startupProbe");
        mesh.apply(&[object])?;
    }
    for (name, _) in &kinds {
        let selector = format!("involvedObject.name={name},reason=Unhealthy");
        eventually("the kubelet's event about the failed probe", Duration::from_secs(60), || {
            let events = mesh.get(&["events", "--field-selector", &selector])?;
            let events = events["items"].as_array().cloned().unwrap_or_default();
            let ours = |event: &&Value| event["involvedObject"]["fieldPath"] == "spec.containers{fortio}";
            Ok(events.iter().find(ours).map(|event| println!("{name}: {}", event["message"])))
        })?;
        // The kubelet tells of a probe before it tells of the pod's state.
        let status = eventually("the container's start", Duration::from_secs(60), || {
            let pod = Pod::named(&mesh, name)?;
            let statuses = pod.object["status"]["containerStatuses"].as_array().context("statuses")?;
            let started = |status: &&Value| status["name"] == "fortio" && status["started"] == true;
            Ok(statuses.iter().find(started).cloned())
        })?;
        ensure!(status["ready"] == false, "{name}: {status}");
    }
    Ok(())
}

fn pod(name: &str, probe: &Value) -> Value {
    let with = |period: u64| {
        let mut probe = probe.clone();
        probe["periodSeconds"] = json!(period);
        probe
    };
    let container = json!({
        "name": "fortio", "image": FORTIO_IMAGE, "args": ["server"],
        "startupProbe": with(1), "readinessProbe": with(1), "livenessProbe": with(1),
    });
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}})
}
