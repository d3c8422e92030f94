//! What injection adds to a pod, and that it adds nothing elsewhere.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::cluster::{
    FORTIO_IMAGE, Namespace, Pod, fortio_container, kubectl, kubectl_stdin, script, workload,
};

#[test]
fn a_pod_gets_two_containers_and_what_the_contract_lists() -> Result<()> {
    let (mesh, plain) = (Namespace::meshed("injection")?, Namespace::plain("injection-plain")?);
    for namespace in [&mesh, &plain] {
        namespace.apply(&[workload("app", 1, None)])?;
        namespace.rolled_out("app")?;
    }
    let (meshed, control) = (mesh.pod("app")?, plain.pod("app")?);
    let ours = [api::pod::INIT_CONTAINER, api::pod::PROXY_CONTAINER];
    ensure!(meshed.containers() == [ours[0], ours[1], "fortio"], "{:?}", meshed.containers());
    ensure!(control.containers() == ["fortio"], "{:?}", control.containers());
    let stripped = strip(&normal(&meshed)?)?;
    let expected = normal(&control)?;
    ensure!(
        stripped == expected,
        "left after taking out what the contract lists:\n{stripped:#}\nexpected:\n{expected:#}"
    );
    no_api_token(&meshed)
}

#[test]
fn a_pod_that_wants_no_root_starts() -> Result<()> {
    let mesh = Namespace::meshed("no-root")?;
    let security = json!({"runAsNonRoot": true, "runAsUser": 4711, "runAsGroup": 4711, "fsGroup": 4711});
    mesh.apply(&[pod("app", json!({"containers": [fortio_container()], "securityContext": security}))])?;
    mesh.wait("pod/app", "condition=Ready")?;
    let pod = Pod::named(&mesh, "app")?;
    ensure!(pod.is_meshed(), "{:?}", pod.containers());
    ensure!(pod.object["spec"]["securityContext"] == security, "{}", pod.object["spec"]["securityContext"]);
    Ok(())
}

#[test]
fn a_job_completes() -> Result<()> {
    let mesh = Namespace::meshed("job")?;
    let container = json!({"name": "once", "image": FORTIO_IMAGE, "args": ["version"]});
    let template = json!({"metadata": {"labels": {"app": "once"}}, "spec": {"restartPolicy": "Never", "containers": [container]}});
    mesh.apply(&[json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {"backoffLimit": 0, "template": template}})])?;
    mesh.wait("job/once", "condition=Complete")?;
    let pod = mesh.pod("once")?;
    ensure!(pod.is_meshed(), "the job's pod is not meshed");
    // The kubelet ends a native sidecar after the last container; from then on it is the proxy's time.
    let log = mesh.kubectl(&["logs", &pod.name, "-c", api::pod::PROXY_CONTAINER])?;
    let (told, ended) = (logged(&log, "SIGTERM")?, logged(&log, "proxy ends")?);
    let took = ended.duration_since(told)?;
    ensure!(took <= Duration::from_secs(1), "it took the proxy {took:?} to end\n{log}");
    Ok(())
}

/// When the line with `words` was logged.
fn logged(log: &str, words: &str) -> Result<SystemTime> {
    let line =
        log.lines().find(|line| line.contains(words)).with_context(|| format!("no {words:?} in\n{log}"))?;
    let time = line.split_whitespace().next().context("a time")?;
    humantime::parse_rfc3339(time).with_context(|| format!("no time in {line:?}"))
}

#[test]
fn an_opted_out_pod_is_left_alone() -> Result<()> {
    let mesh = Namespace::meshed("opted-out")?;
    let mut object = pod("app", json!({"containers": [fortio_container()]}));
    object["metadata"]["labels"] = json!({ api::labels::POD_INJECT: "false" });
    mesh.apply(&[object])?;
    let names = Pod::named(&mesh, "app")?.containers();
    ensure!(names == ["fortio"], "{names:?}");
    Ok(())
}

#[test]
fn a_bad_annotation_is_refused_with_its_name_and_the_allowed_form() -> Result<()> {
    let mesh = Namespace::meshed("refused")?;
    let mut object = pod("app", json!({"containers": [fortio_container()]}));
    object["metadata"]["annotations"] = json!({ api::annotations::EXCLUDE_INBOUND_PORTS: "80,http" });
    object["metadata"]["namespace"] = json!(mesh.name);
    let error =
        kubectl_stdin(&["create", "-f", "-"], &object.to_string()).err().context("the pod was accepted")?;
    let text = format!("{error:#}");
    ensure!(text.contains(api::annotations::EXCLUDE_INBOUND_PORTS) && text.contains("http"), "{text}");
    Ok(())
}

