//! What a pod's creation costs at a real API server: without a webhook, with one that allows at once, with one that at once
//! adds an annotation, with one that at once answers the injector's patch, and with the injector, in turns. The API server's own
//! histogram says how long each webhook took it, the application of its patch included; the client's clock says what was added.
//!
//! What no injector can save shows beside it: what any patch costs the API server, what one of this size does, and what a pod
//! costs that somebody has written as it is after the injection.
//!
//! `control_plane` and `cluster` are where it is measured, `at_once` what the injector is measured against.

mod at_once;
mod cluster;
mod control_plane;
mod report;
mod waits;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::StatusCode;
use injector::inject::{Matched, Settings};
use serde_json::{Value, json};
use tests::control_plane::{Client, pods_path};
use tests::webhook::admission_review;

use crate::reviews;

pub(crate) use cluster::print as print_on_cluster;
pub(crate) use control_plane::print as print_on_control_plane;

/// The manifest that a user applies.
const WEBHOOK: &str = include_str!("../../../../../manifests/webhook.yaml");

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// Pods of each way, in blocks that show how much the figures differ from moment to moment.
const BLOCKS: usize = 5;
const BLOCK: usize = 100;

/// A way to create a pod. Each has a namespace of its own, which is called like it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Plain,
    /// As it is after the injection, and without a webhook.
    Written,
    Allowed,
    Touched,
    Patched,
    Injected,
}

impl Way {
    const ALL: [Self; 6] =
        [Self::Plain, Self::Written, Self::Allowed, Self::Touched, Self::Patched, Self::Injected];
    /// Those with a webhook of ours.
    const AT_ONCE: [Self; 3] = [Self::Allowed, Self::Touched, Self::Patched];

    fn namespace(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Written => "written",
            Self::Allowed => "allowed",
            Self::Touched => "touched",
            Self::Patched => "patched",
            Self::Injected => "injected",
        }
    }

    fn labels(self) -> Value {
        let injection = if self == Self::Injected { api::labels::ENABLED } else { api::labels::DISABLED };
        json!({api::labels::NAMESPACE_INJECTION: injection})
    }

    /// The webhook that is called, by the name of its entry.
    fn entry(self) -> Option<String> {
        match self {
            Self::Plain | Self::Written => None,
            Self::Allowed | Self::Touched | Self::Patched => {
                Some(format!("{}.example.com", self.namespace()))
            }
            Self::Injected => Some(api::control::WEBHOOK_NAMESPACE_ENTRY.to_owned()),
        }
    }

    fn is_injected(self) -> bool {
        matches!(self, Self::Written | Self::Patched | Self::Injected)
    }
}

/// What was measured of each way while [`BLOCK`] pods of it were created.
type Block = [Measured; Way::ALL.len()];

#[derive(Clone, Debug, Default)]
struct Measured {
    /// How long each creation took its client.
    creations: Vec<Duration>,
    /// How long, in all, the API server waited for the webhook.
    waited: waits::Waited,
}

/// What was measured.
struct Measurement {
    blocks: Vec<Block>,
    /// Of the time that the API server waited for the injector, what the injector itself has counted.
    computed: waits::Waited,
}

/// Creates the pods, once all webhooks are called. `metrics` are those of all injectors.
async fn measure(client: &mut Client, metrics: impl AsyncFn() -> Result<String>) -> Result<Measurement> {
    wait_until_called(client).await?;
    let pods = [pod(), written(client).await?];
    let mut blocks = Vec::with_capacity(BLOCKS);
    let computed = waits::computed(&metrics().await?);
    let mut before = waits::all(client).await?;
    for _ in 0..BLOCKS {
        let mut block = create(client, &pods).await?;
        let after = waits::all(client).await?;
        for (way, measured) in Way::ALL.into_iter().zip(&mut block) {
            let Some(entry) = way.entry() else { continue };
            let of = |all: &waits::Waits| all.get(&entry).copied().unwrap_or_default();
            measured.waited = of(&after).since(of(&before));
            let calls = measured.waited.calls;
            ensure!(calls >= BLOCK as f64, "{entry} was called {calls} times for {BLOCK} pods");
        }
        blocks.push(block);
        before = after;
    }
    Ok(Measurement { blocks, computed: waits::computed(&metrics().await?).since(computed) })
}

