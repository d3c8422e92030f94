//! Rollout, scaling and deletion under load lose nothing: not with the mesh, in either form of the sidecar, nor in the control
//! run without it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::cluster::{Load, LoadResult, Namespace, Pod, Protocol, eventually, service, workload};

const REPLICAS: u32 = 3;

#[test]
fn changes_under_load_lose_no_request() -> Result<()> {
    let runs = [
        ("native", Namespace::meshed("load")?, Some("true")),
        ("legacy", Namespace::meshed("load-legacy")?, Some("false")),
        ("without the mesh", Namespace::plain("load-plain")?, None),
    ];
    for (_, namespace, native) in &runs {
        namespace.apply(&[
            in_form(workload("server", REPLICAS, None), *native),
            service("server", "server", false),
            in_form(workload("client", 1, None), *native),
        ])?;
    }
    for (_, namespace, _) in &runs {
        namespace.rolled_out("server")?;
        namespace.rolled_out("client")?;
    }
    // Side by side, so that all see the same machine.
    let results = std::thread::scope(|scope| {
        let threads =
            runs.each_ref().map(|(_, namespace, native)| scope.spawn(move || run(namespace, *native)));
        threads.map(|thread| thread.join().ok().context("the thread of a run").flatten())
    });
    let mut lost = Vec::new();
    for ((name, ..), result) in runs.iter().zip(results) {
        let result = result.context(*name)?;
        println!("{name}: {:?}", result.codes);
        ensure!(result.calls() > 500, "{name}: only {} calls, the load did not run", result.calls());
        if result.lost() > 0 {
            lost.push(format!("{name}: {:?}", result.codes));
        }
    }
    ensure!(lost.is_empty(), "{lost:?}");
    Ok(())
}

/// The same Deployment, with its sidecar as a native one or not.
fn in_form(mut workload: Value, native: Option<&str>) -> Value {
    if let Some(native) = native {
        workload["spec"]["template"]["metadata"]["annotations"] =
            json!({ api::annotations::NATIVE_SIDECAR: native });
    }
    workload
}

/// Changes everything that a Deployment can have changed while a client calls with a connection per request.
fn run(namespace: &Namespace, native: Option<&str>) -> Result<LoadResult> {
    let client = namespace.pod("client")?;
    ensure!(client.is_meshed() == native.is_some(), "{:?}", client.containers());
    Load::one_connection(Protocol::Http, "server", false).until_answered(&client, 2)?;
    std::thread::scope(|scope| {
        let time = Duration::from_secs(55);
        let end = Instant::now() + time;
        let load = scope.spawn(move || {
            Load::connection_per_request("server", 4, 40, &format!("{}s", time.as_secs())).run(&client)
        });
        let changes = change(namespace);
        ensure!(Instant::now() < end, "the changes took longer than the load");
        let result = load.join().ok().context("the load's thread")??;
        changes.map(|()| result)
    })
}

fn change(namespace: &Namespace) -> Result<()> {
    namespace.kubectl(&["rollout", "restart", "deployment/server"])?;
    namespace.rolled_out("server")?;
    scale(namespace, 5)?;
    scale(namespace, 2)?;
    for pod in namespace.pods("server")? {
        delete(namespace, &pod)?;
    }
    Ok(())
}

fn scale(namespace: &Namespace, replicas: usize) -> Result<()> {
    namespace.kubectl(&["scale", "deployment/server", &format!("--replicas={replicas}")])?;
    namespace.rolled_out("server")?;
    eventually("the surplus pods to be on their way out", Duration::from_secs(30), || {
        Ok((namespace.pods("server")?.len() == replicas).then_some(()))
    })
}

fn delete(namespace: &Namespace, pod: &Pod) -> Result<()> {
    namespace.kubectl(&["delete", "pod", &pod.name, "--wait=false"])?;
    eventually("a successor", Duration::from_secs(30), || {
        Ok((namespace.pods("server")?.len() >= 2).then_some(()))
    })?;
    namespace.rolled_out("server")
}
