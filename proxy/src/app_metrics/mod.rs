//! The application's own metrics together with the proxy's, for a scraper that was pointed at the proxy.
//!
//! The application's text goes through line by line and in its own format; the proxy's follows it, translated where the
//! format is the older one. Invariant: what is sent is valid whatever the application sends (garbage is left out, a family
//! that both have is one family), and the proxy's own metrics are in it whatever becomes of the application's.

mod line;
mod merge;
mod negotiation;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode, header};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::application::{Answer, CallError, Client};
use crate::telemetry::ScrapeResult;
use crate::telemetry::exposition::{Format, Shown};
use crate::telemetry::metrics::Metrics;
pub(crate) use merge::{LINE, TOTAL};
use merge::{Merge, Stream};
pub use target::{Scraped, TargetError};

/// Where the scraper names no limit of its own: Prometheus' default.
pub(crate) const SCRAPE_LIMIT: Duration = Duration::from_secs(10);

/// Prometheus says in seconds how long it will wait.
const LIMIT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

/// What the application is asked for on the scraper's behalf.
const PASSED_ON: [header::HeaderName; 2] = [header::USER_AGENT, header::AUTHORIZATION];

/// Where the application's metrics are.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Where the application serves metrics of its own, which are then served with the proxy's
    #[arg(long, env = api::env::PROMETHEUS_ANNOTATIONS, default_value = "", hide_default_value = true,
          value_name = "JSON")]
    pub application_metrics: Scraped,

    /// Scrapes of the application's metrics at once; more wait, within their time
    #[arg(long, env = "REMORA_MAX_APPLICATION_SCRAPES", default_value_t = 4, value_name = "NUMBER",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub max_application_scrapes: u16,
}

/// What every scrape uses.
pub(crate) struct Scraper {
    scraped: Scraped,
    client: Client,
    own: Shown,
    telemetry: Metrics,
    slots: Arc<Semaphore>,
    failing: AtomicBool,
}

/// The application's answer could not be used.
struct Unusable(ScrapeResult, String);

impl Scraper {
    pub(crate) fn new(settings: &Settings, client: Client, own: Shown, telemetry: Metrics) -> Self {
        Self {
            scraped: settings.application_metrics.clone(),
            client,
            own,
            telemetry,
            slots: Arc::new(Semaphore::new(settings.max_application_scrapes.into())),
            failing: AtomicBool::new(false),
        }
    }

    /// Answers under the path that Istio has for both.
    pub(crate) fn routes(self) -> Router {
        let scraper = Arc::new(self);
        let answer = move |request: Request| {
            let scraper = Arc::clone(&scraper);
            let (head, _) = request.into_parts();
            async move { scraper.answer(&head).await }
        };
        Router::new().route(api::control::MERGED_METRICS_PATH, get(answer))
    }

    async fn answer(self: Arc<Self>, head: &Parts) -> Response {
        if !self.scraped.is_any() {
            return self.own_alone(&head.headers);
        }
        let deadline = Instant::now() + patience(&head.headers);
        let slot = timeout_at(deadline, Arc::clone(&self.slots).acquire_owned()).await;
        let Ok(Ok(slot)) = slot else {
            self.tell(ScrapeResult::Busy, "too many scrapes at once");
            return self.own_alone(&head.headers);
        };
        match timeout_at(deadline, self.ask(head)).await {
            Ok(Ok((answer, format))) => {
                let content_type = format.content_type(answer.response.headers());
                let (sender, body) = Stream::channel();
                tokio::spawn(async move {
                    let mut merge = Merge::new(format, self.own.exposition(format), sender);
                    let (result, problem) = merge.application(answer, deadline).await;
                    drop(slot);
                    self.tell(result, &problem);
                    merge.finish(self.own.exposition(format)).await;
                });
                ([(header::CONTENT_TYPE, content_type)], Body::new(body)).into_response()
            }
            Ok(Err(Unusable(result, problem))) => {
                self.tell(result, &problem);
                self.own_alone(&head.headers)
            }
            Err(_) => {
                self.tell(ScrapeResult::Timeout, "no answer in time");
                self.own_alone(&head.headers)
            }
        }
    }

    async fn ask(&self, head: &Parts) -> Result<(Answer, Format), Unusable> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, negotiation::accept(&head.headers));
        headers.insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
        for name in PASSED_ON {
            headers.extend(head.headers.get(&name).map(|value| (name, value.clone())));
        }
        let answer = self.scraped.ask(&self.client, head.uri.query(), headers).await.map_err(unreachable)?;
        let response = &answer.response;
        if response.status() != StatusCode::OK {
            return Err(Unusable(ScrapeResult::Status, format!("status {}", response.status())));
        }
        let encoding = response.headers().get(header::CONTENT_ENCODING);
        if let Some(encoding) = encoding.filter(|encoding| *encoding != "identity") {
            let problem = format!("content encoding {encoding:?}, although identity was asked for");
            return Err(Unusable(ScrapeResult::Unsupported, problem));
        }
        match Format::of(response.headers()) {
            Some(format) => Ok((answer, format)),
            None => {
                Err(Unusable(ScrapeResult::Unsupported, "a content type that was not asked for".to_owned()))
            }
        }
    }

    fn own_alone(&self, headers: &HeaderMap) -> Response {
        let format = Format::wanted(headers);
        let body = self.own.exposition(format).into_body();
        ([(header::CONTENT_TYPE, format.default_content_type())], body).into_response()
    }

    /// Counts every scrape, and writes a line for each turn: a scraper asks for ever.
    fn tell(&self, result: ScrapeResult, problem: &str) {
        self.telemetry.scraped_application(result);
        let (failing, name) = (result != ScrapeResult::Complete, self.scraped.name(&self.client));
        if self.failing.swap(failing, Ordering::Relaxed) == failing {
            return;
        }
        match failing {
            true => tracing::warn!(result = result.name(), "metrics of the application at {name}: {problem}"),
            false => tracing::info!("metrics of the application at {name} are complete again"),
        }
    }
}

fn unreachable(error: CallError) -> Unusable {
    Unusable(ScrapeResult::Unreachable, error.to_string())
}

/// A tenth less than the scraper's, so that it gets the proxy's metrics when the application does not answer.
fn patience(headers: &HeaderMap) -> Duration {
    let named = headers.get(LIMIT_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
    let named = named.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    named.filter(|limit| !limit.is_zero()).unwrap_or(SCRAPE_LIMIT).min(6 * SCRAPE_LIMIT) * 9 / 10
}

#[cfg(test)]
mod tests {
    use super::{Duration, HeaderMap, LIMIT_HEADER, patience};

    #[test]
    fn the_scrapers_patience_is_not_used_up() {
        for (named, left) in
            [("", 9.0), ("2", 1.8), ("0.5", 0.45), ("0", 9.0), ("-1", 9.0), ("NaN", 9.0), ("1e9", 54.0)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(LIMIT_HEADER, named.parse().unwrap());
            assert_eq!(patience(&headers), Duration::from_secs_f64(left), "{named}");
        }
    }
}
