//! By which label a pod is injected, with namespaces that people label while pods come.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::cluster::{FORTIO_IMAGE, Namespace, Pod, eventually, kubectl, kubectl_stdin};

#[test]
fn a_pods_own_label_is_enough_where_the_namespace_says_nothing() -> Result<()> {
    let plain = Namespace::plain("own-label")?;
    for (name, label, meshed) in [("asked", Some("true"), true), ("silent", None, false)] {
        plain.apply(&[pod(name, label)])?;
        let pod = Pod::named(&plain, name)?;
        ensure!(pod.is_meshed() == meshed, "{name}: {:?}", pod.containers());
    }
    plain.wait("pod/asked", "condition=Ready")
}

#[test]
fn a_namespace_that_refuses_wins_over_its_pods() -> Result<()> {
    let refusing = Namespace::plain("refusing")?;
    label(&refusing, api::labels::DISABLED)?;
    refusing.apply(&[pod("app", Some("true"))])?;
    let pod = Pod::named(&refusing, "app")?;
    ensure!(!pod.is_meshed(), "{:?}", pod.containers());
    Ok(())
}

/// The API server decides about labels, not a cache of ours; its own watch of namespaces lags by some milliseconds.
#[test]
fn a_label_counts_within_the_second_in_which_it_is_set() -> Result<()> {
    let namespace = Namespace::plain("labelled-now")?;
    for _ in 0..5 {
        for value in [api::labels::ENABLED, api::labels::DISABLED] {
            label(&namespace, value)?;
            eventually(value, Duration::from_secs(1), || {
                let containers = would_be(&namespace)?;
                let meshed = containers.iter().any(|name| name == api::pod::PROXY_CONTAINER);
                Ok((meshed == (value == api::labels::ENABLED)).then_some(()))
            })?;
        }
    }
    Ok(())
}

/// Containers of a pod that is not really created.
fn would_be(namespace: &Namespace) -> Result<Vec<String>> {
    let arguments = ["-n", &namespace.name, "create", "--dry-run=server", "-o", "json", "-f", "-"];
    let pod: Value = serde_json::from_str(&kubectl_stdin(&arguments, &pod("app", None).to_string())?)?;
    let lists = [&pod["spec"]["initContainers"], &pod["spec"]["containers"]];
    let containers = lists.into_iter().filter_map(Value::as_array).flatten();
    Ok(containers.filter_map(|container| container["name"].as_str().map(str::to_owned)).collect())
}

fn label(namespace: &Namespace, value: &str) -> Result<()> {
    let label = format!("{}={value}", api::labels::NAMESPACE_INJECTION);
    kubectl(&["label", "--overwrite", "namespace", &namespace.name, &label]).map(drop)
}

fn pod(name: &str, inject: Option<&str>) -> Value {
    let container = json!({"name": "fortio", "image": FORTIO_IMAGE, "args": ["server"]});
    let labels: Value = inject.map_or(json!({}), |value| json!({ api::labels::POD_INJECT: value }));
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [container]},
    })
}
