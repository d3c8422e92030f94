//! An injector that runs against a scripted API server, on ports that the kernel chose.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use injector::app::{App, AppError};
use injector::config::{Cli, Command, ServeArgs};
use runtime::shutdown::{self, Trigger};
use serde_json::Value;
use tests::api_server::{self, ApiServer};
use tests::webhook::{Connection, published_bundle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an event may take on a machine that does a lot else.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running injector.
pub(crate) struct Injector {
    /// The webhook.
    pub(crate) webhook: SocketAddr,
    admin: SocketAddr,
    trigger: Trigger,
    task: tokio::task::JoinHandle<Result<(), AppError>>,
}

/// An API server with the webhook configuration of the manifests.
pub(crate) fn api_server() -> ApiServer {
    let api = ApiServer::start().expect("an API server");
    api.put(&configuration_path(), configuration());
    api
}

/// The webhook configuration as the manifests apply it.
pub(crate) fn configuration() -> Value {
    serde_saphyr::from_str(include_str!("../../../manifests/webhook.yaml")).expect("manifests/webhook.yaml")
}

/// Where the API server keeps it.
pub(crate) fn configuration_path() -> String {
    api_server::webhook_configuration_path(api::control::WEBHOOK_CONFIGURATION)
}

/// Where the API server keeps the authority.
pub(crate) fn secret_path() -> String {
    api_server::secret_path(api::control::NAMESPACE, api::control::CA_SECRET)
}

/// The options of a test: defaults, ports of the kernel's choice, no delay at the end.
pub(crate) fn options() -> ServeArgs {
    let line = ["injector", "serve", "--webhook-port=0", "--admin-port=0", "--shutdown-delay=0s"];
    let Command::Serve(args) = Cli::try_parse_from(line).expect("options").command else {
        panic!("serve");
    };
    *args
}

impl Injector {
    /// Starts with changed options.
    pub(crate) async fn start(api: &ApiServer, change: impl FnOnce(&mut ServeArgs)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let kubeconfig = directory.path().join("kubeconfig");
        std::fs::write(&kubeconfig, api.kubeconfig()).expect("a kubeconfig");
        let mut args = options();
        args.cluster.kubeconfig = Some(kubeconfig);
        change(&mut args);
        let app = App::start(&args).await.expect("an injector");
        let (trigger, shutdown) = shutdown::channel();
        let (webhook, admin) = (app.webhook_address().expect("a port"), app.admin_address().expect("a port"));
        Self { webhook, admin, trigger, task: tokio::spawn(app.run(shutdown)) }
    }

    /// Starts with the options of a test, and waits until it is ready.
    pub(crate) async fn ready(api: &ApiServer) -> Self {
        let injector = Self::start(api, |_| {}).await;
        injector.becomes_ready().await;
        injector
    }

    /// Status and body of a page of the administration.
    pub(crate) async fn admin(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.admin).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("a status")?;
        let (_, body) = answer.split_once("\r\n\r\n").context("a body")?;
        Ok((status, body.to_owned()))
    }

    /// Asks a page again and again, as the kubelet does, until its status and body are as expected.
    pub(crate) async fn admin_until(&self, path: &str, expected: impl Fn(u16, &str) -> bool) -> String {
        let mut last = None;
        let asked = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            loop {
                tick.tick().await;
                if let Ok((status, body)) = self.admin(path).await {
                    if expected(status, &body) {
                        return body;
                    }
                    last = Some((status, body));
                }
            }
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(body) => body,
            Err(_) => panic!("{path} did not become as expected, last {last:?}"),
        }
    }

    pub(crate) async fn becomes_ready(&self) {
        self.admin_until("/healthz/ready", |status, _| status == 200).await;
    }

    /// Asks it to stop.
    pub(crate) fn stop(&self) {
        self.trigger.request();
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(self) -> anyhow::Result<()> {
        match tokio::time::timeout(PATIENCE, self.task).await {
            Ok(ended) => Ok(ended??),
            Err(_) => bail!("the injector did not end"),
        }
    }

    /// A connection that the published bundle verifies.
    pub(crate) async fn connect(&self, api: &ApiServer) -> anyhow::Result<Connection> {
        Connection::open(self.webhook, &bundle(api)).await
    }
}

/// The published bundle.
pub(crate) fn bundle(api: &ApiServer) -> String {
    let configuration = api.get(&configuration_path()).expect("a webhook configuration");
    published_bundle(&configuration).expect("a published bundle")
}
