//! `/metrics`: the proxy's own metrics; the application's are with them elsewhere ([`crate::app_metrics`]).

use axum::http::header;
use axum::{Router, routing::get};
use runtime::metrics::CONTENT_TYPE;

use crate::telemetry::exposition::{Format, Shown};

/// The page, in OpenMetrics.
pub(crate) fn page(shown: Shown) -> Router {
    let answer = move || {
        let body = shown.exposition(Format::OpenMetrics).into_body();
        std::future::ready(([(header::CONTENT_TYPE, CONTENT_TYPE)], body))
    };
    Router::new().route("/metrics", get(answer))
}
