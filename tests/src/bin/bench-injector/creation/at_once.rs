//! The webhooks that answer at once: what they answer, and how the API server is told of them. They are called like the
//! injector is: the same entry, for another namespace.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tests::control_plane::Client;

use super::{CONFIGURATIONS, WEBHOOK, Way};

/// The smallest patch of a pod without annotations.
const TOUCH: &str = r#"[{"op":"add","path":"/metadata/annotations","value":{"example.com/touched":"yes"}}]"#;

/// What follows the uid in its answers, where this is the injector's patch.
pub(super) fn rest(way: Way, patch: &str) -> String {
    let with = |patch: &str| format!(",\"patchType\":\"JSONPatch\",\"patch\":\"{patch}\"");
    match way {
        Way::Touched => with(&STANDARD.encode(TOUCH)),
        Way::Patched => with(patch),
        Way::Plain | Way::Written | Way::Allowed | Way::Injected => String::new(),
    }
}

/// Where the API server finds one.
pub(super) struct Service<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) port: u16,
    pub(super) certificate: &'a str,
}

/// Has the API server call it.
pub(super) async fn configure(client: &mut Client, way: Way, service: &Service<'_>) -> Result<()> {
    let configuration: Value = serde_saphyr::from_str(WEBHOOK).context("manifests/webhook.yaml")?;
    let mut ours = configuration.pointer("/webhooks/0").cloned().context("no entry")?;
    let reference = json!({
        "namespace": service.namespace, "name": service.name, "port": service.port,
        "path": api::control::WEBHOOK_NAMESPACE_PATH,
    });
    let changes = json!({
        "name": way.entry(),
        "clientConfig": {"caBundle": STANDARD.encode(service.certificate), "service": reference},
        "namespaceSelector": {"matchLabels": {api::labels::NAMESPACE_NAME: way.namespace()}},
    });
    if let (Some(ours), Value::Object(changes)) = (ours.as_object_mut(), changes) {
        ours.extend(changes);
    }
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": way.namespace()}, "webhooks": [ours],
    });
    client.create(CONFIGURATIONS, &configuration).await.map(drop)
}
