//! What is fuzzed: each target takes any bytes and panics when something is wrong. `fuzz/` gives them to libFuzzer, `fuzzing`
//! gives them a bounded number of seeded mutations with every run of the tests.

use std::cell::LazyCell;

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use http_body_util::BodyExt;
use hyper::Request;
use injector::inject::{Settings, Verdict};
use injector::webhook::{Reviewer, WebhookMetrics, router};
use runtime::metrics::Metrics;
use serde_json::{Value, json};
use tests::webhook::admission_review;
use tokio::runtime::Runtime;
use tower::ServiceExt;

use crate::corpus;
use crate::decided::{NAMESPACE, decision, patched};
use crate::judge;

/// The body of a request to the webhook: an answer or a 4xx that says why, and never a wrong patch.
pub(crate) fn review(bytes: &[u8]) {
    let Some((answer, sent)) = answered(bytes) else { return };
    let response = &answer["response"];
    assert_eq!(response["uid"], sent["request"]["uid"], "another uid");
    let original = &sent["request"]["object"];
    if response["allowed"] != true {
        assert!(
            response["patch"].is_null() && !text(&response["status"]["message"]).is_empty(),
            "{response}"
        );
        return;
    }
    let Some(patch) = response["patch"].as_str() else { return };
    let patch = base64::engine::general_purpose::STANDARD.decode(patch).expect("base64");
    let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("operations are RFC 6902");
    let mut patched = original.clone();
    json_patch::patch(&mut patched, &patch).expect("the patch applies");
    // A pod that claims to have been injected is put right, which changes what is not the user's.
    if original["metadata"]["annotations"][api::annotations::STATUS].is_null() {
        let faults = judge::injection(original, &patched);
        assert!(faults.is_empty(), "{faults:#?}");
    }
    let mut again = sent.clone();
    again["request"]["object"] = patched;
    let (again, _) = answered(again.to_string().as_bytes()).expect("a second review");
    assert!(again["response"]["allowed"] == true && again["response"]["patch"].is_null(), "second: {again}");
}

/// A pod of the corpus (the first byte says which) with annotations: records that end with 0xff, of which the first byte is the
/// key and the others are the value.
pub(crate) fn annotations(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let pods = corpus::pods();
    let mut pod = pods[usize::from(*first) % pods.len()].clone();
    let Some(metadata) = pod["metadata"].as_object_mut() else { return };
    let mut annotations = metadata.get("annotations").and_then(Value::as_object).cloned().unwrap_or_default();
    for record in rest.split(|byte| *byte == 0xff) {
        let Some((key, value)) = record.split_first() else { continue };
        let keys = corpus::annotation_keys();
        let key = keys[usize::from(*key) % keys.len()];
        // Somebody who says to have been injected is the matter of another target.
        if key != api::annotations::STATUS {
            annotations.insert(key.to_owned(), String::from_utf8_lossy(value).into());
        }
    }
    metadata.insert("annotations".to_owned(), annotations.into());
    let first = decision(&pod);
    let texts = first.reasons.iter().map(|reason| &reason.text).chain(&first.warnings);
    for text in texts {
        assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
    }
    if first.verdict == Verdict::Inject {
        let patched = patched(&pod, &first);
        let faults = judge::injection(&pod, &patched);
        assert!(faults.is_empty(), "{faults:#?}");
        let second = decision(&patched);
        assert!(second.verdict == Verdict::Unchanged && second.operations.is_empty(), "{second:?}");
    } else {
        assert!(first.operations.is_empty());
    }
}

/// Inputs to begin with: the reviews of the corpus.
pub(crate) fn review_seeds() -> impl Iterator<Item = Vec<u8>> {
    let small = corpus::pods().iter().filter(|pod| pod.to_string().len() < 8 * 1024);
    small.map(|pod| admission_review(NAMESPACE, pod).to_string().into_bytes())
}

/// Inputs to begin with: each key with values of several kinds.
pub(crate) fn annotation_seeds() -> impl Iterator<Item = Vec<u8>> {
    const VALUES: [&str; 7] =
        ["8080,9000-9010", "10.0.0.0/8,fd00::/8", "true", "250m", "30s", "{\"a\": [1]}", "warn"];
    (0..corpus::annotation_keys().len()).flat_map(|key| {
        let key = u8::try_from(key).expect("fewer than 256 keys");
        VALUES.iter().map(move |value| [&[key, key], value.as_bytes(), &[0xff]].concat())
    })
}

/// The answer as JSON and what was sent, if it is one to a review; what is no review gets a 4xx with a text.
fn answered(bytes: &[u8]) -> Option<(Value, Value)> {
    thread_local! {
        static WEBHOOK: LazyCell<(Runtime, Router)> = LazyCell::new(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
            (runtime, router(Reviewer::fixed(Settings::default()), WebhookMetrics::new(&Metrics::default())))
        });
    }
    let request = Request::post(api::control::WEBHOOK_NAMESPACE_PATH)
        .header("content-type", "application/json")
        .body(Body::from(bytes.to_vec()))
        .expect("a request");
    let (status, body) = WEBHOOK.with(|webhook| {
        let (runtime, router) = &**webhook;
        runtime.block_on(async {
            let response = router.clone().oneshot(request).await.expect("an answer");
            (response.status(), response.into_body().collect().await.expect("a body").to_bytes())
        })
    });
    if status != 200 {
        assert!(status.is_client_error() && body.len() > 10, "{status}: {}", String::from_utf8_lossy(&body));
        return None;
    }
    let answer: Value = serde_json::from_slice(&body).expect("an answer in JSON");
    assert_eq!(answer["kind"], json!("AdmissionReview"));
    // What nobody reads need not be right: a number out of range, say.
    Some((answer, serde_json::from_slice(bytes).ok()?))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
