//! Labels that change while pods come. The API server alone decides about them, so that no cache of ours can be late. Its own can:
//! it looks a namespace up that it does not know, and goes by its watch for one that it does, which is milliseconds behind.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::control_plane::Client;

use crate::mesh::{Mesh, dry_run, is_injected, pod};

/// Namespaces, and with each several changes of its label.
const NAMESPACES: usize = 100;

/// A label that is set in the same second as the pod is created counts.
const SAME_SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_new_namespaces_label_counts_for_its_first_pod() {
    let mesh = Mesh::start(&json!({}), &[]).await;
    let mut client = mesh.client();
    for index in 0..NAMESPACES {
        for (value, injected) in [("enabled", true), ("disabled", false)] {
            let namespace = format!("{value}-{index}");
            let labels = json!({ "istio-injection": value });
            mesh.control_plane.create_namespace(&namespace, &labels).await.unwrap();
            assert_eq!(injects(&mut client, &namespace).await, injected, "{namespace}");
        }
    }
}

#[tokio::test]
async fn a_changed_label_counts_within_the_same_second() {
    let mesh = Mesh::start(&json!({}), &[]).await;
    let mut client = mesh.client();
    let (mut at_once, mut slowest) = (0, Duration::ZERO);
    for index in 0..NAMESPACES {
        let namespace = format!("labelled-{index}");
        mesh.control_plane.create_namespace(&namespace, &json!({})).await.unwrap();
        assert!(!injects(&mut client, &namespace).await, "{namespace} without a label");
        for (value, injected) in [
            (json!("enabled"), true),
            (json!("disabled"), false),
            (json!("enabled"), true),
            (Value::Null, false),
        ] {
            let labels = json!({"metadata": {"labels": {"istio-injection": value}}});
            client
                .merge(&format!("/api/v1/namespaces/{namespace}"), &labels)
                .await
                .unwrap()
                .object()
                .unwrap();
            let changed = Instant::now();
            let mut tries = 1;
            while injects(&mut client, &namespace).await != injected {
                assert!(changed.elapsed() < SAME_SECOND, "{namespace} with {value}, after {tries} pods");
                tries += 1;
            }
            at_once += usize::from(tries == 1);
            slowest = slowest.max(changed.elapsed());
        }
    }
    println!(
        "{at_once} of {} changes counted for the next pod, the slowest after {slowest:?}",
        4 * NAMESPACES
    );
}

async fn injects(client: &mut Client, namespace: &str) -> bool {
    is_injected(&client.create(&dry_run(namespace), &pod()).await.unwrap())
}
