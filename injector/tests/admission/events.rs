//! Events as somebody finds them who wonders why a controller gets no pods: on its object, by the rights that are exported for
//! them, and not more than anybody would read.

use std::time::Instant;

use serde_json::{Value, json};
use tests::control_plane::pods_path;

use crate::mesh::{Mesh, pod};

const NAMESPACE: &str = "shop";

/// At once, and a second in the long run, as the injector promises.
const BURST: f64 = 25.0;
const RATE: f64 = 5.0;

async fn mesh(said: &Value) -> Mesh {
    let mesh = Mesh::start(said, &[]).await;
    let labels = json!({ api::labels::NAMESPACE_INJECTION: api::labels::ENABLED });
    mesh.control_plane.create_namespace(NAMESPACE, &labels).await.unwrap();
    mesh.created(NAMESPACE).await;
    mesh
}

/// A pod of this owner that has an annotation.
fn owned(owner: &Value, annotation: &str) -> Value {
    let mut pod = pod();
    pod["metadata"] = json!({
        "generateName": "web-", "ownerReferences": [owner], "annotations": {annotation: "lots"},
    });
    pod
}

fn owner(uid: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": uid, "controller": true})
}

/// Creates a pod, and says whether it was taken.
async fn create(mesh: &Mesh, pod: &Value) -> bool {
    let answer = mesh.client().post(&pods_path(NAMESPACE), pod).await.unwrap();
    let refused = answer.text().contains("denied the request");
    assert!(answer.status.is_success() || refused, "{}", answer.text());
    !refused
}

/// The Events of the namespace.
async fn events(mesh: &Mesh) -> Vec<Value> {
    let path = format!("/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events");
    let list = mesh.client().get(&path).await.unwrap().object().unwrap();
    list["items"].as_array().unwrap().clone()
}

fn line(result: &str, count: usize) -> String {
    format!("injector_events_total{{result=\"{result}\"}} {count}")
}

#[tokio::test]
async fn an_owner_has_one_event_for_each_thing_that_is_wrong() {
    let mesh = mesh(&json!({"events": true})).await;
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": pod()["spec"]});
    let replica_set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    });
    let collection = format!("/apis/apps/v1/namespaces/{NAMESPACE}/replicasets");
    let replica_set = mesh.client().create(&collection, &replica_set).await.unwrap();
    let owner = owner(replica_set["metadata"]["uid"].as_str().unwrap());
    for _ in 0..3 {
        assert!(!create(&mesh, &owned(&owner, api::annotations::PROXY_CPU)).await);
        assert!(create(&mesh, &owned(&owner, "sidecar.istio.io/proxyCPUs")).await);
    }
    mesh.counted(&line("written", 2)).await;
    mesh.counted(&line("repeated", 4)).await;
    let mut events = events(&mesh).await;
    events.sort_by_key(|event| event["reason"].to_string());
    let wanted = [("InjectionRefused", api::annotations::PROXY_CPU), ("InjectionWarning", "proxyCPUs")];
    assert_eq!(events.len(), wanted.len(), "{events:#?}");
    for (event, (reason, named)) in events.iter().zip(wanted) {
        let (note, regarding) = (event["note"].as_str().unwrap(), &event["regarding"]);
        assert_eq!((event["reason"].as_str(), event["type"].as_str()), (Some(reason), Some("Warning")));
        assert!(note.contains(named), "{note}");
        assert_eq!(event["reportingController"], api::control::INJECTOR);
        for field in ["apiVersion", "kind", "name", "uid"] {
            assert_eq!(regarding[field], owner[field], "{event}");
        }
    }
}

#[tokio::test]
async fn many_owners_have_no_more_events_than_the_limit() {
    const OWNERS: usize = 120;
    let mesh = mesh(&json!({"events": true})).await;
    let begun = Instant::now();
    for number in 0..OWNERS {
        let owner = owner(&format!("6e0bf1ba-9f21-4a4e-a5b0-{number:012}"));
        assert!(!create(&mesh, &owned(&owner, api::annotations::PROXY_CPU)).await);
    }
    let metrics = async || mesh.admin("/metrics").await.unwrap();
    let count = |metrics: &str, result: &str| {
        let start = format!("injector_events_total{{result=\"{result}\"}} ");
        let found = metrics.lines().find_map(|line| line.strip_prefix(&start)?.parse::<usize>().ok());
        found.unwrap_or_default()
    };
    let seen = crate::mesh::until("a word on every owner", async || {
        let metrics = metrics().await;
        let [written, limited] = ["written", "limited"].map(|result| count(&metrics, result));
        (written + limited == OWNERS).then_some(written)
    });
    let written = seen.await;
    let allowed = BURST + RATE * begun.elapsed().as_secs_f64();
    assert!((BURST..=allowed).contains(&(written as f64)), "{written} were told, {allowed} may be");
    assert_eq!(events(&mesh).await.len(), written);
}

/// The rights of such an installation do not suffice for Events, and it needs them for nothing else.
#[tokio::test]
async fn nobody_is_told_where_nobody_wants_it() {
    let mesh = mesh(&json!({})).await;
    assert!(!create(&mesh, &owned(&owner("before"), api::annotations::PROXY_CPU)).await);
    mesh.reconfigure(&json!({"events": true})).await;
    assert!(!create(&mesh, &owned(&owner("after"), api::annotations::PROXY_CPU)).await);
    // Whatever was told before would have come first.
    mesh.counted(&line("failed", 1)).await;
    assert!(!mesh.admin("/metrics").await.unwrap().contains("injector_events_total{result=\"written\"}"));
    assert!(events(&mesh).await.is_empty());
    assert!(!create(&mesh, &owned(&owner("forbidden"), api::annotations::PROXY_CPU)).await);
}
