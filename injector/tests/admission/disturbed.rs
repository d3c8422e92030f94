//! An installation that somebody disturbs: no pod that should be injected starts without it, and creating pods works again by
//! itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tests::control_plane::Client;
use tokio::sync::watch;

use crate::mesh::{Mesh, PATIENCE, configuration_path, dry_run, is_injected, pod, until};

const NAMESPACE: &str = "shop";

/// Enough to see that the API server, once it is back, goes on as before.
const AFTERWARDS: usize = 50;

async fn mesh() -> Mesh {
    let mesh = Mesh::start(&json!({}), &[]).await;
    let labels = json!({"istio-injection": "enabled"});
    mesh.control_plane.create_namespace(NAMESPACE, &labels).await.unwrap();
    assert!(is_injected(&mesh.created(NAMESPACE).await));
    mesh
}

/// Somebody wanted injection to end; and to begin again.
#[tokio::test]
async fn a_configuration_that_was_deleted_stays_deleted() {
    let mesh = mesh().await;
    mesh.client().delete(&configuration_path()).await.unwrap().object().unwrap();
    // It has seen that nothing is there to publish into.
    mesh.readiness("503").await;
    assert_eq!(mesh.client().get(&configuration_path()).await.unwrap().status.as_u16(), 404);
    until("pod without us", async || mesh.create(NAMESPACE).await.ok().filter(|pod| !is_injected(pod))).await;
    mesh.configure().await;
    mesh.published().await;
    until("pod with us", async || mesh.create(NAMESPACE).await.ok().filter(is_injected)).await;
    mesh.readiness("200").await;
}

/// While the bundle is wrong pods are refused, and none starts unmeshed.
#[tokio::test]
async fn a_foreign_bundle_is_put_right() {
    let mesh = mesh().await;
    let foreign = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap().cert.pem();
    let mut configuration = mesh.found().await;
    for entry in configuration["webhooks"].as_array_mut().unwrap() {
        use base64::Engine as _;
        let bundle = base64::engine::general_purpose::STANDARD.encode(&foreign);
        entry["clientConfig"]["caBundle"] = json!(bundle);
    }
    mesh.client().put(&configuration_path(), &configuration).await.unwrap().object().unwrap();
    let repaired = until("pod", async || match mesh.create(NAMESPACE).await {
        Ok(pod) if mesh.found().await["webhooks"] != configuration["webhooks"] => Some(pod),
        // The API server may not have heard of the change.
        Ok(pod) => {
            assert!(is_injected(&pod));
            None
        }
        Err(refused) => {
            assert!(refused.contains("failed calling webhook"), "{refused}");
            None
        }
    });
    assert!(is_injected(&repaired.await));
}

/// Nobody who creates a pod notices.
#[tokio::test]
async fn an_authority_that_was_deleted_is_made_again() {
    let mesh = mesh().await;
    let namespace = api::control::NAMESPACE;
    let path = format!("/api/v1/namespaces/{namespace}/secrets/{}", api::control::CA_SECRET);
    let mut client = mesh.client();
    let first = client.get(&path).await.unwrap().object().unwrap();
    client.delete(&path).await.unwrap().object().unwrap();
    let again = until("Secret", async || {
        assert!(is_injected(&mesh.create(NAMESPACE).await.expect("no pod is refused")));
        mesh.client().get(&path).await.unwrap().object().ok()
    });
    assert_ne!(again.await["metadata"]["uid"], first["metadata"]["uid"]);
    mesh.readiness("200").await;
    assert!(is_injected(&mesh.create(NAMESPACE).await.expect("no pod is refused")));
}

#[tokio::test]
async fn a_killed_api_server_starts_no_pod_without_us() {
    let mut mesh = mesh().await;
    let stream = Stream::start(mesh.client());
    stream.reaches(AFTERWARDS).await;
    mesh.control_plane.restart_api_server().await.unwrap();
    let count = *stream.created.borrow();
    stream.reaches(count + AFTERWARDS).await;
    stream.stop();
}

/// Pods that are created one after the other, on a thread of their own; each that is created is injected.
struct Stream {
    created: watch::Receiver<usize>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Stream {
    fn start(mut client: Client) -> Self {
        let (count, created) = watch::channel(0);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                while !stopped.load(Ordering::Relaxed) {
                    let answered = client.post(&dry_run(NAMESPACE), &pod()).await;
                    let created = answered.ok().filter(|answer| answer.status.is_success());
                    // Nobody is there, or not yet ready; a controller would try again, too.
                    let Some(answer) = created else { continue };
                    assert!(is_injected(&answer.json().unwrap_or(Value::Null)), "{}", answer.text());
                    count.send_modify(|count| *count += 1);
                }
            });
        });
        Self { created, stop, thread }
    }

    async fn reaches(&self, count: usize) {
        let mut created = self.created.clone();
        let reached = tokio::time::timeout(PATIENCE, created.wait_for(|created| *created >= count)).await;
        reached.expect("pods in time").expect("every pod was injected");
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("every pod was injected");
    }
}
