//! An installation on a control plane of its own: the namespace, the rights and the webhook configuration that `export`
//! prints, and a running injector that has no other rights than these.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use injector::app::{App, AppError};
use injector::config::{Cli, Command};
use injector::export::{Kind, Origin, render, webhook_configuration};
use injector::inject::Settings;
use runtime::shutdown::{self, Trigger};
use serde_json::{Value, json};
use tests::control_plane::{Client, ControlPlane, pods_path};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an event may take on a machine that does a lot else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

pub(crate) struct Mesh {
    pub(crate) control_plane: ControlPlane,
    admin: SocketAddr,
    /// The webhook configuration as it is applied.
    pub(crate) configuration: Value,
    trigger: Trigger,
    _task: tokio::task::JoinHandle<Result<(), AppError>>,
    directory: tempfile::TempDir,
}

impl Mesh {
    /// An installation whose configuration file says this, ready.
    pub(crate) async fn start(said: &Value, api_server: &[String]) -> Self {
        let arguments: Vec<&str> = api_server.iter().map(String::as_str).collect();
        let control_plane = ControlPlane::start(&arguments).await.expect("a control plane");
        control_plane.create_namespace(api::control::NAMESPACE, &json!({})).await.expect("our namespace");
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join(CONFIGURATION_FILE);
        std::fs::write(&file, configuration_file(said)).expect("a configuration");
        let line = ["injector", "serve", "--webhook-port=0", "--admin-port=0", "--shutdown-delay=0s"];
        let Command::Serve(mut args) = Cli::try_parse_from(line).expect("options").command else {
            panic!("serve")
        };
        args.configuration.config = Some(file);
        let settings = args.configuration.load(&args.namespace).expect("a configuration").settings;
        grant(&control_plane, &settings).await;
        let kubeconfig = directory.path().join("kubeconfig");
        let token = token(&control_plane).await;
        std::fs::write(&kubeconfig, control_plane.kubeconfig_with(&token)).expect("a kubeconfig");
        args.cluster.kubeconfig = Some(kubeconfig);
        let app = App::start(&args).await.expect("an injector");
        let port = app.webhook_address().expect("a port").port();
        let admin = app.admin_address().expect("a port");
        let (trigger, shutdown) = shutdown::channel();
        let task = tokio::spawn(app.run(shutdown));
        let service = control_plane.create_service(api::control::NAMESPACE, api::control::INJECTOR, port);
        service.await.expect("the Service");
        let mut configuration = webhook_configuration(&settings);
        for entry in configuration["webhooks"].as_array_mut().expect("entries") {
            // The Service leads to a port of this machine, and is called by the same.
            entry["clientConfig"]["service"]["port"] = json!(port);
        }
        let mesh = Self { control_plane, admin, configuration, trigger, _task: task, directory };
        mesh.configure().await;
        mesh.published().await;
        mesh
    }

    /// A client that may do everything.
    pub(crate) fn client(&self) -> Client {
        self.control_plane.client().expect("a client")
    }

    /// Creates the webhook configuration.
    pub(crate) async fn configure(&self) {
        self.client().create(CONFIGURATIONS, &self.configuration).await.expect("the webhook configuration");
    }

    /// The webhook configuration as it is found.
    pub(crate) async fn found(&self) -> Value {
        self.client().get(&configuration_path()).await.expect("an answer").json().expect("JSON")
    }

    /// Waits until every entry has its bundle.
    pub(crate) async fn published(&self) {
        until("a bundle in every entry", async || {
            let configuration = self.found().await;
            let mut entries = configuration["webhooks"].as_array()?.iter();
            entries.all(|entry| entry["clientConfig"]["caBundle"].is_string()).then_some(())
        })
        .await;
    }

    /// Waits until readiness says this: 200 or 503.
    pub(crate) async fn readiness(&self, status: &str) {
        until(&format!("readiness {status}"), async || {
            let answer = self.admin(api::control::READY_PATH).await?;
            answer.starts_with(&format!("HTTP/1.1 {status}")).then_some(())
        })
        .await;
    }

