//! Other webhooks, before us and after us: what they do to a pod is kept, and what they do to ours is put right.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Json;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use injector::webhook::{self, ServerTiming};
use runtime::shutdown::{self, Trigger};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use crate::mesh::{CONFIGURATIONS, Mesh, until};

const NAMESPACE: &str = "shop";

/// A webhook of somebody else; it ends with this.
struct Foreign {
    configuration: Value,
    trigger: Trigger,
}

/// JSON patch for a pod; nothing where it is content.
type Change = fn(&Value) -> Value;

impl Foreign {
    /// Starts one whose configuration has this name; webhooks are called in the order of names.
    fn start(name: &str, change: Change) -> Self {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let tls =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![own.cert.der().clone()], key)
                .unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port());
        let answer = move |Json(review): Json<Value>| async move {
            let patch = STANDARD.encode(change(&review["request"]["object"]).to_string());
            let uid = &review["request"]["uid"];
            let response = json!({"uid": uid, "allowed": true, "patchType": "JSONPatch", "patch": patch});
            Json(
                json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}),
            )
        };
        let timing = ServerTiming {
            connection_age: Duration::from_secs(60),
            shutdown_delay: Duration::ZERO,
            finish: Duration::from_secs(1),
        };
        let (trigger, shutdown) = shutdown::channel();
        let router = Router::new().route("/", post(answer));
        let metrics = webhook::WebhookMetrics::new(&runtime::metrics::Metrics::default());
        tokio::spawn(webhook::serve(vec![listener], Arc::new(tls), (router, metrics), timing, shutdown));
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [{
                "name": format!("{name}.example.com"),
                "clientConfig": {"url": url, "caBundle": STANDARD.encode(own.cert.pem())},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
                "sideEffects": "None", "reinvocationPolicy": "IfNeeded", "admissionReviewVersions": ["v1"],
            }],
        });
        Self { configuration, trigger }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.trigger.request();
    }
}

/// A pod as it is after both, once the API server calls the foreign one: it has left a container everywhere.
async fn admitted(name: &str, change: Change) -> Value {
    let mesh = Mesh::start(&json!({}), &[]).await;
    let labels = json!({"istio-injection": "enabled"});
    mesh.control_plane.create_namespace(NAMESPACE, &labels).await.unwrap();
    let foreign = Foreign::start(name, change);
    mesh.client().create(CONFIGURATIONS, &foreign.configuration).await.unwrap();
    let seen = |pod: &Value| pod["metadata"]["annotations"]["example.com/seen"] == "true";
    until("pod that the other one has seen", async || mesh.create(NAMESPACE).await.ok().filter(seen)).await
}

fn names(pod: &Value, field: &str) -> Vec<String> {
    let items = pod["spec"][field].as_array().into_iter().flatten();
    items.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

fn has(pod: &Value, field: &str, name: &str) -> bool {
    names(pod, field).iter().any(|one| one == name)
}

/// Adds itself as the very first init container and as a sidecar, each once.
fn wants_to_be_first(pod: &Value) -> Value {
    let mut patch = vec![seen(pod)];
    if !has(pod, "initContainers", "vault-init") {
        let container = json!({"name": "vault-init", "image": "example.com/vault"});
        patch.push(match pod["spec"]["initContainers"].as_array() {
            Some(_) => json!({"op": "add", "path": "/spec/initContainers/0", "value": container}),
            None => json!({"op": "add", "path": "/spec/initContainers", "value": [container]}),
        });
    }
    if !has(pod, "containers", "vault") {
        let container = json!({"name": "vault", "image": "example.com/vault"});
        patch.push(json!({"op": "add", "path": "/spec/containers/-", "value": container}));
    }
    json!(patch)
}

/// Built on an API that knows no native sidecars: what it does not know is gone from what it writes.
fn knows_no_native_sidecars(pod: &Value) -> Value {
    let mut patch = vec![seen(pod)];
    for (index, container) in pod["spec"]["initContainers"].as_array().into_iter().flatten().enumerate() {
        for field in ["restartPolicy", "startupProbe", "lifecycle"] {
            // Once: it would go on for ever otherwise.
            if container.get(field).is_some()
                && pod["metadata"]["annotations"].get("example.com/seen").is_none()
            {
                patch.push(json!({"op": "remove", "path": format!("/spec/initContainers/{index}/{field}")}));
            }
        }
    }
    json!(patch)
}

fn seen(pod: &Value) -> Value {
    match pod["metadata"].get("annotations") {
        Some(_) => json!({"op": "add", "path": "/metadata/annotations/example.com~1seen", "value": "true"}),
        None => json!({"op": "add", "path": "/metadata/annotations", "value": {"example.com/seen": "true"}}),
    }
}

fn assert_ours_come_first(pod: &Value) {
    let (init, proxy) = (api::pod::INIT_CONTAINER, api::pod::PROXY_CONTAINER);
    assert_eq!(names(pod, "initContainers"), [init, proxy, "vault-init"]);
    assert_eq!(names(pod, "containers"), ["app", "vault"]);
}

#[tokio::test]
async fn another_webhook_before_us_keeps_its_containers() {
    assert_ours_come_first(&admitted("a-vault", wants_to_be_first).await);
}

#[tokio::test]
async fn another_webhook_after_us_keeps_its_containers() {
    assert_ours_come_first(&admitted("z-vault", wants_to_be_first).await);
}

#[tokio::test]
async fn what_another_webhook_takes_from_us_is_put_back() {
    let pod = admitted("z-old", knows_no_native_sidecars).await;
    let proxy = &pod["spec"]["initContainers"][1];
    assert_eq!(proxy["name"], api::pod::PROXY_CONTAINER);
    assert_eq!(proxy["restartPolicy"], "Always");
    assert!(proxy["startupProbe"].is_object(), "{proxy}");
}

#[tokio::test]
async fn an_unlabelled_namespace_is_not_ours_whatever_another_webhook_does() {
    let mesh = Mesh::start(&json!({}), &[]).await;
    mesh.control_plane.create_namespace("plain", &json!({})).await.unwrap();
    let foreign = Foreign::start("z-vault", wants_to_be_first);
    mesh.client().create(CONFIGURATIONS, &foreign.configuration).await.unwrap();
    let seen = until("pod that the other one has seen", async || {
        mesh.create("plain").await.ok().filter(|pod| has(pod, "containers", "vault"))
    });
    assert_eq!(names(&seen.await, "initContainers"), ["vault-init"]);
}
