//! Calls a webhook as the API server does: an AdmissionReview over TLS, verified by the `caBundle` of the published
//! configuration and by the Service's name, HTTP/1.1.
//!
//! It deliberately keeps nothing between calls: one review, one connection.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::{Value, json};

/// The uid of [`admission_review`]'s request.
pub const REVIEW_UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

/// The name that the API server expects in the webhook's certificate.
pub fn server_name() -> String {
    format!("{}.{}.svc", api::control::INJECTOR, api::control::NAMESPACE)
}

/// The AdmissionReview of a pod that is created in `namespace`.
pub fn admission_review(namespace: &str, pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": REVIEW_UID,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": creator(pod),
            "object": pod,
            "oldObject": null,
            "dryRun": false,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
        },
    })
}

/// Who creates such a pod: a controller, or the node whose static pod it mirrors.
fn creator(pod: &Value) -> Value {
    let annotations = pod.pointer("/metadata/annotations");
    if annotations.is_some_and(|annotations| annotations.get(api::annotations::MIRROR_POD).is_some()) {
        return json!({"username": "system:node:worker", "groups": ["system:nodes", "system:authenticated"]});
    }
    json!({
        "username": "system:serviceaccount:kube-system:replicaset-controller",
        "groups": ["system:serviceaccounts", "system:authenticated"],
    })
}

/// The PEM text of the `caBundle` of our entry in a MutatingWebhookConfiguration; `None` while nothing is published.
pub fn published_bundle(configuration: &Value) -> Option<String> {
    let entries = configuration.get("webhooks")?.as_array()?;
    let ours = entries.iter().find(|entry| {
        entry.get("name").and_then(Value::as_str) == Some(api::control::WEBHOOK_NAMESPACE_ENTRY)
    })?;
    let bundle = base64(ours.pointer("/clientConfig/caBundle")?.as_str()?).ok()?;
    String::from_utf8(bundle).ok().filter(|pem| !pem.trim().is_empty())
}

/// Reviews the creation of `pod` (its namespace is its own, or `default`) and returns the whole answer.
pub async fn review(address: SocketAddr, ca_bundle_pem: &str, pod: &Value) -> anyhow::Result<Value> {
    let namespace = pod.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default");
    let review = admission_review(namespace, pod);
    let mut connection = Connection::open(address, ca_bundle_pem).await?;
    let (status, body) =
        connection.post(api::control::WEBHOOK_NAMESPACE_PATH, review.to_string().into()).await?;
    if status != StatusCode::OK {
        bail!("the webhook answered {status}: {}", String::from_utf8_lossy(&body));
    }
    serde_json::from_slice(&body).context("the webhook's answer is not JSON")
}

/// Applies the patch of a review's answer to the pod; a denial is an error with the webhook's message.
pub fn apply(answer: &Value, pod: &Value) -> anyhow::Result<Value> {
    let response = answer.get("response").context("the answer has no response")?;
    if response.get("allowed") != Some(&Value::Bool(true)) {
        bail!("denied: {}", response.pointer("/status/message").unwrap_or(&Value::Null));
    }
    let mut patched = pod.clone();
    if let Some(patch) = response.get("patch").and_then(Value::as_str) {
        let patch: json_patch::Patch = serde_json::from_slice(&base64(patch)?)?;
        json_patch::patch(&mut patched, &patch)?;
    }
    Ok(patched)
}

/// A verified connection to a webhook, kept open between requests.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    closed: tokio::task::JoinHandle<()>,
}

impl Connection {
    /// Connects and verifies the served chain by the bundle and [`server_name`].
    pub async fn open(address: SocketAddr, ca_bundle_pem: &str) -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_bundle_pem.as_bytes()) {
            roots.add(certificate.context("caBundle is not PEM")?).context("caBundle")?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = tokio::net::TcpStream::connect(address).await.context("connect to the webhook")?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream =
            connector.connect(ServerName::try_from(server_name())?, stream).await.context("handshake")?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let closed = tokio::spawn(async move {
            // However the connection ends, a request that needed it has its own error.
            let _ = connection.await;
        });
        Ok(Self { sender, closed })
    }

    /// Sends one request and returns the answer's status and body.
    pub async fn post(&mut self, path: &str, body: Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
        let request = Request::post(path)
            .header("host", server_name())
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        self.send(request).await.map(|response| (response.status(), response.into_body()))
    }

    /// Sends any request.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<hyper::Response<Bytes>> {
        self.sender.ready().await.context("the connection is closed")?;
        let (parts, body) = self.sender.send_request(request).await?.into_parts();
        Ok(hyper::Response::from_parts(parts, body.collect().await?.to_bytes()))
    }

    /// Returns when the webhook has closed the connection.
    pub async fn closed(self) {
        drop(self.sender);
        let _ = self.closed.await;
    }
}

/// Standard base64 with padding, the one form in which the API server takes a patch.
fn base64(text: &str) -> anyhow::Result<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).context("the patch is not base64")
}
