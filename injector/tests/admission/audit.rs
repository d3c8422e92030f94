//! The API server's own record of which entries it called for which pod: its audit events, sent to us one by one before it
//! answers (`blocking`), so that whoever has an answer need not wait for the event.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A receiver of audit events, switched on by the API server's arguments.
pub(crate) struct Audit {
    directory: TempDir,
    events: Arc<Mutex<Vec<Value>>>,
}

/// Namespace and name of a pod.
pub(crate) type Key = (String, String);

impl Audit {
    /// Receives on a port of the kernel's choice, on this runtime.
    pub(crate) async fn start() -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(axum::serve(listener, receiver(events.clone())).into_future());
        let directory = tempfile::tempdir().expect("a directory");
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "Metadata", "verbs": ["create"], "resources": [{"group": "", "resources": ["pods"]}]},
                {"level": "None"},
            ],
        });
        let cluster = json!({"name": "us", "cluster": {"server": format!("http://127.0.0.1:{port}/")}});
        let receiver = json!({
            "apiVersion": "v1", "kind": "Config", "clusters": [cluster],
            "contexts": [{"name": "us", "context": {"cluster": "us"}}], "current-context": "us",
        });
        for (file, content) in [("policy.yaml", policy), ("receiver.yaml", receiver)] {
            std::fs::write(directory.path().join(file), content.to_string()).expect("a file");
        }
        Self { directory, events }
    }

    /// For the API server.
    pub(crate) fn arguments(&self) -> [String; 3] {
        let path = |file: &str| self.directory.path().join(file).display().to_string();
        [
            format!("--audit-policy-file={}", path("policy.yaml")),
            format!("--audit-webhook-config-file={}", path("receiver.yaml")),
            "--audit-webhook-mode=blocking".to_owned(),
        ]
    }

    /// The entries that were called for each pod, in their order.
    pub(crate) fn called(&self) -> HashMap<Key, Vec<String>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(called).collect()
    }
}

fn receiver(events: Arc<Mutex<Vec<Value>>>) -> Router {
    let take = move |body: axum::Json<Value>| async move {
        let list = body.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        events.lock().unwrap_or_else(PoisonError::into_inner).extend(list);
    };
    Router::new().route("/", post(take)).layer(DefaultBodyLimit::disable())
}

fn called(event: &Value) -> Option<(Key, Vec<String>)> {
    let text = |pointer: &str| Some(event.pointer(pointer)?.as_str()?.to_owned());
    let mut called = Vec::new();
    for (key, value) in event.get("annotations").and_then(Value::as_object).into_iter().flatten() {
        if key.starts_with("mutation.webhook.admission.k8s.io/") {
            let told: Value = serde_json::from_str(value.as_str()?).ok()?;
            called.push((key.clone(), told["webhook"].as_str()?.to_owned()));
        }
    }
    called.sort();
    let called = called.into_iter().map(|(_, webhook)| webhook).collect();
    Some(((text("/objectRef/namespace")?, text("/objectRef/name")?), called))
}
