//! Reviews over TLS: what is answered to pods, and what to everything else.

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tests::webhook::{REVIEW_UID, admission_review, apply, review};

use crate::common::{decision, expected, injected_pods, patched, pod, pods};
use crate::running::{Injector, api_server, bundle};

const PATH: &str = api::control::WEBHOOK_NAMESPACE_PATH;

/// I10: the webhook says what the pure function says.
#[tokio::test]
async fn answers_carry_the_decision() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let bundle = bundle(&api);
    for pod in injected_pods() {
        let answer = review(injector.webhook, &bundle, &pod).await.unwrap();
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["response"]["uid"], REVIEW_UID);
        assert_eq!(answer["response"]["patchType"], "JSONPatch");
        assert_eq!(apply(&answer, &pod).unwrap(), patched(&pod, &decision(&pod)));
    }
    for pod in pods().iter().filter(|pod| expected(pod).starts_with("reject")) {
        let response = review(injector.webhook, &bundle, pod).await.unwrap()["response"].clone();
        assert_eq!((&response["allowed"], &response["patch"]), (&json!(false), &Value::Null));
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.contains(&decision(pod).reasons[0].text), "{message}");
    }
    for pod in pods().iter().filter(|pod| expected(pod).starts_with("skip")) {
        let response = review(injector.webhook, &bundle, pod).await.unwrap()["response"].clone();
        assert_eq!(response, json!({"uid": REVIEW_UID, "allowed": true}));
    }
    let (_, metrics) = injector.admin("/metrics").await.unwrap();
    for line in [
        "injection_total{result=\"injected\",reason=\"namespace-enabled\"}",
        "injection_total{result=\"rejected\",reason=\"port-conflict\"}",
        "injection_total{result=\"skipped\",reason=\"host-network\"}",
        "injection_duration_seconds_bucket{le=\"0.00001\"}",
        "webhook_bundle_match 1",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn a_second_review_is_counted_as_unchanged() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let pod = pod("inits");
    let first = review(injector.webhook, &bundle(&api), &pod).await.unwrap();
    let patched = apply(&first, &pod).unwrap();
    let second = review(injector.webhook, &bundle(&api), &patched).await.unwrap();
    assert_eq!(second["response"], json!({"uid": REVIEW_UID, "allowed": true}));
    let (_, metrics) = injector.admin("/metrics").await.unwrap();
    assert!(
        metrics.contains("injection_total{result=\"unchanged\",reason=\"already-injected\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn other_operations_are_allowed_untouched() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let mut connection = injector.connect(&api).await.unwrap();
    let created = admission_review("shop", &pod("bare"));
    let cases: [(&str, &str, Value); 4] = [
        ("/request/operation", "DELETE", Value::Null),
        ("/request/operation", "UPDATE", pod("bare")),
        ("/request/operation", "CONNECT", Value::Null),
        ("/request/subResource", "ephemeralcontainers", pod("bare")),
    ];
    for (field, value, object) in cases {
        let mut review = created.clone();
        review["request"]["subResource"] = json!("");
        *review.pointer_mut(field).unwrap() = json!(value);
        review["request"]["object"] = object;
        let (status, body) = connection.post(PATH, review.to_string().into()).await.unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, 200);
        assert_eq!(answer["response"], json!({"uid": REVIEW_UID, "allowed": true}), "{value}");
    }
}

#[tokio::test]
async fn a_dry_run_is_answered_alike() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let mut connection = injector.connect(&api).await.unwrap();
    let mut review = admission_review("shop", &pod("bare"));
    let (_, real) = connection.post(PATH, review.to_string().into()).await.unwrap();
    review["request"]["dryRun"] = json!(true);
    let (_, dry) = connection.post(PATH, review.to_string().into()).await.unwrap();
    assert_eq!(real, dry);
}

#[tokio::test]
async fn warnings_reach_the_author() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let mut pod = pod("bare");
    pod["metadata"]["annotations"] = json!({"sidecar.istio.io/proxyCpu": "1"});
    let answer = review(injector.webhook, &bundle(&api), &pod).await.unwrap();
    let warning = answer["response"]["warnings"][0].as_str().unwrap();
    assert!(warning.contains("sidecar.istio.io/proxyCpu"), "{warning}");
}

/// What is no review gets a 4xx that says why, and the connection or the next one goes on.
#[tokio::test]
async fn what_is_no_review_is_refused() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let with = |field: &str, value: Value| {
        let mut review = admission_review("shop", &pod("bare"));
        *review.pointer_mut(field).unwrap() = value;
        review.to_string()
    };
    let cases: [(String, u16, &str); 12] = [
        (String::new(), 400, "not an AdmissionReview"),
        ("{".to_owned(), 400, "not an AdmissionReview"),
        ("[]".to_owned(), 400, "not an AdmissionReview"),
        ("\u{0}\u{1}".to_owned(), 400, "not an AdmissionReview"),
        ("{}".to_owned(), 400, "expected is"),
        (with("/kind", json!("Pod")), 400, "expected is"),
        (with("/apiVersion", json!("admission.k8s.io/v1beta1")), 400, "admissionReviewVersions"),
        (with("/request", Value::Null), 400, "no request"),
        (with("/request/uid", json!("")), 400, "no uid"),
        (with("/request/kind/kind", json!("Deployment")), 400, "only pods"),
        (format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)), 400, "not an AdmissionReview"),
        (with("/request/object", json!("x".repeat(3 << 20))), 413, "longer than"),
    ];
    for (body, status, text) in cases {
        let mut connection = injector.connect(&api).await.unwrap();
        let (found, answer) = connection.post(PATH, body.clone().into()).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let shown: String = body.chars().take(80).collect();
        assert!(found == status && answer.contains(text), "{shown}: {found} {answer}");
    }
    let (_, metrics) = injector.admin("/metrics").await.unwrap();
    for line in [
        "injection_total{result=\"invalid\",reason=\"old-version\"} 1",
        "injection_total{result=\"invalid\",reason=\"too-large\"} 1",
        "injection_duration_seconds_count 0",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn other_paths_methods_and_media_types_are_refused() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let mut connection = injector.connect(&api).await.unwrap();
    let body = || Full::new(Bytes::from(admission_review("shop", &pod("bare")).to_string()));
    let request = |method: &str, path: &str, media: &str| {
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", "test")
            .header("content-type", media)
            .body(body())
            .unwrap()
    };
    for (method, path, media, status, text) in [
        ("POST", "/", "application/json", 404, PATH),
        ("POST", "/inject", "application/json", 404, PATH),
        ("GET", PATH, "application/json", 405, "by POST"),
        ("POST", PATH, "text/plain", 415, "application/json"),
        ("POST", PATH, "application/json; charset=utf-8", 200, "JSONPatch"),
    ] {
        let answer = connection.send(request(method, path, media)).await.unwrap();
        let text_found = String::from_utf8_lossy(answer.body()).into_owned();
        assert!(answer.status() == status && text_found.contains(text), "{method} {path}: {answer:?}");
    }
}

/// Whoever does not speak TLS is turned away, and nobody else notices.
#[tokio::test]
async fn plain_text_disturbs_nobody() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let mut stream = tokio::net::TcpStream::connect(injector.webhook).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // Closed or reset, after an alert or without.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(review(injector.webhook, &bundle(&api), &pod("bare")).await.is_ok());
}
