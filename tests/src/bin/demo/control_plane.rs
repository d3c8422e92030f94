//! The control plane: a scripted API server, and the injector as its own Deployment's manifest describes it. Admission is
//! what the real API server does: selectors first, then a call that verifies the injector by the published `caBundle`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use serde_json::{Value, json};
use tests::api_server::{ApiServer, webhook_configuration_path};
use tests::netns::Node;
use tests::pod::{Kubelet, Pod};
use tests::webhook;

/// The manifests that a user applies.
const DEPLOYMENT: &str = include_str!("../../../../manifests/deployment.yaml");
const WEBHOOK: &str = include_str!("../../../../manifests/webhook.yaml");

/// Where the injector finds the API server. In a cluster its service account says so.
const KUBECONFIG: &str = "kubeconfig";

const CONFIGURATION: &str = include_str!("../../../../manifests/config.yaml");

/// A running control plane.
pub(crate) struct ControlPlane<'a> {
    api: ApiServer,
    kubelet: &'a Kubelet<'a>,
    node: &'a Node,
    bundle: String,
    pub(crate) injector: Pod<'a>,
}

/// Starts the API server; its kubeconfig has to be among the kubelet's ConfigMaps before the injector starts.
pub(crate) fn api_server(node: &Node) -> Result<(ApiServer, BTreeMap<String, String>)> {
    let api = node.netns.run(ApiServer::start)??;
    let path = webhook_configuration_path(api::control::WEBHOOK_CONFIGURATION);
    api.put(&path, serde_saphyr::from_str(WEBHOOK).context("manifests/webhook.yaml")?);
    let files = BTreeMap::from([("config".to_owned(), kubeconfig(&api)?)]);
    Ok((api, files))
}

/// With a certificate authority, as every cluster's has one. The scripted API server speaks plain HTTP and so never shows
/// it, but without one a client looks for the machine's, and in an image from scratch there is none.
fn kubeconfig(api: &ApiServer) -> Result<String> {
    let mut config: Value = serde_json::from_str(&api.kubeconfig()).context("the kubeconfig")?;
    let cluster =
        config.pointer_mut("/clusters/0/cluster").and_then(Value::as_object_mut).context("no cluster")?;
    let authority = rcgen::generate_simple_self_signed(["kubernetes".to_owned()]).context("a certificate")?;
    let authority = base64::engine::general_purpose::STANDARD.encode(authority.cert.pem());
    cluster.insert("certificate-authority-data".to_owned(), authority.into());
    Ok(config.to_string())
}

/// The ConfigMap with the injector's configuration: its name and its files.
pub(crate) fn configuration() -> Result<(String, BTreeMap<String, String>)> {
    let map: Value = serde_saphyr::from_str(CONFIGURATION).context("manifests/config.yaml")?;
    let name = map.pointer("/metadata/name").and_then(Value::as_str).context("the ConfigMap has no name")?;
    let files = map.get("data").cloned().context("the ConfigMap has no data")?;
    Ok((name.to_owned(), serde_json::from_value(files).context("the ConfigMap's data")?))
}

/// The name of the ConfigMap with the kubeconfig.
pub(crate) fn kubeconfig_name() -> String {
    KUBECONFIG.to_owned()
}

impl<'a> ControlPlane<'a> {
    /// Runs the injector until it is ready, and takes the `caBundle` that it published.
    pub(crate) fn start(api: ApiServer, kubelet: &'a Kubelet<'a>, node: &'a Node) -> Result<Self> {
        let mut injector = kubelet.run(&injector_pod()?, node).context("the injector's pod")?;
        injector.wait_ready()?;
        let path = webhook_configuration_path(api::control::WEBHOOK_CONFIGURATION);
        let configuration = api.get(&path).context("the webhook configuration is gone")?;
        let bundle = webhook::published_bundle(&configuration)
            .context("the injector says that it is ready, and its caBundle is not published")?;
        Ok(Self { api, kubelet, node, bundle, injector })
    }

