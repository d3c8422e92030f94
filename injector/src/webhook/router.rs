//! The webhook's HTTP: one path for each entry of the webhook configuration. What is no review is answered with the 4xx
//! that says why; the API server shows the text to whoever created the pod.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::metrics::WebhookMetrics;
use super::review::Reviewer;
use crate::inject::Matched;

/// The longest body. An object in etcd has at most 1.5 MiB; a review holds it once, with room for escapes.
const MAX_BODY: usize = 3 * 1024 * 1024;

/// A body that takes longer would outlast the API server's own patience.
const BODY_TIMEOUT: Duration = Duration::from_secs(api::control::WEBHOOK_TIMEOUT_SECONDS as u64);

struct Shared {
    reviewer: Reviewer,
    metrics: WebhookMetrics,
}

/// All paths of the webhook.
pub fn router(reviewer: Reviewer, metrics: WebhookMetrics) -> Router {
    let shared = Arc::new(Shared { reviewer, metrics });
    Router::new()
        .route(
            api::control::WEBHOOK_NAMESPACE_PATH,
            post(|State(shared): State<Arc<Shared>>, request: Request<Body>| async move {
                answer(&shared, Matched::Namespace, request).await
            })
            .fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "reviews are sent by POST\n") }),
        )
        .route(
            api::control::WEBHOOK_OBJECT_PATH,
            post(|State(shared): State<Arc<Shared>>, request: Request<Body>| async move {
                answer(&shared, Matched::Object, request).await
            })
            .fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "reviews are sent by POST\n") }),
        )
        .fallback(|| async {
            let path = api::control::WEBHOOK_NAMESPACE_PATH;
            (StatusCode::NOT_FOUND, format!("there is nothing here; reviews go to {path}\n"))
        })
        .with_state(shared)
}

async fn answer(shared: &Shared, matched: Matched, request: Request<Body>) -> Response {
    let refused = |status, reason, text: String| {
        shared.metrics.refused(reason);
        tracing::info!(%status, reason, "a request that is no review");
        (status, format!("{text}\n")).into_response()
    };
    if !is_json(&request) {
        let text = "Content-Type must be application/json".to_owned();
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", text);
    }
    let body = match read(request.into_body()).await {
        Ok(body) => body,
        Err((status, reason, text)) => return refused(status, reason, text),
    };
    let start = Instant::now();
    match shared.reviewer.answer(&body, matched) {
        Ok(answer) => {
            shared.metrics.answered(answer.result, answer.reason, start.elapsed());
            ([(header::CONTENT_TYPE, "application/json")], answer.body).into_response()
        }
        Err(error) => refused(StatusCode::BAD_REQUEST, error.code(), error.to_string()),
    }
}

fn is_json(request: &Request<Body>) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    media.eq_ignore_ascii_case("application/json")
}

async fn read(body: Body) -> Result<Bytes, (StatusCode, &'static str, String)> {
    let whole = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await;
    match whole {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let text = format!("the body is longer than {MAX_BODY} bytes");
            Err((StatusCode::PAYLOAD_TOO_LARGE, "too-large", text))
        }
        Ok(Err(error)) => {
            Err((StatusCode::BAD_REQUEST, "broken-body", format!("the body ended early: {error}")))
        }
        Err(_) => {
            let text = format!("the body took longer than {} s", BODY_TIMEOUT.as_secs());
            Err((StatusCode::REQUEST_TIMEOUT, "slow-body", text))
        }
    }
}
