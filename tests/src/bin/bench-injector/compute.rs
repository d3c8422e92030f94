//! The time from a review's bytes to the answer's: the webhook's own HTTP handler, without a connection around it, one thread.

use std::time::Instant;

use anyhow::{Error, Result, ensure};
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Bytes;
use injector::inject::{Matched, Request, Settings, apply, decide};
use injector::webhook::{Reviewer, WebhookMetrics, router};
use runtime::metrics::Metrics;
use serde_json::Value;
use tower::ServiceExt;

use crate::reviews;
use crate::times::{Times, micros};

const ALLOWED: &[u8] = b"\"allowed\":true";
const PATCH: &[u8] = b"JSONPatch";

/// Measured, after as many to warm up.
const RUNS: usize = 5000;

pub(crate) async fn print() -> Result<()> {
    println!("Computing an answer, one thread, {RUNS} reviews each:");
    let (ordinary, large) = (reviews::median_pod(), reviews::large_pod());
    let again = injected(&ordinary)?;
    for (name, pod, patched, target) in [
        ("an ordinary pod", ordinary, true, "p50 <= 50 µs (25 to be proud of)"),
        ("the same, injected", again, false, "p50 <= 50 µs"),
        ("1,500 variables", large, true, "p50 <= 1 ms"),
    ] {
        let body = reviews::body(&pod);
        let (times, patch) = measure(&body, patched).await?;
        println!(
            "  {name:<18} {:>7} bytes in, {patch:>5} out   p50 {:>10}   p99 {:>10}   wanted: {target}",
            body.len(),
            micros(times.median()),
            micros(times.p99())
        );
    }
    Ok(())
}

/// The pod as the API server sends it once more, when another webhook has touched it.
fn injected(pod: &Value) -> Result<Value> {
    let request = Request {
        pod,
        matched: Matched::Namespace,
        namespace: reviews::NAMESPACE.into(),
        requester: None,
        workload: None,
    };
    let mut injected = pod.clone();
    apply(&mut injected, &decide(&request, &Settings::default()).operations).map_err(Error::msg)?;
    Ok(injected)
}

/// If `patched`, the answers must have a patch; else they must have none.
async fn measure(body: &Bytes, patched: bool) -> Result<(Times, usize)> {
    let webhook = router(Reviewer::fixed(Settings::default()), WebhookMetrics::new(&Metrics::default()));
    let mut times = Vec::with_capacity(RUNS);
    let mut length = 0;
    for run in 0..2 * RUNS {
        let request = hyper::Request::post(api::control::WEBHOOK_NAMESPACE_PATH)
            .header("content-type", "application/json")
            .body(Body::from(body.clone()))?;
        let webhook = webhook.clone();
        let begun = Instant::now();
        let response = webhook.oneshot(request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        let took = begun.elapsed();
        ensure!(
            status == StatusCode::OK && contains(&answer, ALLOWED) && contains(&answer, PATCH) == patched,
            "not the expected answer: {answer:?}"
        );
        length = answer.len();
        if run >= RUNS {
            times.push(took);
        }
    }
    Ok((Times::new(times), length))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
