//! What a pod's creation costs at a real API server: without a webhook, with one that allows at once, and with the injector, in
//! turns. The API server's own histogram says how long it waited for each webhook; the client's clock says what was added.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use hyper::StatusCode;
use serde_json::{Value, json};
use tests::control_plane::{Client, ControlPlane, pods_path};
use tests::leftovers;

use crate::process::free_ports;
use crate::reviews;
use crate::serve::{Allow, Injector};
use crate::times::{Times, millis};

/// The manifest that a user applies.
const WEBHOOK: &str = include_str!("../../../../manifests/webhook.yaml");

const CREATIONS: usize = 500;
const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const ALLOW_ENTRY: &str = "allow.example.com";

/// One for each way, with the labels that select it.
const NAMESPACES: [(&str, &str); 3] = [("plain", "none"), ("allowed", "allow"), ("injected", "inject")];

pub(crate) async fn print() -> Result<()> {
    println!("\nCreating pods at a real API server, {CREATIONS} of each, in turns:");
    let directory = leftovers::directory("bench-injector")?;
    let control_plane = ControlPlane::start(&[]).await?;
    let mut client = control_plane.client()?;
    for (name, way) in NAMESPACES {
        let injection = if way == "inject" { api::labels::ENABLED } else { api::labels::DISABLED };
        let labels = json!({"way": way, api::labels::NAMESPACE_INJECTION: injection});
        control_plane.create_namespace(name, &labels).await?;
    }
    control_plane.create_namespace(api::control::NAMESPACE, &json!({})).await?;
    let _allow = allow(&control_plane, directory.path()).await?;
    let _injector = injector(&control_plane).await?;
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
    let ((allow, allow_calls), (ours, our_calls)) =
        (mean(ALLOW_ENTRY)?, mean(api::control::WEBHOOK_NAMESPACE_ENTRY)?);
    println!(
        "  the API server waits, mean: injector {:.2} ms ({our_calls} calls), allow at once {:.2} ms ({allow_calls}): \
         {:.2} x   wanted: <= 1.5 x",
        ours * 1e3,
        allow * 1e3,
        ours / allow
    );
    let [plain, allowed, injected] = times.map(|times| (times.median(), times.p99()));
    for ((name, _), (median, p99)) in NAMESPACES.iter().zip([plain, allowed, injected]) {
        println!("  a creation, {name:<9} p50 {}   p99 {}", millis(median), millis(p99));
    }
    let added = |way: Duration| way.as_secs_f64() - plain.0.as_secs_f64();
    println!(
        "  added to the p50: injector {:.2} ms, allow at once {:.2} ms: {:.2} x   wanted: <= 1.7 x",
        added(injected.0) * 1e3,
        added(allowed.0) * 1e3,
        added(injected.0) / added(allowed.0)
    );
    Ok(())
}

async fn allow(control_plane: &ControlPlane, directory: &std::path::Path) -> Result<Allow> {
    let namespace = NAMESPACES[1].0;
    let allow = Allow::start(directory, &format!("allow.{namespace}.svc"))?;
    control_plane.create_service(namespace, "allow", allow.port).await?;
    let mut configuration: Value = serde_saphyr::from_str(WEBHOOK).context("manifests/webhook.yaml")?;
    let entry = configuration.pointer("/webhooks/0").cloned().context("no entry")?;
    let bundle = base64::engine::general_purpose::STANDARD.encode(&allow.certificate);
    let service = json!({
        "namespace": namespace, "name": "allow", "port": allow.port, "path": api::control::WEBHOOK_NAMESPACE_PATH,
    });
    let changes = json!({
        "name": ALLOW_ENTRY,
        "clientConfig": {"caBundle": bundle, "service": service},
        "namespaceSelector": {"matchLabels": {"way": "allow"}},
    });
    let mut entry = entry;
    for (field, value) in changes.as_object().into_iter().flatten() {
        if let Some(entry) = entry.as_object_mut() {
            entry.insert(field.clone(), value.clone());
        }
    }
    configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "allow"}, "webhooks": [entry],
    });
    control_plane.client()?.create(CONFIGURATIONS, &configuration).await?;
    Ok(allow)
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

/// API servers learn of a configuration a moment after they have taken it.
async fn wait_until_called(client: &mut Client) -> Result<()> {
    let begun = Instant::now();
    loop {
        for (namespace, _) in NAMESPACES {
            // Refused as long as the bundle is not known to the API server.
            client.post(&format!("{}?dryRun=All", pods_path(namespace)), &reviews::median_pod()).await?;
        }
        let waits = waits(client).await?;
        if [ALLOW_ENTRY, api::control::WEBHOOK_NAMESPACE_ENTRY].iter().all(|entry| waits.contains_key(*entry))
        {
            return Ok(());
        }
        ensure!(begun.elapsed() < Duration::from_secs(30), "the webhooks are not called");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Creates the pods, and gives the times by namespace.
async fn create(client: &mut Client) -> Result<[Times; 3]> {
    let mut pod = reviews::median_pod();
    let mut times = [(); 3].map(|()| Vec::with_capacity(CREATIONS));
    // The ServiceAccount plugin brings its own.
    for path in ["/spec/volumes", "/spec/containers/0/volumeMounts", "/spec/tolerations"] {
        if let Some(found) = pod.pointer_mut(path) {
            *found = Value::Null;
        }
    }
    for _ in 0..CREATIONS {
        for ((namespace, way), times) in NAMESPACES.iter().zip(&mut times) {
            let path = pods_path(namespace);
            let begun = Instant::now();
            let answer = client.post(&path, &pod).await?;
            times.push(begun.elapsed());
            ensure!(answer.status == StatusCode::CREATED, "{}", answer.text());
            let injected = answer.text().contains(api::pod::PROXY_CONTAINER);
            ensure!(injected == (*way == "inject"), "in {namespace} a pod is injected: {injected}");
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
