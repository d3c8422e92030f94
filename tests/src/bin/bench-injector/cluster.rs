//! What a pod's creation costs at a real API server: without a webhook, with one that allows at once, with one that at once
//! adds an annotation, with one that at once answers the injector's patch, and with the injector, in turns. The API server's own
//! histogram says how long each webhook took it, the application of its patch included; the client's clock says what was added.
//! What any patch costs the API server itself shows in the third, and what one of this size does in the fourth.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use hyper::StatusCode;
use serde_json::{Value, json};
use tests::control_plane::{Client, ControlPlane, pods_path};
use tests::webhook::{self, published_bundle};

use crate::process::{free_ports, local};
use crate::reviews;
use crate::serve::{Allow, Injector};
use crate::times::{Times, millis};

/// The manifest that a user applies.
const WEBHOOK: &str = include_str!("../../../../manifests/webhook.yaml");

const CREATIONS: usize = 500;
const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// One for each way.
const PLAIN: &str = "plain";
const ALLOWED: &str = "allowed";
const TOUCHED: &str = "touched";
const PATCHED: &str = "patched";
const INJECTED: &str = "injected";
const NAMESPACES: [&str; 5] = [PLAIN, ALLOWED, TOUCHED, PATCHED, INJECTED];

/// The namespaces of our own webhooks, whose entries are named like them.
const AT_ONCE: [&str; 3] = [ALLOWED, TOUCHED, PATCHED];

/// The smallest patch of a pod without annotations.
const TOUCH: &str = r#"[{"op":"add","path":"/metadata/annotations","value":{"example.com/touched":"yes"}}]"#;

pub(crate) async fn print() -> Result<()> {
    println!("\nCreating pods at a real API server, {CREATIONS} of each, in turns:");
    let control_plane = ControlPlane::start(&[]).await?;
    let mut client = control_plane.client()?;
    for name in NAMESPACES {
        let injection = if name == INJECTED { api::labels::ENABLED } else { api::labels::DISABLED };
        let labels = json!({api::labels::NAMESPACE_INJECTION: injection});
        control_plane.create_namespace(name, &labels).await?;
    }
    control_plane.create_namespace(api::control::NAMESPACE, &json!({})).await?;
    let injector = injector(&control_plane).await?;
    let patch = patch(&mut client, injector.webhook).await?;
    let touch = base64::engine::general_purpose::STANDARD.encode(TOUCH);
    let with = |patch: &str| format!(",\"patchType\":\"JSONPatch\",\"patch\":\"{patch}\"");
    let _at_once = [
        at_once(&control_plane, ALLOWED, "").await?,
        at_once(&control_plane, TOUCHED, &with(&touch)).await?,
        at_once(&control_plane, PATCHED, &with(&patch)).await?,
    ];
    wait_until_called(&mut client).await?;
    let before = waits(&mut client).await?;
    let times = create(&mut client).await?;
    let after = waits(&mut client).await?;
    let mean = |entry: &str| -> Result<(f64, f64)> {
        let [before, after] = [&before, &after].map(|waits| waits.get(entry).copied().unwrap_or_default());
        let calls = after.1 - before.1;
        ensure!(calls >= CREATIONS as f64, "{entry} was called {calls} times");
        Ok(((after.0 - before.0) / calls, calls))
    };
    let (allow, _) = mean(&entry(ALLOWED))?;
    for (name, entry) in [
        ("allow at once", entry(ALLOWED)),
        ("touch at once", entry(TOUCHED)),
        ("patch at once", entry(PATCHED)),
        ("injector", api::control::WEBHOOK_NAMESPACE_ENTRY.to_owned()),
    ] {
        let (mean, calls) = mean(&entry)?;
        let (mean, ratio) = (mean * 1e3, mean / allow);
        println!("  the API server waits, {name:<13} mean {mean:.2} ms, {calls} calls: {ratio:.2} x");
    }
    println!("    wanted: <= 1.5 x");
    let [plain, allowed, ..] = &times;
    let added = |way: &Times| way.median().as_secs_f64() - plain.median().as_secs_f64();
    for (name, times) in NAMESPACES.iter().zip(&times) {
        println!(
            "  a creation, {name:<8} p50 {}, p99 {}; added to the p50 {:.2} ms: {:.2} x",
            millis(times.median()),
            millis(times.p99()),
            added(times) * 1e3,
            added(times) / added(allowed)
        );
    }
    println!("    wanted: <= 1.7 x");
    Ok(())
}

/// The name of a webhook of ours.
fn entry(namespace: &str) -> String {
    format!("{namespace}.example.com")
}

/// What the injector answers for the pod, as it stands in the answer.
async fn patch(client: &mut Client, webhook: u16) -> Result<String> {
    let path = format!("{CONFIGURATIONS}/{}", api::control::WEBHOOK_CONFIGURATION);
    let bundle = published_bundle(&client.get(&path).await?.object()?).context("no bundle is published")?;
    // As the API server sends it, after its own plugins.
    let sent = client.post(&format!("{}?dryRun=All", pods_path(PLAIN)), &pod()).await?.object()?;
    let answer = webhook::review(local(webhook), &bundle, &sent).await?;
    let patch = answer.pointer("/response/patch").and_then(Value::as_str);
    patch.map(str::to_owned).with_context(|| format!("no patch: {answer}"))
}