#[test]
fn without_a_label_a_pod_is_as_without_the_webhook() -> Result<()> {
    let plain = Namespace::plain("unlabelled")?;
    let object = pod("app", json!({"containers": [fortio_container()]}));
    plain.apply(std::slice::from_ref(&object))?;
    let with = normal(&Pod::named(&plain, "app")?)?;
    plain.kubectl(&["delete", "pod", "app", "--now"])?;
    kubectl(&["delete", "mutatingwebhookconfiguration", api::control::WEBHOOK_CONFIGURATION])?;
    let created = plain.apply(&[object]).and_then(|()| normal(&Pod::named(&plain, "app")?));
    // Installed again as a user would: the injector has to publish its bundle into the new object by itself.
    script("install", &["manifests"])?;
    let without = created?;
    ensure!(with == without, "with the webhook:\n{with:#}\nwithout:\n{without:#}");
    let mesh = Namespace::meshed("after-reinstall")?;
    mesh.apply(&[pod("app", json!({"containers": [fortio_container()]}))])?;
    ensure!(Pod::named(&mesh, "app")?.is_meshed(), "not injected after the webhook was installed again");
    Ok(())
}

fn pod(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
}

/// A pod's metadata and spec without what differs between two pods of one template: names, node, the API token's volume
/// (whose name is random), and what the API server notes about who wrote what.
fn normal(pod: &Pod) -> Result<Value> {
    let mut spec = pod.object["spec"].clone();
    let fields = spec.as_object_mut().context("a spec")?;
    fields.remove("nodeName");
    let mut text = spec.to_string();
    for volume in pod.object["spec"]["volumes"].as_array().into_iter().flatten() {
        if let Some(name) = volume["name"].as_str().filter(|name| name.starts_with("kube-api-access-")) {
            text = text.replace(name, "kube-api-access");
        }
    }
    let metadata = &pod.object["metadata"];
    let labels: serde_json::Map<String, Value> = metadata["labels"].as_object().cloned().unwrap_or_default();
    let annotations: serde_json::Map<String, Value> =
        metadata["annotations"].as_object().cloned().unwrap_or_default();
    let applied = "kubectl.kubernetes.io/last-applied-configuration";
    let annotations: serde_json::Map<String, Value> =
        annotations.into_iter().filter(|(key, _)| key != applied).collect();
    Ok(json!({"spec": serde_json::from_str::<Value>(&text)?, "labels": labels, "annotations": annotations}))
}

/// Takes out what the contract lists; what is left has to be the user's.
fn strip(pod: &Value) -> Result<Value> {
    let mut pod = pod.clone();
    let ours: BTreeSet<&str> = [api::pod::INIT_CONTAINER, api::pod::PROXY_CONTAINER].into();
    let volumes: BTreeSet<&str> = api::pod::VOLUMES.into();
    let spec = pod["spec"].as_object_mut().context("a spec")?;
    for (list, names) in [("initContainers", &ours), ("volumes", &volumes)] {
        let items = spec.get_mut(list).and_then(Value::as_array_mut).with_context(|| list.to_owned())?;
        let before = items.len();
        items.retain(|item| !item["name"].as_str().is_some_and(|name| names.contains(name)));
        ensure!(
            before - items.len() == names.len(),
            "{list}: {} of ours, expected {names:?}",
            before - items.len()
        );
        if items.is_empty() {
            spec.remove(list);
        }
    }
    let written = [
        ("labels", &[api::labels::CANONICAL_NAME, api::labels::CANONICAL_REVISION][..]),
        (
            "annotations",
            &[
                api::annotations::STATUS,
                api::annotations::DEFAULT_CONTAINER,
                api::annotations::DEFAULT_LOGS_CONTAINER,
                api::annotations::SAFE_TO_EVICT_VOLUMES,
                api::annotations::SCRAPE,
                api::annotations::SCRAPE_PORT,
                api::annotations::SCRAPE_PATH,
            ][..],
        ),
    ];
    for (map, keys) in written {
        let map = pod[map].as_object_mut().context("a map")?;
        keys.iter().for_each(|key| drop(map.remove(*key)));
    }
    Ok(pod)
}

/// Neither of our containers may mount the application's API token.
fn no_api_token(pod: &Pod) -> Result<()> {
    let containers = pod.object["spec"]["initContainers"].as_array().context("init containers")?;
    for container in containers {
        let mounts = container["volumeMounts"].as_array().context("mounts")?;
        let at_token = mounts.iter().find(|mount| mount["mountPath"] == api::pod::API_TOKEN_PATH);
        let at_token =
            at_token.with_context(|| format!("{} leaves the token's path free", container["name"]))?;
        ensure!(at_token["name"] == api::pod::STATE_VOLUME && at_token["readOnly"] == true, "{at_token}");
        let token = mounts
            .iter()
            .any(|mount| mount["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access")));
        ensure!(!token, "{} mounts the API token", container["name"]);
    }
    Ok(())
}
