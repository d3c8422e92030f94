//! A real Kubernetes control plane without nodes: etcd and kube-apiserver on loopback, in a directory of their own, from the
//! one binary that `tests/kind/hyperkube` is. What the API server alone decides (selectors, match conditions, webhook calls,
//! validation, access rights) is thus decided by the real one, within seconds and without a cluster.
//!
//! It deliberately runs no controller, scheduler or kubelet: objects are stored, and nothing comes of them. What a controller
//! would have made, a test makes itself; [`ControlPlane::create_namespace`] does so for the service account that every pod
//! needs.
//!
//! Invariant: nothing outlives it. Both processes are killed when it is dropped, and by the kernel when the process that
//! started it ends in another way; their directory is the kit's (`leftovers`).

mod client;
mod credentials;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::StatusCode;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::exec::{self, Process};
use crate::{binaries, leftovers};

pub use client::{Answer, Client};
use credentials::Credentials;

/// How long each process may take to start. On a busy machine it is seconds; more is a failure that its log explains.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nothing announces readiness, so it is asked for.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// An address of documentation: the API server insists on one that others could reach, and nobody is to.
const ADVERTISED: &str = "192.0.2.1";

/// Addresses of Services. All of 127.0.0.0/8 is this machine, so a Service leads to whoever listens on its port here, and the API
/// server calls a webhook by its Service, with the name that its certificate has to have.
const SERVICES: &str = "127.96.0.0/16";

/// The path of a namespace's pods.
pub fn pods_path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

/// A running control plane.
pub struct ControlPlane {
    // Dropped in this order: the API server does not miss etcd, and the directory goes last.
    api_server: Process,
    _etcd: Process,
    address: SocketAddr,
    credentials: Credentials,
    directory: TempDir,
    /// Of the API server.
    arguments: Vec<String>,
}

impl ControlPlane {
    /// Starts both, and waits until the API server is ready. `arguments` are the API server's, added to (or in place of)
    /// our own; its feature gates and admission plugins for example.
    pub async fn start(arguments: &[&str]) -> Result<Self> {
        let directory = leftovers::directory("control-plane")?;
        let credentials = Credentials::new()?;
        credentials.write(directory.path())?;
        let etcd = start(directory.path(), "etcd", etcd_arguments())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let own = api_server_arguments(address, directory.path());
        let all = own.into_iter().chain(arguments.iter().map(|&argument| argument.to_owned()));
        let arguments: Vec<_> = all.collect();
        let api_server = start(directory.path(), "kube-apiserver", arguments.clone())?;
        let control_plane = Self { api_server, _etcd: etcd, address, credentials, directory, arguments };
        std::fs::write(control_plane.kubeconfig_path(), control_plane.kubeconfig())?;
        control_plane.wait_ready().await?;
        Ok(control_plane)
    }

    /// Kills the API server and starts it again, on the same port and with what etcd has; comes back when it is ready.
    pub async fn restart_api_server(&mut self) -> Result<()> {
        self.api_server.signal(Signal::SIGKILL);
        if self.api_server.wait_exit(PATIENCE).is_none() {
            bail!("kube-apiserver does not die: {}", self.api_server.progress());
        }
        self.api_server = start(self.directory.path(), "kube-apiserver", self.arguments.clone())?;
        self.wait_ready().await
    }

    /// Where the API server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client that may do everything.
    pub fn client(&self) -> Result<Client> {
        self.client_with(credentials::ADMIN_TOKEN)
    }

    /// A client with a bearer token, for example a service account's.
    pub fn client_with(&self, token: &str) -> Result<Client> {
        Client::new(self.address, &self.credentials.certificate_pem(), token)
    }