async fn at_once(control_plane: &ControlPlane, namespace: &str, rest: &str) -> Result<Allow> {
    let webhook = Allow::start(&format!("allow.{namespace}.svc"), rest)?;
    control_plane.create_service(namespace, "allow", webhook.port).await?;
    let service = json!({
        "namespace": namespace, "name": "allow", "port": webhook.port, "path": api::control::WEBHOOK_NAMESPACE_PATH,
    });
    let bundle = base64::engine::general_purpose::STANDARD.encode(&webhook.certificate);
    let configuration: Value = serde_saphyr::from_str(WEBHOOK).context("manifests/webhook.yaml")?;
    let mut ours = configuration.pointer("/webhooks/0").cloned().context("no entry")?;
    let changes = json!({
        "name": entry(namespace),
        "clientConfig": {"caBundle": bundle, "service": service},
        "namespaceSelector": {"matchLabels": {api::labels::NAMESPACE_NAME: namespace}},
    });
    if let (Some(ours), Value::Object(changes)) = (ours.as_object_mut(), changes) {
        ours.extend(changes);
    }
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": namespace}, "webhooks": [ours],
    });
    control_plane.client()?.create(CONFIGURATIONS, &configuration).await?;
    Ok(webhook)
}

async fn injector(control_plane: &ControlPlane) -> Result<Injector> {
    let [port] = free_ports()?;
    control_plane.create_service(api::control::NAMESPACE, api::control::INJECTOR, port).await?;
    let mut configuration: Value = serde_saphyr::from_str(WEBHOOK).context("manifests/webhook.yaml")?;
    let entries =
        configuration.pointer_mut("/webhooks").and_then(Value::as_array_mut).context("no entries")?;
    for entry in entries {
        if let Some(found) = entry.pointer_mut("/clientConfig/service/port") {
            *found = port.into();
        }
    }
    control_plane.client()?.create(CONFIGURATIONS, &configuration).await?;
    Injector::start(&control_plane.kubeconfig_path(), port).await
}

/// API servers learn of a configuration a moment after they have taken it, and announce it nowhere; so they are asked until
/// they do.
async fn wait_until_called(client: &mut Client) -> Result<()> {
    let begun = Instant::now();
    loop {
        for namespace in NAMESPACES {
            // Refused as long as the bundle is not known to the API server.
            client.post(&format!("{}?dryRun=All", pods_path(namespace)), &pod()).await?;
        }
        let waits = waits(client).await?;
        let entries =
            AT_ONCE.map(entry).into_iter().chain([api::control::WEBHOOK_NAMESPACE_ENTRY.to_owned()]);
        if entries.into_iter().all(|entry| waits.contains_key(&entry)) {
            return Ok(());
        }
        ensure!(begun.elapsed() < Duration::from_secs(30), "the webhooks are not called");
    }
}

/// The pod without what the ServiceAccount plugin and its siblings bring.
fn pod() -> Value {
    let mut pod = reviews::median_pod();
    for path in ["/spec/volumes", "/spec/containers/0/volumeMounts", "/spec/tolerations"] {
        if let Some(found) = pod.pointer_mut(path) {
            *found = Value::Null;
        }
    }
    pod
}

/// Creates the pods, and gives the times by namespace.
async fn create(client: &mut Client) -> Result<[Times; NAMESPACES.len()]> {
    let pod = pod();
    let mut times = [(); NAMESPACES.len()].map(|()| Vec::with_capacity(CREATIONS));
    for _ in 0..CREATIONS {
        for (namespace, times) in NAMESPACES.iter().zip(&mut times) {
            let path = pods_path(namespace);
            let begun = Instant::now();
            let answer = client.post(&path, &pod).await?;
            times.push(begun.elapsed());
            ensure!(answer.status == StatusCode::CREATED, "{}", answer.text());
            let (wanted, found) =
                ([PATCHED, INJECTED].contains(namespace), answer.text().contains(api::pod::PROXY_CONTAINER));
            ensure!(wanted == found, "in {namespace} a pod is injected: {found}");
        }
    }
    Ok(times.map(Times::new))
}

/// Sum and count, by entry, of the seconds that the API server has waited.
async fn waits(client: &mut Client) -> Result<BTreeMap<String, (f64, f64)>> {
    let text = client.get("/metrics").await?.text();
    let mut found = BTreeMap::<String, (f64, f64)>::new();
    for line in text
        .lines()
        .filter_map(|line| line.strip_prefix("apiserver_admission_webhook_admission_duration_seconds_"))
    {
        let Some((kind, rest)) = line.split_once('{') else { continue };
        let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
        let name = labels.split(',').find_map(|label| label.strip_prefix("name=\"")?.strip_suffix('"'));
        let (Some(name), Ok(value)) = (name, value.parse::<f64>()) else { continue };
        let entry = found.entry(name.to_owned()).or_default();
        match kind {
            "sum" => entry.0 += value,
            "count" => entry.1 += value,
            _ => {}
        }
    }
    Ok(found)
}
