//! The end of an injector, which must cost no review.

use std::time::Duration;

use tests::webhook::{admission_review, review};

use crate::common::pod;
use crate::running::{Injector, api_server, bundle};

const PATH: &str = api::control::WEBHOOK_NAMESPACE_PATH;

fn request() -> hyper::Request<http_body_util::Full<hyper::body::Bytes>> {
    let body = admission_review("shop", &pod("bare")).to_string();
    hyper::Request::post(PATH)
        .header("host", "test")
        .header("content-type", "application/json")
        .body(http_body_util::Full::new(body.into()))
        .unwrap()
}

#[tokio::test]
async fn unready_at_once_and_serving_for_the_delay() {
    let api = api_server();
    let injector = Injector::start(&api, |args| args.shutdown_delay = Duration::from_secs(2)).await;
    injector.becomes_ready().await;
    let mut used = injector.connect(&api).await.unwrap();
    let idle = injector.connect(&api).await.unwrap();
    let before = used.send(request()).await.unwrap();
    assert!(before.headers().get("connection").is_none(), "{before:?}");
    injector.stop();
    let reasons = injector.admin_until("/healthz/ready", |status, _| status == 503).await;
    assert!(reasons.contains("serving: stopping"), "{reasons}");
    // The API server still uses the connections that it has, and is told to open others.
    let during = used.send(request()).await.unwrap();
    assert_eq!(during.status(), 200);
    assert_eq!(during.headers().get("connection").unwrap(), "close");
    used.closed().await;
    review(injector.webhook, &bundle(&api), &pod("bare")).await.unwrap();
    idle.closed().await;
    injector.ended().await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_option() {
    let taken = std::net::TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let mut args = crate::running::options();
    args.webhook_port = taken.local_addr().unwrap().port();
    let error = injector::app::App::start(&args).await.err().unwrap().to_string();
    assert!(error.contains("--webhook-port") && error.contains(&args.webhook_port.to_string()), "{error}");
}

#[tokio::test]
async fn without_a_cluster_the_remedy_is_named() {
    let mut args = crate::running::options();
    args.cluster.kubeconfig = Some("/nonexistent/kubeconfig".into());
    let error = injector::app::App::start(&args).await.err().unwrap().to_string();
    assert!(error.contains("/nonexistent/kubeconfig"), "{error}");
}