/// API servers learn of a configuration a moment after they have taken it, nodes of a Service likewise, and neither announces
/// it; so they are asked until they have.
async fn wait_until_called(client: &mut Client) -> Result<()> {
    let begun = Instant::now();
    loop {
        let mut created = true;
        for way in Way::ALL {
            // Refused as long as the bundle is not known to the API server.
            created &= client.post(&dry_run(way), &pod()).await?.status.is_success();
        }
        let waits = waits::all(client).await?;
        if created && Way::ALL.into_iter().filter_map(Way::entry).all(|entry| waits.contains_key(&entry)) {
            return Ok(());
        }
        ensure!(begun.elapsed() < Duration::from_secs(30), "the webhooks are not called");
    }
}

/// A pod of every way, then the next of every way, so that all see the same machine; each time another begins.
async fn create(client: &mut Client, [pod, written]: &[Value; 2]) -> Result<Block> {
    let mut block = Block::default();
    for turn in 0..BLOCK {
        let mut ways: Vec<_> = Way::ALL.into_iter().zip(&mut block).collect();
        ways.rotate_left(turn % Way::ALL.len());
        for (way, measured) in ways {
            let path = pods_path(way.namespace());
            let pod = if way == Way::Written { written } else { pod };
            let begun = Instant::now();
            let answer = client.post(&path, pod).await?;
            measured.creations.push(begun.elapsed());
            ensure!(answer.status == StatusCode::CREATED, "{}", answer.text());
            let found = answer.text().contains(api::pod::PROXY_CONTAINER);
            ensure!(found == way.is_injected(), "{way:?}: a pod is injected: {found}");
        }
    }
    Ok(block)
}

/// The pod as it is after the injection.
async fn written(client: &mut Client) -> Result<Value> {
    let mut written = client.post(&dry_run(Way::Injected), &pod()).await?.object()?;
    if let Some(metadata) = written.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| ["generateName", "labels", "annotations"].contains(&field.as_str()));
    }
    Ok(written)
}

fn dry_run(way: Way) -> String {
    format!("{}?dryRun=All", pods_path(way.namespace()))
}

/// What the injector answers for the pod, as it stands in the answer. Asked for before the way has its webhook.
async fn patch(client: &mut Client) -> Result<String> {
    // As the API server sends it, after its own plugins.
    let sent = client.post(&dry_run(Way::Patched), &pod()).await?.object()?;
    let review = admission_review(Way::Patched.namespace(), &sent).to_string();
    let answer = injector::webhook::replay(review.as_bytes(), Matched::Namespace, &Settings::default());
    let answer: Value = serde_json::from_slice(&answer.map_err(anyhow::Error::msg)?)?;
    let patch = answer.pointer("/response/patch").and_then(Value::as_str);
    patch.map(str::to_owned).with_context(|| format!("no patch: {answer}"))
}

/// The pod as somebody creates it: without what the ServiceAccount plugin and its siblings bring, and without an owner, since
/// pods of one that does not exist are collected as garbage. No scheduler takes it.
fn pod() -> Value {
    let mut pod = reviews::median_pod();
    for path in
        ["/metadata/ownerReferences", "/spec/volumes", "/spec/containers/0/volumeMounts", "/spec/tolerations"]
    {
        if let Some(found) = pod.pointer_mut(path) {
            *found = Value::Null;
        }
    }
    if let Some(scheduler) = pod.pointer_mut("/spec/schedulerName") {
        *scheduler = "nobody".into();
    }
    pod
}