    /// A kubeconfig by which one may do everything.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_with(credentials::ADMIN_TOKEN)
    }

    /// A kubeconfig with a bearer token, for example a service account's.
    pub fn kubeconfig_with(&self, token: &str) -> String {
        let authority = self.credentials.certificate_base64();
        let server = format!("https://{}", self.address);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority-data": authority}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        // JSON is YAML.
        config.to_string()
    }

    /// The file of [`Self::kubeconfig`].
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// A kubectl that may do everything.
    pub fn kubectl(&self) -> Result<Command> {
        let mut command = Command::new(component(self.directory.path(), "kubectl")?);
        command
            .env("KUBECONFIG", self.kubeconfig_path())
            .env("KUBECACHEDIR", self.directory.path().join("cache"));
        Ok(command)
    }

    /// Creates a namespace with these labels, and the service account `default` in it.
    pub async fn create_namespace(&self, name: &str, labels: &Value) -> Result<()> {
        let mut client = self.client()?;
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        client.create("/api/v1/namespaces", &namespace).await?;
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        client.create(&format!("/api/v1/namespaces/{name}/serviceaccounts"), &account).await?;
        Ok(())
    }

    /// Creates a Service in a namespace. It leads to `port` of this machine, by the same port: nobody translates it.
    pub async fn create_service(&self, namespace: &str, name: &str, port: u16) -> Result<()> {
        let spec = json!({"ports": [{"name": "https", "port": port}]});
        let service =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
        let collection = format!("/api/v1/namespaces/{namespace}/services");
        self.client()?.create(&collection, &service).await.map(drop)
    }

    async fn wait_ready(&self) -> Result<()> {
        let serving = |text: &str| text.contains("Serving securely on").then_some(());
        self.api_server.wait_for("serving", PATIENCE, |progress| serving(&progress.stderr))?;
        let ready = async {
            let mut client = self.client()?;
            while client.get("/readyz").await?.status != StatusCode::OK {
                if let Some(code) = self.api_server.progress().exit {
                    bail!("kube-apiserver has ended with code {code}");
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
            Ok(())
        };
        let ready = tokio::time::timeout(PATIENCE, ready).await;
        ready
            .unwrap_or_else(|_| bail!("kube-apiserver is not ready after {PATIENCE:?}"))
            .with_context(|| self.api_server.progress().to_string())
    }
}

/// etcd on Unix sockets in its directory: nobody else can take them, and nobody else can reach them. No data outlives the
/// process, so nothing is synced.
fn etcd_arguments() -> Vec<String> {
    let (client, peer) = ("unix://client:0", "unix://peer:0");
    let initial = format!("default={peer}");
    let pairs = [
        ("--data-dir", "etcd-data"),
        ("--log-level", "warn"),
        ("--listen-client-urls", client),
        ("--advertise-client-urls", client),
        ("--listen-peer-urls", peer),
        ("--initial-advertise-peer-urls", peer),
        ("--initial-cluster", &initial),
    ];
    let pairs = pairs.map(|(name, value)| format!("{name}={value}"));
    pairs.into_iter().chain(["--unsafe-no-fsync".to_owned()]).collect()
}

fn api_server_arguments(address: SocketAddr, directory: &Path) -> Vec<String> {
    let file = |name: &str| directory.join(name).display().to_string();
    let pairs = [
        ("--etcd-servers", "unix://client:0".to_owned()),
        ("--bind-address", address.ip().to_string()),
        ("--secure-port", address.port().to_string()),
        ("--advertise-address", ADVERTISED.to_owned()),
        ("--tls-cert-file", file(credentials::CERTIFICATE)),
        ("--tls-private-key-file", file(credentials::KEY)),
        ("--token-auth-file", file(credentials::TOKENS)),
        ("--service-account-key-file", file(credentials::ACCOUNTS_PUBLIC_KEY)),
        ("--service-account-signing-key-file", file(credentials::ACCOUNTS_KEY)),
        ("--service-account-issuer", "https://kubernetes.default.svc.cluster.local".to_owned()),
        ("--service-cluster-ip-range", SERVICES.to_owned()),
        ("--authorization-mode", "RBAC".to_owned()),
        ("--allow-privileged", "true".to_owned()),
    ];
    pairs.map(|(name, value)| format!("{name}={value}")).to_vec()
}

/// Starts a component in the directory. It dies with this process: `setpriv` asks the kernel for that.
fn start(directory: &Path, name: &str, arguments: Vec<String>) -> Result<Process> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(component(directory, name)?).args(arguments);
    command
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", directory);
    exec::spawn(name, command)
}

/// The path by which the binary is called: it is what it is called.
fn component(directory: &Path, name: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    if !path.exists() {
        symlink(binaries::hyperkube()?, &path).with_context(|| format!("cannot link {}", path.display()))?;
    }
    Ok(path)
}

/// A port that nobody listens on, below those that the kernel gives to outgoing connections: one of these would take it before
/// the API server does.
fn free_port() -> Result<u16> {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static TRIED: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (std::process::id().wrapping_mul(31).wrapping_add(tried)) % COUNT;
        let port = u16::try_from(port)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port between {FIRST} and {} is free", FIRST + COUNT)
}
