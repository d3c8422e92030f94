//! The HTTP server for people, kubelet and scrapers: liveness, readiness, metrics. Read-only; nothing that changes the
//! program is reachable over a port.

mod server;

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{metrics::CONTENT_TYPE, metrics::Metrics, readiness::Readiness};
pub use server::{LONGEST_HEAD, Server, Settings};

/// Put into a response's extensions it takes the place of the response: the connection ends without one. For callers to
/// which every status means success.
#[derive(Clone, Copy, Debug)]
pub struct HangUp;

/// Answers `/healthz/live` always, and `/healthz/ready` by the conditions.
pub fn health(readiness: Readiness) -> Router {
    let ready = move || {
        let readiness = readiness.clone();
        async move { ready_response(&readiness) }
    };
    Router::new().route("/healthz/live", get(|| async { "live\n" })).route("/healthz/ready", get(ready))
}

/// Answers with the metrics under each of `paths`.
pub fn metrics(metrics: Metrics, paths: &[&str]) -> Router {
    paths.iter().fold(Router::new(), |router, path| {
        let metrics = metrics.clone();
        router
            .route(path, get(move || async move { ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text()) }))
    })
}

fn ready_response(readiness: &Readiness) -> Response {
    let reasons = readiness.reasons();
    if reasons.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned()).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{}\n", reasons.join("\n"))).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, http::Request, http::StatusCode};
    use tower::ServiceExt;

    use super::{health, metrics};
    use crate::{metrics::Metrics, readiness::Readiness};

    async fn get(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(flavor = "current_thread")]
    async fn readiness_follows_the_conditions_and_says_why_not() {
        let readiness = Readiness::default();
        let listeners = readiness.condition("listeners");
        let router = health(readiness);
        let (status, body) = get(&router, "/healthz/ready").await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\nlisteners: not yet\n")
        );
        listeners.holds();
        assert_eq!(get(&router, "/healthz/ready").await.0, StatusCode::OK);
        assert_eq!(get(&router, "/healthz/live").await.0, StatusCode::OK);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn metrics_are_under_every_path() {
        let router = metrics(Metrics::default(), &["/metrics", "/stats/prometheus"]);
        for path in ["/metrics", "/stats/prometheus"] {
            assert_eq!(get(&router, path).await, (StatusCode::OK, "# EOF\n".to_owned()));
        }
    }
}
