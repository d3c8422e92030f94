//! Rollout, scaling and deletion under load lose nothing: neither with the mesh nor in the control run without it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tests::cluster::{Load, LoadResult, Namespace, Pod, Protocol, eventually, service, workload};

const REPLICAS: u32 = 3;

#[test]
fn changes_under_load_lose_no_request() -> Result<()> {
    let (mesh, control) = (Namespace::meshed("load")?, Namespace::plain("load-plain")?);
    for namespace in [&mesh, &control] {
        namespace.apply(&[
            workload("server", REPLICAS, None),
            service("server", "server", false),
            workload("client", 1, None),
        ])?;
    }
    for namespace in [&mesh, &control] {
        namespace.rolled_out("server")?;
        namespace.rolled_out("client")?;
    }
    // Side by side, so that both see the same machine.
    let (mesh, control) = std::thread::scope(|scope| {
        let control = scope.spawn(|| run(&control));
        (run(&mesh), control.join())
    });
    let (mesh, control) = (mesh?, control.ok().context("the control run's thread")??);
    println!("with the mesh: {:?}; without: {:?}", mesh.codes, control.codes);
    for (result, name) in [(&mesh, "with the mesh"), (&control, "without")] {
        ensure!(result.calls() > 500, "{name}: only {} calls, the load did not run", result.calls());
    }
    ensure!(mesh.lost() == 0, "with the mesh {:?}, without {:?}", mesh.codes, control.codes);
    ensure!(control.lost() == 0, "the control run itself lost requests: {:?}", control.codes);
    Ok(())
}

/// Changes everything that a Deployment can have changed while a client calls with a connection per request.
fn run(namespace: &Namespace) -> Result<LoadResult> {
    let client = namespace.pod("client")?;
    ensure!(client.is_meshed() == (namespace.name == "load"), "{:?}", client.containers());
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
