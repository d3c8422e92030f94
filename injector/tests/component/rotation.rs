//! The rotation of the certificate authority, with replicas and an API server that run in earnest. What months bring is
//! tried on a virtual clock, next to the code.

use std::time::{Duration, SystemTime};

use injector::config::ServeArgs;
use serde_json::{Value, json};
use tests::webhook::{published_bundle, review};

use crate::common::pod;
use crate::running::{Injector, api_server, bundle, configuration_path, secret_path};

/// How many authorities are published.
fn authorities(configuration: &Value) -> usize {
    published_bundle(configuration).map_or(0, |bundle| bundle.matches("BEGIN CERTIFICATE").count())
}

fn short(args: &mut ServeArgs) {
    args.lifetimes.ca_lifetime = Duration::from_secs(24);
    args.lifetimes.leaf_lifetime = Duration::from_secs(6);
}

/// Two replicas rotate at the same moment, and reviews go on: by the bundle as it was published before.
#[tokio::test]
async fn replicas_rotate_together_under_a_stream_of_reviews() {
    let api = api_server();
    let (one, two) = tokio::join!(Injector::start(&api, short), Injector::start(&api, short));
    tokio::join!(one.becomes_ready(), two.becomes_ready());
    let first = api.get(&secret_path()).unwrap()["data"]["tls.crt"].clone();
    let former = bundle(&api);
    let rotated = async {
        api.wait_for(&secret_path(), |secret| !secret["data"]["next.crt"].is_null()).await.unwrap();
        api.wait_for(&configuration_path(), |object| authorities(object) == 2).await.unwrap();
        api.wait_for(&secret_path(), |secret| secret["data"]["tls.crt"] != first).await.unwrap();
        // The former one goes: a chain of it would not be verified from now on.
        let without =
            |object: &Value| published_bundle(object).is_some_and(|bundle| !bundle.contains(&former));
        api.wait_for(&configuration_path(), without).await.unwrap();
    };
    let mut rotated = std::pin::pin!(rotated);
    let mut reviews = 0;
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        tokio::select! {
            () = rotated.as_mut() => break,
            _ = tick.tick() => {
                let published = bundle(&api);
                for injector in [&one, &two] {
                    review(injector.webhook, &published, &pod("bare")).await.unwrap();
                    reviews += 1;
                }
            }
        }
        // The former, the present and the next one: the replicas took the same steps.
        assert!(authorities(&api.get(&configuration_path()).unwrap()) <= 3);
    }
    assert!(reviews > 50, "{reviews}");
    for injector in [one, two] {
        review(injector.webhook, &bundle(&api), &pod("bare")).await.unwrap();
        let metrics = injector.admin("/metrics").await.unwrap().1;
        assert!(metrics.contains("webhook_bundle_match 1"), "{metrics}");
        assert!(metrics.contains(r#"webhook_ca_rotation_phase{phase="steady"}"#), "{metrics}");
    }
}

/// Leaves are renewed from memory while the API server is away.
#[tokio::test]
async fn leaves_are_renewed_without_an_api_server() {
    let api = api_server();
    let injector = Injector::start(&api, |args| {
        args.lifetimes.leaf_lifetime = Duration::from_secs(4);
    })
    .await;
    injector.becomes_ready().await;
    let published = bundle(&api);
    let first = expiry(&injector).await;
    api.set_down(true);
    // Two renewals later the first leaf has ended.
    injector.admin_until("/metrics", |_, body| expires(body).is_some_and(|end| end > first + 4.0)).await;
    review(injector.webhook, &published, &pod("bare")).await.unwrap();
    assert_eq!(injector.admin("/healthz/ready").await.unwrap().0, 200);
}

/// Whoever writes the bundle again and again is named, and not fought without end.
#[tokio::test]
async fn a_fight_over_the_bundle_is_bounded_and_told() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let overwrite = || {
        api.edit(&configuration_path(), |object| {
            object["webhooks"][0]["clientConfig"]["caBundle"] = json!("Zm9yZWlnbg==");
            object["metadata"]["managedFields"] = json!([{
                "manager": "helm", "operation": "Update", "apiVersion": "admissionregistration.k8s.io/v1",
                "fieldsType": "FieldsV1", "time": "2026-01-01T00:00:00Z",
                "fieldsV1": {"f:webhooks": {"k:{\"name\":\"x\"}": {"f:clientConfig": {"f:caBundle": {}}}}},
            }]);
        });
    };
    let patches = || {
        let patch = format!("PATCH {}", configuration_path());
        api.requests().iter().filter(|request| **request == patch).count()
    };
    // A burst of 5 at most, of which publishing took one.
    while patches() < 5 {
        overwrite();
        let published = |object: &Value| published_bundle(object).is_some_and(|pem| pem.contains("BEGIN"));
        api.wait_for(&configuration_path(), published).await.unwrap();
    }
    overwrite();
    let told = |status, body: &str| status == 503 && body.contains("overwritten again and again by helm");
    injector.admin_until("/healthz/ready", told).await;
    let metrics = injector.admin("/metrics").await.unwrap().1;
    for line in ["webhook_bundle_foreign_changes_total 5", r#"publications_total{result="held_back"}"#] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert_eq!(patches(), 5);
}

/// Certificates are made by the API server's clock, whatever ours says.
#[tokio::test]
async fn a_clock_that_is_a_day_off_is_set_by_the_api_server() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    for ahead in [false, true] {
        let api = api_server();
        let now = SystemTime::now();
        let theirs = if ahead { now + hours(24) } else { now - hours(23) };
        api.set_date(theirs);
        let injector = Injector::ready(&api).await;
        let end = expiry(&injector).await;
        let expected = theirs.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64() + 24.0 * 3600.0;
        assert!((end - expected).abs() < 60.0, "{end}, not {expected}");
        review(injector.webhook, &bundle(&api), &pod("bare")).await.unwrap();
    }
}

