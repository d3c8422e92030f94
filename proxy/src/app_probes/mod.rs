//! The application's probes and lifecycle handlers where the kubelet asks the proxy instead of the application: a TCP probe
//! would always find the proxy's open port, and others would have to get past the mesh's TLS.
//!
//! The injector writes the table and points the probes at these paths. Invariant: the answer is the application's own, and
//! where it gave none the kubelet sees a failure: a status for a probe, and no answer at all for a lifecycle handler, since
//! the kubelet takes every status of a handler for a success.

mod check;
mod grpc;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use runtime::admin::HangUp;
use tokio::sync::Semaphore;

use crate::application::Client;
use check::Outcome;
use table::Prober;
pub use table::{Probers, ProbersError};

/// Calls of one path at a time; the kubelet makes one.
pub(crate) const AT_ONCE: usize = 4;

/// The probes that the proxy makes.
#[derive(clap::Args, Clone, Debug, Default)]
#[group(skip)]
pub struct Settings {
    /// The application's probes, by the path under which the kubelet asks the proxy for them
    #[arg(long, env = api::env::APP_PROBERS, default_value = "", hide_default_value = true,
          hide_env_values = true, value_name = "JSON")]
    pub application_probes: Probers,
}

/// One path.
struct Entry {
    prober: Prober,
    slots: Semaphore,
    failing: AtomicBool,
}

/// Answers under `/app-health` and `/app-lifecycle`.
pub(crate) fn routes(settings: &Settings, client: Client) -> Router {
    let entry = |(path, prober): (&String, &Prober)| {
        let entry =
            Entry { prober: prober.clone(), slots: Semaphore::new(AT_ONCE), failing: AtomicBool::new(false) };
        (path.clone(), entry)
    };
    let table: Arc<BTreeMap<String, Entry>> =
        Arc::new(settings.application_probes.table().iter().map(entry).collect());
    [api::control::APP_HEALTH_PATH, api::control::APP_LIFECYCLE_PATH].iter().fold(
        Router::new(),
        |router, prefix| {
            let (table, client) = (Arc::clone(&table), client.clone());
            let answer = move |request: Request| {
                let (table, client) = (Arc::clone(&table), client.clone());
                let (head, _) = request.into_parts();
                async move { answer(&table, &client, &head).await }
            };
            router.route(&format!("{prefix}/{{*probe}}"), get(answer))
        },
    )
}

async fn answer(table: &BTreeMap<String, Entry>, client: &Client, head: &Parts) -> Response {
    let path = head.uri.path();
    let Some(entry) = table.get(path) else {
        let text = format!("no probe of the application is known under {path}\n");
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let outcome = entry.outcome(client, &head.headers).await;
    entry.tell(path, &outcome);
    let mut response = (outcome.status, format!("{}\n", outcome.text)).into_response();
    if !outcome.answered && path.starts_with(api::control::APP_LIFECYCLE_PATH) {
        response.extensions_mut().insert(HangUp);
    }
    response
}

impl Entry {
    /// The time to wait for a slot counts too.
    async fn outcome(&self, client: &Client, headers: &HeaderMap) -> Outcome {
        let asked = async {
            // The semaphore is never closed.
            let _slot = self.slots.acquire().await;
            check::outcome(&self.prober.action, client, headers).await
        };
        let Some(limit) = self.prober.timeout else { return asked.await };
        match tokio::time::timeout(limit, asked).await {
            Ok(outcome) => outcome,
            Err(_) => check::timed_out(&self.prober.action, client, limit),
        }
    }

    /// The kubelet shows the status alone, so the reason has to be in the log; once for each turn, since it asks for ever.
    fn tell(&self, probe: &str, outcome: &Outcome) {
        let failing = !outcome.passed();
        if self.failing.swap(failing, Ordering::Relaxed) == failing {
            return;
        }
        match failing {
            true => tracing::warn!(probe, "probe of the application fails: {}", outcome.text),
            false => tracing::info!(probe, "probe of the application passes again: {}", outcome.text),
        }
    }
}
