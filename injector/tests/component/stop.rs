//! The end of an injector, which must cost no review.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use injector::inject::Settings;
use injector::pki::{Ca, CurrentLeaf};
use injector::webhook::{self, Reviewer, ServerTiming, WebhookMetrics};
use runtime::metrics::Metrics;
use tests::webhook::{Connection, admission_review, review, server_name};

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

/// A connection that has grown old is closed together with an answer, never under a request.
#[tokio::test]
async fn an_old_connection_says_close() {
    let now = SystemTime::now();
    let ca = Ca::generate(now, Duration::from_secs(3600)).unwrap();
    let served = CurrentLeaf::default();
    served.replace(&ca.issue(&[server_name()], now, Duration::from_secs(60)).unwrap());
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = WebhookMetrics::new(&Metrics::default());
    let timing = ServerTiming {
        connection_age: Duration::ZERO,
        shutdown_delay: Duration::ZERO,
        finish: Duration::from_secs(5),
    };
    let (trigger, shutdown) = runtime::shutdown::channel();
    let reviewer = Reviewer::fixed(Settings::default());
    let server = tokio::spawn(webhook::serve(
        vec![listener],
        webhook::server_config(Arc::new(served), None).unwrap(),
        (webhook::router(reviewer, metrics.clone()), metrics),
        timing,
        shutdown,
    ));
    let mut old = Connection::open(address, ca.certificate_pem()).await.unwrap();
    let answer = old.send(request()).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers().get("connection").unwrap().as_bytes()),
        (200, &b"close"[..])
    );
    old.closed().await;
    trigger.request();
    server.await.unwrap().unwrap();
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