    /// Waits until the injector's metrics have this line.
    pub(crate) async fn counted(&self, line: &str) {
        until(line, async || {
            let metrics = self.admin("/metrics").await?;
            metrics.lines().any(|found| found == line).then_some(())
        })
        .await;
    }

    /// What the injector's administration answers.
    pub(crate) async fn admin(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.admin).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: injector\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    }

    /// Changes what the configuration file says, and waits until that is in force.
    pub(crate) async fn reconfigure(&self, said: &Value) {
        let file = self.directory.path().join(CONFIGURATION_FILE);
        std::fs::write(file, configuration_file(said)).expect("a configuration");
        self.counted("injector_configuration_reloads_total{result=\"applied\"} 1").await;
    }

    /// Creates a pod as a dry run, and says what became of it.
    pub(crate) async fn create(&self, namespace: &str) -> Result<Value, String> {
        let answer =
            self.client().post(&dry_run(namespace), &pod()).await.map_err(|error| error.to_string())?;
        if answer.status.is_success() { Ok(answer.json().expect("JSON")) } else { Err(answer.text()) }
    }

    /// Waits until a pod can be created, and returns it.
    pub(crate) async fn created(&self, namespace: &str) -> Value {
        until("a pod", async || self.create(namespace).await.ok()).await
    }
}

/// Asks again until there is an answer, at the pace of whoever is asked: what API servers have learned of is announced nowhere.
pub(crate) async fn until<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("no {what} after {PATIENCE:?}"))
}

/// Where pods are created as a dry run.
pub(crate) fn dry_run(namespace: &str) -> String {
    format!("{}?dryRun=All", pods_path(namespace))
}

/// A pod that knows nothing of us.
pub(crate) fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"},
        "spec": {"containers": [{"name": "app", "image": "example.com/app"}]},
    })
}

pub(crate) fn is_injected(pod: &Value) -> bool {
    pod["spec"]["initContainers"].as_array().is_some_and(|containers| !containers.is_empty())
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.trigger.request();
    }
}

/// The path of the webhook configuration.
pub(crate) fn configuration_path() -> String {
    format!("{CONFIGURATIONS}/{}", api::control::WEBHOOK_CONFIGURATION)
}

/// In the installation's directory.
const CONFIGURATION_FILE: &str = "config.yaml";

fn configuration_file(said: &Value) -> String {
    let mut file = json!({"apiVersion": "remora.dev/v1alpha1", "kind": "InjectorConfiguration"});
    let said = said.as_object().expect("fields").clone();
    file.as_object_mut().expect("fields").extend(said);
    // JSON is YAML.
    file.to_string()
}

/// The rights that `export rbac` prints, no more.
async fn grant(control_plane: &ControlPlane, settings: &Settings) {
    let mut client = control_plane.client().expect("a client");
    let ours = format!("namespaces/{}", api::control::NAMESPACE);
    for document in render(Kind::Rbac, settings, Origin::default()) {
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        let collection = match document["kind"].as_str().expect("a kind") {
            "ServiceAccount" => format!("/api/v1/{ours}/serviceaccounts"),
            "Role" => format!("{rbac}/{ours}/roles"),
            "RoleBinding" => format!("{rbac}/{ours}/rolebindings"),
            "ClusterRole" => format!("{rbac}/clusterroles"),
            "ClusterRoleBinding" => format!("{rbac}/clusterrolebindings"),
            other => panic!("there is a {other}"),
        };
        client.create(&collection, &document).await.expect("created");
    }
}

async fn token(control_plane: &ControlPlane) -> String {
    let (namespace, account) = (api::control::NAMESPACE, api::control::INJECTOR);
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let token = control_plane.client().expect("a client").create(&path, &request).await.expect("a token");
    token["status"]["token"].as_str().expect("a token").to_owned()
}
