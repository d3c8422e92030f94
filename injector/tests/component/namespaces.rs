//! What the injector knows about namespaces, from an API server that comes and goes.

use std::time::Duration;

use injector::cluster::{self, ClusterArgs, Namespaces};
use serde_json::{Value, json};
use tests::api_server::{ApiServer, namespace_path};

fn namespace(name: &str, injection: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {"istio-injection": injection},
            "annotations": {"sidecar.istio.io/proxyCPU": "1", "example.com/note": "not ours"},
        },
    })
}

/// Waits until a namespace's label is this one; an event may take a while on a busy machine.
async fn label_is(known: &Namespaces, name: &str, label: Option<&str>) {
    let found = || {
        let metadata = known.get(name);
        metadata.and_then(|metadata| metadata.labels.get("istio-injection").cloned())
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while found().as_deref() != label {
            tick.tick().await;
        }
    });
    assert!(waited.await.is_ok(), "{name}: {:?}, not {label:?}", found());
}

async fn watched(api: &ApiServer) -> (Namespaces, tokio::task::JoinHandle<()>) {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    std::fs::write(&kubeconfig, api.kubeconfig()).unwrap();
    let clients = cluster::connect(&ClusterArgs { kubeconfig: Some(kubeconfig) }).await.unwrap();
    let known = Namespaces::default();
    (known.clone(), tokio::spawn(known.watch(clients.watches)))
}

#[tokio::test]
async fn what_namespaces_say_is_followed() {
    let api = ApiServer::start().unwrap();
    api.put(&namespace_path("shop"), namespace("shop", "enabled"));
    let (known, task) = watched(&api).await;
    label_is(&known, "shop", Some("enabled")).await;
    let annotations = known.get("shop").unwrap().annotations.clone();
    assert_eq!(annotations.keys().collect::<Vec<_>>(), ["sidecar.istio.io/proxyCPU"]);
    api.put(&namespace_path("bank"), namespace("bank", "disabled"));
    label_is(&known, "bank", Some("disabled")).await;
    api.put(&namespace_path("shop"), namespace("shop", "disabled"));
    label_is(&known, "shop", Some("disabled")).await;
    api.remove(&namespace_path("bank"));
    label_is(&known, "bank", None).await;
    task.abort();
}

/// It starts late, and what was known stays known.
#[tokio::test]
async fn an_outage_leaves_what_was_known() {
    let api = ApiServer::start().unwrap();
    api.put(&namespace_path("shop"), namespace("shop", "enabled"));
    api.set_down(true);
    let (known, task) = watched(&api).await;
    api.wait_for_request("GET /api/v1/namespaces").await.unwrap();
    assert!(known.is_empty());
    api.set_down(false);
    label_is(&known, "shop", Some("enabled")).await;
    api.set_down(true);
    api.put(&namespace_path("bank"), namespace("bank", "enabled"));
    api.remove(&namespace_path("shop"));
    api.wait_for_request("GET /api/v1/namespaces").await.unwrap();
    assert!(known.get("shop").is_some() && known.get("bank").is_none());
    api.set_down(false);
    label_is(&known, "bank", Some("enabled")).await;
    label_is(&known, "shop", None).await;
    task.abort();
}
