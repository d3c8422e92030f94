//! Events on the owners of pods: only where the configuration wants them, never of a dry run, never in a review's way.

use injector::export::{Kind, Origin, render};
use injector::inject::Settings;
use serde_json::{Value, json};
use tests::webhook::{Connection, admission_review};

use crate::running::{Injector, api_server, bundle};

const HEAD: &str = "apiVersion: remora.dev/v1alpha1\nkind: InjectorConfiguration\n";

const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/shop/events";

/// The review of a pod that is refused, of a ReplicaSet with this uid.
fn refused(owner: &str, dry_run: bool) -> Value {
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-6b7f9", "uid": owner, "controller": true});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": "web-6b7f9-", "namespace": "shop", "ownerReferences": [owner],
            "annotations": { api::annotations::PROXY_CPU: "lots" },
        },
        "spec": {"containers": [{"name": "web", "image": "web:1"}]},
    });
    let mut review = admission_review("shop", &pod);
    review["request"]["dryRun"] = json!(dry_run);
    review
}

#[tokio::test]
async fn an_owner_is_told_where_the_configuration_wants_it_and_nobody_of_a_dry_run() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("injector.yaml");
    let write = |text: &str| std::fs::write(&file, format!("{HEAD}{text}")).unwrap();
    write("");
    let api = api_server();
    let injector = Injector::start(&api, |args| args.configuration.config = Some(file.clone())).await;
    injector.becomes_ready().await;
    let ask = async |owner: &str, dry_run| {
        let mut connection = Connection::open(injector.webhook, &bundle(&api)).await.unwrap();
        let review = refused(owner, dry_run).to_string();
        let (status, _) = connection.post(api::control::WEBHOOK_NAMESPACE_PATH, review.into()).await.unwrap();
        assert_eq!(status, 200);
    };
    ask("before", false).await;
    write("events: true\n");
    let applied = |_, text: &str| text.contains("injector_configuration_reloads_total{result=\"applied\"} 1");
    injector.admin_until("/metrics", applied).await;
    ask("dry", true).await;
    ask("told", false).await;
    ask("told", false).await;
    let counted = |_, text: &str| {
        text.contains("injector_events_total{result=\"written\"} 1")
            && text.contains("injector_events_total{result=\"repeated\"} 1")
    };
    injector.admin_until("/metrics", counted).await;
    let posts: Vec<_> =
        api.requests().into_iter().filter(|line| line.starts_with(&format!("POST {EVENTS}"))).collect();
    assert_eq!(posts.len(), 1, "{posts:?}");
    // What cannot be written is counted, and reviews are answered all the same.
    api.forbid(&format!("POST {EVENTS}"));
    ask("forbidden", false).await;
    injector
        .admin_until("/metrics", |_, text| text.contains("injector_events_total{result=\"failed\"} 1"))
        .await;
}

#[test]
fn the_right_and_the_side_effect_are_exported_where_there_are_events() {
    for (events, effects) in [(false, "None"), (true, "NoneOnDryRun")] {
        let mut settings = Settings::default();
        settings.events = events;
        let webhook = render(Kind::Webhook, &settings, Origin::default()).remove(0);
        for entry in webhook["webhooks"].as_array().unwrap() {
            assert_eq!(entry["sideEffects"], effects, "{}", entry["name"]);
        }
        let rules: Vec<Value> = render(Kind::Rbac, &settings, Origin::default())
            .iter()
            .filter(|object| object["kind"] == "ClusterRole")
            .flat_map(|role| role["rules"].as_array().unwrap().clone())
            .collect();
        let allowed = rules.iter().any(|rule| rule["resources"] == json!(["events"]));
        assert_eq!(allowed, events, "{rules:?}");
    }
}
