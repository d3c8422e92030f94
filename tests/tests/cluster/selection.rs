//! By which label a pod is injected, with namespaces that people label while pods come.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::cluster::{FORTIO_IMAGE, Namespace, Pod, kubectl};

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

/// The API server decides about labels, not a cache of ours.
#[test]
fn a_label_counts_for_the_pod_that_is_created_next() -> Result<()> {
    let namespace = Namespace::plain("labelled-now")?;
    for round in 0..10 {
        for value in [api::labels::ENABLED, api::labels::DISABLED] {
            label(&namespace, value)?;
            let name = format!("{value}-{round}");
            namespace.apply(&[pod(&name, None)])?;
            let pod = Pod::named(&namespace, &name)?;
            ensure!(pod.is_meshed() == (value == api::labels::ENABLED), "{name}: {:?}", pod.containers());
        }
    }
    Ok(())
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