    /// Number of certificates in the published `caBundle`.
    pub(crate) fn certificates(&self) -> usize {
        self.bundle.matches("BEGIN CERTIFICATE").count()
    }

    /// Whether the API server would call the webhook for this pod.
    pub(crate) fn selects(&self, namespace_labels: &Value, pod: &Value) -> Result<bool> {
        let path = webhook_configuration_path(api::control::WEBHOOK_CONFIGURATION);
        let configuration = self.api.get(&path).context("the webhook configuration is gone")?;
        let entry = configuration.pointer("/webhooks/0").context("the configuration has no entry")?;
        let labels = pod.pointer("/metadata/labels").cloned().unwrap_or_default();
        Ok(matches(entry.get("namespaceSelector"), namespace_labels)?
            && matches(entry.get("objectSelector"), &labels)?)
    }

    /// Calls the webhook as the API server does, and applies the patch of its answer.
    pub(crate) fn admit(&self, pod: &Value) -> Result<Value> {
        let address = (self.node.v4, api::ports::WEBHOOK).into();
        let answer = self.kubelet.switch.netns().run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(webhook::review(address, &self.bundle, pod))
        })?;
        webhook::apply(&answer.context("the webhook call")?, pod)
    }
}

/// Chooses how the init containers install the rules, as it does for the end-to-end tests: nft, iptables-nft or
/// iptables-legacy.
const BACKEND: &str = "BACKEND";

/// The pod that the Deployment would make, with a kubeconfig in place of a service account.
fn injector_pod() -> Result<Value> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(DEPLOYMENT).context("manifests/deployment.yaml")?;
    let deployment = documents.iter().find(|document| document.get("kind") == Some(&"Deployment".into()));
    let deployment = deployment.context("manifests/deployment.yaml has no Deployment")?;
    let mut pod = deployment.pointer("/spec/template").cloned().context("the Deployment has no template")?;
    let add = |value: &mut Value, list: &str, new: Value| {
        value
            .get_mut(list)
            .and_then(Value::as_array_mut)
            .with_context(|| format!("there is no list {list}"))
            .map(|items| items.push(new))
    };
    let set = |value: &mut Value, key: &str, new: Value| {
        value
            .as_object_mut()
            .map(|object| object.insert(key.to_owned(), new))
            .context("not an object")
            .map(drop)
    };
    let metadata = pod.get_mut("metadata").context("the template has no metadata")?;
    set(metadata, "name", format!("{}-0", api::control::INJECTOR).into())?;
    set(metadata, "namespace", api::control::NAMESPACE.into())?;
    let spec = pod.get_mut("spec").context("the template has no spec")?;
    add(spec, "volumes", json!({"name": KUBECONFIG, "configMap": {"name": KUBECONFIG}}))?;
    let container = spec.pointer_mut("/containers/0").context("the template has no container")?;
    let mount = json!({"name": KUBECONFIG, "mountPath": "/kubeconfig", "readOnly": true});
    add(container, "volumeMounts", mount)?;
    add(container, "env", json!({"name": "KUBECONFIG", "value": "/kubeconfig/config"}))?;
    if let Ok(backend) = std::env::var(BACKEND) {
        add(container, "env", json!({"name": api::env::REDIRECT_BACKEND, "value": backend}))?;
    }
    Ok(pod)
}

/// A label selector's expressions, all of which must hold.
fn matches(selector: Option<&Value>, labels: &Value) -> Result<bool> {
    let expressions =
        selector.and_then(|selector| selector.get("matchExpressions")).and_then(Value::as_array);
    for expression in expressions.into_iter().flatten() {
        let key = expression.get("key").and_then(Value::as_str).context("an expression without key")?;
        let values =
            expression.get("values").and_then(Value::as_array).context("an expression without values")?;
        let within = labels.get(key).is_some_and(|value| values.contains(value));
        let holds = match expression.get("operator").and_then(Value::as_str) {
            Some("In") => within,
            Some("NotIn") => !within,
            other => bail!("the demo does not know the operator {other:?}"),
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}
