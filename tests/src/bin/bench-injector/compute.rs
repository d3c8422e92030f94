//! The time from a review's bytes to the answer's: the webhook's own HTTP handler, without a connection around it, one thread.
//! Once after the other, and once as a cluster asks, where between two reviews the processor does so much else that its caches
//! hold nothing of us.

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

/// The same from cold caches, which take longer to be made cold.
const COLD_RUNS: usize = 200;

/// More than caches hold.
const ELSEWHERE: usize = 64 * 1024 * 1024;

pub(crate) async fn print() -> Result<()> {
    println!("Computing an answer, one thread, {RUNS} reviews each:");
    let (ordinary, large) = (reviews::median_pod(), reviews::large_pod());
    let again = injected(&ordinary)?;
    let mut elsewhere = vec![0_u8; ELSEWHERE];
    let mut cool = || elsewhere.iter_mut().step_by(64).for_each(|byte| *byte = byte.wrapping_add(1));
    for (name, pod, patched, cool, target) in [
        ("an ordinary pod", &ordinary, true, None, "wanted: p50 <= 50 µs (25 to be proud of)"),
        ("  from cold caches", &ordinary, true, Some(&mut cool), ""),
        ("the same, injected", &again, false, None, "wanted: p50 <= 50 µs"),
        ("1,500 variables", &large, true, None, "wanted: p50 <= 1 ms"),
    ] {
        let body = reviews::body(pod);
        let (times, patch) = measure(&body, patched, cool.map(|cool| cool as &mut dyn FnMut())).await?;
        println!(
            "  {name:<18} {:>7} bytes in, {patch:>5} out   p50 {:>10}   p99 {:>10}   {target}",
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
async fn measure(body: &Bytes, patched: bool, mut cool: Option<&mut dyn FnMut()>) -> Result<(Times, usize)> {
    let runs = if cool.is_some() { COLD_RUNS } else { RUNS };
    let webhook = router(Reviewer::fixed(Settings::default()), WebhookMetrics::new(&Metrics::default()));
    let mut times = Vec::with_capacity(runs);
    let mut length = 0;
    for run in 0..2 * runs {
        let request = hyper::Request::post(api::control::WEBHOOK_NAMESPACE_PATH)
            .header("content-type", "application/json")
            .body(Body::from(body.clone()))?;
        let webhook = webhook.clone();
        if let Some(cool) = &mut cool {
            cool();
        }
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
        if run >= runs {
            times.push(took);
        }
    }
    Ok((Times::new(times), length))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
