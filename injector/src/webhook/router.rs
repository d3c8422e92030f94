//! The webhook's HTTP: one path for each entry of the webhook configuration. What is no review is answered with the 4xx
//! that says why; the API server shows the text to whoever created the pod.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::body::{self, BadBody};
use super::limits::{self, Limits, SHORT, Shed};
use super::metrics::WebhookMetrics;
use super::review::{Answer, BadReview, Reviewer};
use crate::inject::Matched;

struct Shared {
    reviewer: Reviewer,
    metrics: WebhookMetrics,
    limits: Limits,
}

/// All paths of the webhook.
pub fn router(reviewer: Reviewer, metrics: WebhookMetrics) -> Router {
    let shared = Arc::new(Shared { reviewer, metrics, limits: Limits::new() });
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
    let _in_flight = shared.metrics.in_flight();
    match reviewed(shared, matched, request).await {
        Ok(answer) => {
            let json = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, json)], answer.body).into_response()
        }
        Err(Unanswered::Body(BadBody::Refused { status, reason, text })) => {
            refused(shared, (status, reason), &text)
        }
        Err(Unanswered::Review(error)) => {
            refused(shared, (StatusCode::BAD_REQUEST, error.code()), &error.to_string())
        }
        Err(Unanswered::Body(BadBody::Shed(shed)) | Unanswered::Shed(shed)) => {
            shared.metrics.shed(shed);
            tracing::debug!(?shed, "a review was not taken on");
            let text = "too many reviews at once; create the pod again\n";
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], text).into_response()
        }
    }
}

enum Unanswered {
    Body(BadBody),
    Review(BadReview),
    Shed(Shed),
}

async fn reviewed(shared: &Shared, matched: Matched, request: Request<Body>) -> Result<Answer, Unanswered> {
    body::check(request.headers()).map_err(Unanswered::Body)?;
    let deadline = tokio::time::Instant::now() + limits::patience(request.uri().query());
    let asked = request.headers().contains_key(header::EXPECT);
    let read = body::read(request.into_body(), &shared.limits, deadline, asked).await;
    let (body, room) = read.map_err(Unanswered::Body)?;
    let start = Instant::now();
    let answered = if body.len() <= SHORT {
        shared.reviewer.answer(&body, matched)
    } else {
        let turn = shared.limits.turn(deadline).await.map_err(Unanswered::Shed)?;
        let reviewer = shared.reviewer.clone();
        // The rights go along: a client that hangs up ends the waiting, not the work.
        let decide = move || {
            let _rights = (room, turn);
            reviewer.answer(&body, matched)
        };
        tokio::task::spawn_blocking(decide).await.map_err(|_| Unanswered::Shed(Shed::LongReviews))?
    };
    let answer = answered.map_err(Unanswered::Review)?;
    shared.metrics.answered(&answer, start.elapsed());
    Ok(answer)
}

/// The text goes to whoever asked, not into the log: it may quote a pod.
fn refused(shared: &Shared, (status, reason): (StatusCode, &'static str), text: &str) -> Response {
    shared.metrics.refused(reason);
    tracing::info!(%status, reason, "a request that is no review");
    (status, format!("{text}\n")).into_response()
}
