//! The injector and its certificates, against an API server that misbehaves.

use std::time::{Duration, SystemTime};

use injector::pki::Ca;
use serde_json::{Value, json};
use tests::webhook::{published_bundle, review};

use crate::common::pod;
use crate::running::{Injector, api_server, bundle, configuration, configuration_path, secret_path};

fn is_published(configuration: &Value) -> bool {
    published_bundle(configuration).is_some()
}

#[tokio::test]
async fn replicas_that_start_at_once_share_one_authority() {
    let api = api_server();
    let (one, two) = tokio::join!(Injector::start(&api, |_| {}), Injector::start(&api, |_| {}));
    tokio::join!(one.becomes_ready(), two.becomes_ready());
    let bundle = bundle(&api);
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 1, "{bundle}");
    for injector in [one, two] {
        review(injector.webhook, &bundle, &pod("bare")).await.unwrap();
    }
}

/// Only that field of the entries that are ours, and the object of that uid.
#[tokio::test]
async fn publishing_changes_one_field() {
    let api = api_server();
    let _injector = Injector::ready(&api).await;
    let mut published = api.get(&configuration_path()).unwrap();
    for entry in published["webhooks"].as_array_mut().unwrap() {
        entry["clientConfig"].as_object_mut().unwrap().remove("caBundle").unwrap();
    }
    let metadata = published["metadata"].as_object_mut().unwrap();
    metadata.retain(|key, _| key == "name");
    assert_eq!(published, configuration());
}

#[tokio::test]
async fn a_wiped_bundle_is_published_again() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let before = bundle(&api);
    for foreign in [Value::Null, json!("Zm9yZWlnbg==")] {
        api.edit(&configuration_path(), |object| object["webhooks"][0]["clientConfig"]["caBundle"] = foreign);
        let restored = |object: &Value| published_bundle(object).as_ref() == Some(&before);
        api.wait_for(&configuration_path(), restored).await.unwrap();
    }
    injector.becomes_ready().await;
}

#[tokio::test]
async fn a_deleted_secret_is_put_back() {
    let api = api_server();
    let _injector = Injector::ready(&api).await;
    let before = api.get(&secret_path()).unwrap()["data"].clone();
    api.remove(&secret_path());
    api.wait_for(&secret_path(), |secret| secret["data"] == before).await.unwrap();
}

#[tokio::test]
async fn another_authority_is_taken_over_and_the_old_one_kept() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let before = bundle(&api);
    let other = Ca::generate(SystemTime::now(), Duration::from_secs(3600)).unwrap();
    api.edit(&secret_path(), |secret| {
        secret["data"] =
            json!({"tls.crt": base64(other.certificate_pem()), "tls.key": base64(other.key_pem())});
    });
    let both = |object: &Value| {
        published_bundle(object).is_some_and(|bundle| bundle.matches("BEGIN CERTIFICATE").count() == 2)
    };
    api.wait_for(&configuration_path(), both).await.unwrap();
    assert!(bundle(&api).contains(before.trim()));
    injector.becomes_ready().await;
    review(injector.webhook, &bundle(&api), &pod("bare")).await.unwrap();
}

#[tokio::test]
async fn a_secret_with_garbage_is_named_with_its_remedy() {
    let api = api_server();
    let garbage = base64("garbage");
    api.put(&secret_path(), secret(&garbage, &garbage));
    let injector = Injector::start(&api, |_| {}).await;
    let reasons = injector
        .admin_until("/healthz/ready", |status, body| status == 503 && body.contains("remora-ca"))
        .await;
    assert!(reasons.contains("kubectl -n remora-system delete secret remora-ca"), "{reasons}");
    assert!(!is_published(&api.get(&configuration_path()).unwrap()));
    api.remove(&secret_path());
    injector.becomes_ready().await;
}

/// An authority of ours whose end comes while nobody could rotate it.
#[tokio::test]
async fn an_authority_that_ends_is_replaced() {
    let api = api_server();
    let lifetime = Duration::from_secs(3600);
    let ending = Ca::generate(SystemTime::now() - lifetime + Duration::from_secs(4), lifetime).unwrap();
    api.put(&secret_path(), secret(&base64(ending.certificate_pem()), &base64(ending.key_pem())));
    let injector = Injector::start(&api, |_| {}).await;
    let ended = base64(ending.certificate_pem());
    api.wait_for(&secret_path(), |secret| secret["data"]["tls.crt"] != json!(ended)).await.unwrap();
    injector.becomes_ready().await;
    review(injector.webhook, &bundle(&api), &pod("bare")).await.unwrap();
}