/// The second entry gets the same bundle; one that is absent is not missed.
#[tokio::test]
async fn all_our_entries_get_the_bundle() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let bundles = |object: &Value, field: &str| -> Vec<Value> {
        let entries = object["webhooks"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["clientConfig"][field].clone()).collect()
    };
    api.edit(&configuration_path(), |object| {
        let mut entries = vec![object["webhooks"][0].clone(); 3];
        entries[1]["name"] = json!(api::control::WEBHOOK_OBJECT_ENTRY);
        entries[2]["name"] = json!("other.example.com");
        for entry in &mut entries[1..] {
            entry["clientConfig"].as_object_mut().unwrap().remove("caBundle");
        }
        object["webhooks"] = json!(entries);
    });
    let object = api
        .wait_for(&configuration_path(), |object| !bundles(object, "caBundle")[1].is_null())
        .await
        .unwrap();
    let published = bundles(&object, "caBundle");
    assert!(published[0] == published[1] && published[2].is_null(), "{published:?}");
    api.edit(&configuration_path(), |object| {
        object["webhooks"].as_array_mut().unwrap().remove(0);
        object["webhooks"][0]["clientConfig"].as_object_mut().unwrap().remove("caBundle");
    });
    let restored = |object: &Value| bundles(object, "caBundle")[0] == published[0];
    api.wait_for(&configuration_path(), restored).await.unwrap();
    injector.becomes_ready().await;
}

async fn expiry(injector: &Injector) -> f64 {
    expires(&injector.admin("/metrics").await.unwrap().1).expect("the certificate's end")
}

fn expires(metrics: &str) -> Option<f64> {
    let name = "webhook_certificate_expiry_timestamp_seconds ";
    metrics.lines().find_map(|line| line.strip_prefix(name)).and_then(|value| value.trim().parse().ok())
}
