//! An installation on a control plane of its own: the manifests' namespace and rights, the webhook configuration that
//! `export` prints, and a running injector that has no other rights than these.

use std::time::Duration;

use clap::Parser;
use injector::app::{App, AppError};
use injector::config::{Cli, Command};
use injector::export::webhook_configuration;
use runtime::shutdown::{self, Trigger};
use serde_json::{Value, json};
use tests::control_plane::{Client, ControlPlane};

/// How long an event may take on a machine that does a lot else.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

pub(crate) struct Mesh {
    pub(crate) control_plane: ControlPlane,
    /// The webhook configuration as it is applied.
    pub(crate) configuration: Value,
    trigger: Trigger,
    _task: tokio::task::JoinHandle<Result<(), AppError>>,
    _directory: tempfile::TempDir,
}

impl Mesh {
    /// An installation whose configuration file says this about selection, ready.
    pub(crate) async fn start(selection: &Value, api_server: &[String]) -> Self {
        let arguments: Vec<&str> = api_server.iter().map(String::as_str).collect();
        let control_plane = ControlPlane::start(&arguments).await.expect("a control plane");
        control_plane.create_namespace(api::control::NAMESPACE, &json!({})).await.expect("our namespace");
        grant(&control_plane).await;
        let directory = tempfile::tempdir().expect("a directory");
        let kubeconfig = directory.path().join("kubeconfig");
        let token = token(&control_plane).await;
        std::fs::write(&kubeconfig, control_plane.kubeconfig_with(&token)).expect("a kubeconfig");
        let line = ["injector", "serve", "--webhook-port=0", "--admin-port=0", "--shutdown-delay=0s"];
        let Command::Serve(mut args) = Cli::try_parse_from(line).expect("options").command else {
            panic!("serve")
        };
        args.cluster.kubeconfig = Some(kubeconfig);
        let file = directory.path().join("config.yaml");
        std::fs::write(&file, configuration_file(selection)).expect("a configuration");
        args.configuration.config = Some(file);
        let settings = args.configuration.load(&args.namespace).expect("a configuration").settings;
        let app = App::start(&args).await.expect("an injector");
        let port = app.webhook_address().expect("a port").port();
        let (trigger, shutdown) = shutdown::channel();
        let task = tokio::spawn(app.run(shutdown));
        let service = control_plane.create_service(api::control::NAMESPACE, api::control::INJECTOR, port);
        service.await.expect("the Service");
        let mut configuration = webhook_configuration(&settings);
        for entry in configuration["webhooks"].as_array_mut().expect("entries") {
            // The Service leads to a port of this machine, and is called by the same.
            entry["clientConfig"]["service"]["port"] = json!(port);
        }
        let mesh = Self { control_plane, configuration, trigger, _task: task, _directory: directory };
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
        let published = async {
            loop {
                let configuration = self.found().await;
                let entries = configuration["webhooks"].as_array().into_iter().flatten();
                let has = |entry: &Value| entry["clientConfig"]["caBundle"].is_string();
                if entries.clone().count() > 0 && entries.clone().all(has) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, published).await.expect("a bundle in every entry");
    }
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

fn configuration_file(selection: &Value) -> String {
    // JSON is YAML.
    json!({"apiVersion": "remora.dev/v1alpha1", "kind": "InjectorConfiguration", "selection": selection})
        .to_string()
}

/// The rights of `manifests/rbac.yaml`, no more.
async fn grant(control_plane: &ControlPlane) {
    let documents: Vec<Value> = serde_saphyr::from_multiple(include_str!("../../../manifests/rbac.yaml"))
        .expect("manifests/rbac.yaml");
    let mut client = control_plane.client().expect("a client");
    let ours = format!("namespaces/{}", api::control::NAMESPACE);
    for document in documents {
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        let collection = match document["kind"].as_str().expect("a kind") {
            "ServiceAccount" => format!("/api/v1/{ours}/serviceaccounts"),
            "Role" => format!("{rbac}/{ours}/roles"),
            "RoleBinding" => format!("{rbac}/{ours}/rolebindings"),
            "ClusterRole" => format!("{rbac}/clusterroles"),
            "ClusterRoleBinding" => format!("{rbac}/clusterrolebindings"),
            other => panic!("rbac.yaml has a {other}"),
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
