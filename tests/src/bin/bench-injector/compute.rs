//! The time from a review's bytes to the answer's: the webhook's own HTTP handler, without a connection around it, one thread.

use std::time::Instant;

use anyhow::{Result, ensure};
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use injector::inject::Settings;
use injector::webhook::{Reviewer, WebhookMetrics, router};
use runtime::metrics::Metrics;
use tower::ServiceExt;

use crate::reviews;
use crate::times::{Times, micros};

/// Measured, after as many to warm up.
const RUNS: usize = 5000;

pub(crate) async fn print() -> Result<()> {
    println!("Computing an answer, one thread, {RUNS} reviews each:");
    for (name, pod, target) in [
        ("an ordinary pod", reviews::median_pod(), "p50 <= 50 µs (25 to be proud of)"),
        ("1,500 variables", reviews::large_pod(), "p50 <= 1 ms"),
    ] {
        let body = reviews::body(&pod);
        let (times, patch) = measure(&body).await?;
        println!(
            "  {name:<18} {:>7} bytes in, {patch} out   p50 {:>10}   p99 {:>10}   wanted: {target}",
            body.len(),
            micros(times.median()),
            micros(times.p99())
        );
    }
    Ok(())
}

async fn measure(body: &Bytes) -> Result<(Times, usize)> {
    let webhook = router(Reviewer::fixed(Settings::default()), WebhookMetrics::new(&Metrics::default()));
    let mut times = Vec::with_capacity(RUNS);
    let mut length = 0;
    for run in 0..2 * RUNS {
        let request = Request::post(api::control::WEBHOOK_NAMESPACE_PATH)
            .header("content-type", "application/json")
            .body(Body::from(body.clone()))?;
        let webhook = webhook.clone();
        let begun = Instant::now();
        let response = webhook.oneshot(request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        let took = begun.elapsed();
        ensure!(
            status == StatusCode::OK && contains(&answer, b"JSONPatch"),
            "the pod is not injected: {answer:?}"
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
