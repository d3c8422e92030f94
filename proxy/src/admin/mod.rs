//! The proxy's HTTP servers for people, kubelet and scrapers. Read-only, and on the main thread, so that a costly scrape
//! does not delay traffic.
//!
//! Each port answers only what it is for: 15021 and captured probes health, 15020 metrics and what is asked of the application
//! for others, 15000 (loopback) the rest.

pub(crate) mod connections;
pub(crate) mod memory;
pub(crate) mod metrics;

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use runtime::admin::Server;
use runtime::listen::{Listen, ListenError, Scope};
use runtime::readiness::Readiness;
use runtime::shutdown::Shutdown;
use tokio::task::JoinSet;

use crate::probe::CapturedProbes;

/// The ports, and what is shown on them.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Port for metrics
    #[arg(long, env = "REMORA_PORT_METRICS", default_value_t = api::ports::METRICS, value_name = "PORT")]
    pub metrics_port: u16,

    /// Port for readiness and liveness
    #[arg(long, env = api::env::READINESS_PORT, default_value_t = api::ports::READINESS, value_name = "PORT")]
    pub readiness_port: u16,

    /// Port for administration; on loopback only
    #[arg(long, env = "REMORA_PORT_ADMIN", default_value_t = api::ports::ADMIN, value_name = "PORT")]
    pub admin_port: u16,

    /// Report of init-redirect, which /redirect on the administration port shows
    #[arg(long, env = "REMORA_REDIRECT_REPORT", default_value = api::pod::REDIRECT_REPORT, value_name = "FILE")]
    pub redirect_report: PathBuf,

    /// What clients of these ports may take
    #[command(flatten)]
    pub clients: runtime::admin::Settings,
}

/// The bound ports.
#[derive(Debug)]
pub struct Admin {
    /// On the wildcard.
    pub metrics: Vec<TcpListener>,
    /// On the wildcard.
    pub readiness: Vec<TcpListener>,
    /// On loopback.
    pub administration: Vec<TcpListener>,
    redirect_report: PathBuf,
}

/// What the ports answer besides health, and by what limits.
pub struct Pages {
    /// Serves them.
    pub server: Server,
    /// All that the port for metrics answers.
    pub metrics: Router,
    /// What the port for administration answers besides health and the report of init-redirect.
    pub administration: Router,
}

impl Admin {
    /// Binds all ports.
    pub fn bind(settings: &Settings) -> Result<Self, ListenError> {
        let listen = |purpose, flag, scope, port| Listen { purpose, flag, scope, port, shared: false }.bind();
        Ok(Self {
            metrics: listen("metrics", "--metrics-port", Scope::Wildcard, settings.metrics_port)?,
            readiness: listen("readiness", "--readiness-port", Scope::Wildcard, settings.readiness_port)?,
            administration: listen("administration", "--admin-port", Scope::Loopback, settings.admin_port)?,
            redirect_report: settings.redirect_report.clone(),
        })
    }

    /// Serves until it is dropped or one of the servers fails.
    pub async fn serve(
        self,
        readiness: Readiness,
        pages: Pages,
        probes: CapturedProbes,
        shutdown: Shutdown,
    ) -> std::io::Result<()> {
        let health = runtime::admin::health(readiness);
        let Pages { server, metrics, administration } = pages;
        let administration = administration.merge(health.clone()).merge(redirect(self.redirect_report));
        let mut servers = JoinSet::new();
        for (listeners, router) in
            [(self.readiness, health.clone()), (self.metrics, metrics), (self.administration, administration)]
        {
            servers.spawn(server.clone().serve(listeners, router, shutdown.clone()));
        }
        servers.spawn(async move {
            server.serve_one(probes, health, shutdown).await;
            Ok(())
        });
        while let Some(ended) = servers.join_next().await {
            ended.map_err(std::io::Error::other)??;
        }
        Ok(())
    }
}

fn redirect(report: PathBuf) -> Router {
    Router::new().route("/redirect", get(move || std::future::ready(report_response(&report))))
}

/// Reads the few kilobytes of a tmpfs file, which does not block.
fn report_response(report: &Path) -> Response {
    match std::fs::read_to_string(report) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => {
            let text = format!("{}: {error}; init-redirect has left no report\n", report.display());
            (StatusCode::NOT_FOUND, text).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::report_response;
    use axum::http::{StatusCode, header};

    #[test]
    fn a_report_is_shown_and_a_missing_one_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("redirect.json");
        let missing = report_response(&file);
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
        std::fs::write(&file, "{}").unwrap();
        let shown = report_response(&file);
        assert_eq!(
            (shown.status(), &shown.headers()[header::CONTENT_TYPE]),
            (StatusCode::OK, &"application/json".parse().unwrap())
        );
    }
}