/// An authority of somebody else's that ends is theirs to renew: it is named with what helps.
#[tokio::test]
async fn a_foreign_authority_that_ends_is_named_with_its_remedy() {
    let api = api_server();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_after = (SystemTime::now() + Duration::from_secs(4)).into();
    let certificate = params.self_signed(&key).unwrap().pem();
    api.put(&secret_path(), secret(&base64(&certificate), &base64(&key.serialize_pem())));
    let injector = Injector::start(&api, |_| {}).await;
    let remedy = "kubectl -n remora-system delete secret remora-ca";
    injector.admin_until("/healthz/ready", |status, body| status == 503 && body.contains(remedy)).await;
    api.remove(&secret_path());
    injector.becomes_ready().await;
    review(injector.webhook, &bundle(&api), &pod("bare")).await.unwrap();
}

#[tokio::test]
async fn a_missing_configuration_is_waited_for_and_never_created() {
    let api = api_server();
    api.remove(&configuration_path());
    let injector = Injector::start(&api, |_| {}).await;
    let reasons = injector
        .admin_until("/healthz/ready", |status, body| status == 503 && body.contains("does not exist"))
        .await;
    assert!(reasons.contains("manifests/webhook.yaml"), "{reasons}");
    assert!(api.get(&configuration_path()).is_none());
    let mut foreign = configuration();
    for (index, entry) in foreign["webhooks"].as_array_mut().unwrap().iter_mut().enumerate() {
        entry["name"] = json!(format!("{index}.example.com"));
    }
    api.put(&configuration_path(), foreign);
    injector
        .admin_until("/healthz/ready", |status, body| status == 503 && body.contains("has no entry"))
        .await;
    api.put(&configuration_path(), configuration());
    injector.becomes_ready().await;
}

#[tokio::test]
async fn failures_of_the_api_server_are_retried() {
    let api = api_server();
    api.fail_next(2);
    let injector = Injector::start(&api, |_| {}).await;
    injector
        .admin_until("/healthz/ready", |status, body| status == 503 && body.contains("scripted failure"))
        .await;
    injector.becomes_ready().await;
}

/// Reviews need no API server, and readiness stays what it was.
#[tokio::test]
async fn an_outage_of_the_api_server_changes_nothing() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let bundle = bundle(&api);
    api.set_down(true);
    api.wait_for_request(&format!("GET {}", secret_path())).await.unwrap();
    assert_eq!(injector.admin("/healthz/ready").await.unwrap().0, 200);
    review(injector.webhook, &bundle, &pod("bare")).await.unwrap();
    api.set_down(false);
    api.wait_for_request(&format!("GET {}", configuration_path())).await.unwrap();
    injector.becomes_ready().await;
}

/// A new leaf takes effect with the next handshake; connections, the bundle and readiness do not notice.
#[tokio::test]
async fn leaves_are_replaced_under_connections() {
    let api = api_server();
    let injector = Injector::start(&api, |args| args.lifetimes.leaf_lifetime = Duration::from_secs(3)).await;
    injector.becomes_ready().await;
    let (bundle, expiry) = (bundle(&api), expiry(&injector).await);
    let mut old = injector.connect(&api).await.unwrap();
    injector.admin_until("/metrics", |_, body| line(body) != expiry).await;
    let body = tests::webhook::admission_review("shop", &pod("bare")).to_string();
    let (status, _) = old.post(api::control::WEBHOOK_NAMESPACE_PATH, body.into()).await.unwrap();
    assert_eq!(status, 200);
    review(injector.webhook, &bundle, &pod("bare")).await.unwrap();
    assert_eq!(self::bundle(&api), bundle);
    assert_eq!(injector.admin("/healthz/ready").await.unwrap().0, 200);
}

fn secret(certificate: &str, key: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "remora-ca", "namespace": "remora-system"},
        "data": {"tls.crt": certificate, "tls.key": key},
    })
}

async fn expiry(injector: &Injector) -> Option<String> {
    line(&injector.admin("/metrics").await.unwrap().1)
}

fn line(metrics: &str) -> Option<String> {
    let name = "webhook_certificate_expiry_timestamp_seconds ";
    metrics.lines().find(|line| line.starts_with(name)).map(str::to_owned)
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
