//! Namespaces, Deployments and Services of the tests: as users write them, with nothing of us in them.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::kubectl::{apply, get, kubectl, kubectl_stdin};

/// The image of the application; `tests/kind/` makes and loads it.
pub const FORTIO_IMAGE: &str = "localhost/fortio:1";

/// A namespace of a test's own.
pub struct Namespace {
    /// Its name.
    pub name: String,
}

impl Namespace {
    /// A namespace with the label that asks for injection.
    pub fn meshed(name: &str) -> Result<Self> {
        Self::labelled(name, &json!({ api::labels::NAMESPACE_INJECTION: api::labels::ENABLED }))
    }

    /// A namespace without any label of ours.
    pub fn plain(name: &str) -> Result<Self> {
        Self::labelled(name, &json!({}))
    }

    /// A namespace with these labels.
    pub fn labelled(name: &str, labels: &Value) -> Result<Self> {
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        kubectl_stdin(&["create", "-f", "-"], &object.to_string())?;
        let namespace = Self { name: name.to_owned() };
        // Pods are refused until the controller has made it.
        kubectl(&["-n", name, "wait", "--for=create", "serviceaccount/default", "--timeout=60s"])?;
        Ok(namespace)
    }

    /// Creates or changes objects in this namespace.
    pub fn apply(&self, objects: &[Value]) -> Result<()> {
        let placed: Vec<Value> = objects
            .iter()
            .cloned()
            .map(|mut object| {
                object["metadata"]["namespace"] = json!(self.name);
                object
            })
            .collect();
        apply(&placed)
    }

    /// kubectl in this namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        kubectl(&[&["-n", self.name.as_str()], arguments].concat())
    }

    /// `kubectl get` in this namespace.
    pub fn get(&self, arguments: &[&str]) -> Result<Value> {
        get(&[arguments, &["-n", self.name.as_str()]].concat())
    }

    /// Waits until a Deployment has rolled out.
    pub fn rolled_out(&self, deployment: &str) -> Result<()> {
        self.kubectl(&["rollout", "status", &format!("deployment/{deployment}"), "--timeout=150s"])
            .map(|_| ())
    }

    /// Waits for a condition of an object.
    pub fn wait(&self, object: &str, condition: &str) -> Result<()> {
        self.kubectl(&["wait", object, &format!("--for={condition}"), "--timeout=150s"]).map(|_| ())
    }

    /// The pods with the label `app`, those that are on their way out left aside.
    pub fn pods(&self, app: &str) -> Result<Vec<Pod>> {
        let list = self.get(&["pods", "-l", &format!("app={app}")])?;
        let items = list["items"].as_array().context("a list of pods")?;
        items
            .iter()
            .filter(|item| item["metadata"]["deletionTimestamp"].is_null())
            .map(Pod::from_object)
            .collect()
    }

    /// The only pod with the label `app`.
    pub fn pod(&self, app: &str) -> Result<Pod> {
        let pods = self.pods(app)?;
        anyhow::ensure!(pods.len() == 1, "{} pods of {app} in {}, expected one", pods.len(), self.name);
        pods.into_iter().next().context("one pod")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A failure here must not hide the test's own.
        let _ = kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}

/// A running pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub ips: Vec<IpAddr>,
    /// The whole object.
    pub object: Value,
}

impl Pod {
    fn from_object(object: &Value) -> Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let ips = object["status"]["podIPs"].as_array().into_iter().flatten();
        Ok(Self {
            namespace: text(&object["metadata"]["namespace"]).context("a namespace")?,
            name: text(&object["metadata"]["name"]).context("a name")?,
            ips: ips.filter_map(|ip| ip["ip"].as_str()?.parse().ok()).collect(),
            object: object.clone(),
        })
    }

    /// A pod by its name.
    pub fn named(namespace: &Namespace, name: &str) -> Result<Self> {
        Self::from_object(&namespace.get(&["pod", name])?)
    }

    /// The pod's address of a family, with a port.
    pub fn address(&self, v6: bool, port: u16) -> Result<SocketAddr> {
        let ip = self.ips.iter().find(|ip| ip.is_ipv6() == v6);
        let ip = ip.with_context(|| format!("{} has no IPv{} address", self.name, if v6 { 6 } else { 4 }))?;
        Ok(SocketAddr::new(*ip, port))
    }

    /// Names of all init containers and containers.
    pub fn containers(&self) -> Vec<String> {
        ["initContainers", "containers"]
            .iter()
            .flat_map(|list| self.object["spec"][list].as_array().into_iter().flatten())
            .filter_map(|container| container["name"].as_str().map(str::to_owned))
            .collect()
    }

    /// Whether both our containers are in it.
    pub fn is_meshed(&self) -> bool {
        let names = self.containers();
        [api::pod::INIT_CONTAINER, api::pod::PROXY_CONTAINER]
            .iter()
            .all(|ours| names.iter().any(|name| name == ours))
    }
}

/// fortio's server as a container: HTTP echo on 8080, gRPC on 8079, TCP echo on 8078.
pub fn fortio_container() -> Value {
    json!({
        "name": "fortio", "image": FORTIO_IMAGE, "args": ["server"],
        "ports": [{"containerPort": 8080, "name": "http"}, {"containerPort": 8079, "name": "grpc"}, {"containerPort": 8078, "name": "tcp"}],
        // By loopback, so that no probe is among the connections that the tests count.
        "readinessProbe": {"exec": {"command": ["/fortio", "curl", "-quiet", "http://localhost:8080/debug"]}, "periodSeconds": 2, "timeoutSeconds": 5},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    })
}

/// A Deployment of fortio with the label `app`.
pub fn workload(app: &str, replicas: u32, node: Option<&str>) -> Value {
    let selector = node.map_or(json!({}), |node| json!({"kubernetes.io/hostname": node}));
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": app}},
            "template": {
                "metadata": {"labels": {"app": app}},
                "spec": {"containers": [fortio_container()], "nodeSelector": selector},
            },
        },
    })
}

/// A Service of one family for the pods with the label `app`.
pub fn service(name: &str, app: &str, v6: bool) -> Value {
    let port = |name: &str, port: u16| json!({"name": name, "port": port, "targetPort": port});
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {
            "selector": {"app": app},
            "ipFamilies": [if v6 { "IPv6" } else { "IPv4" }],
            "ipFamilyPolicy": "SingleStack",
            "ports": [port("http", 8080), port("grpc", 8079), port("tcp", 8078)],
        },
    })
}

/// The names of the nodes on which pods may run; at least two.
pub fn nodes() -> Result<Vec<String>> {
    let list = get(&["nodes"])?;
    let items = list["items"].as_array().context("a list of nodes")?;
    let names: Vec<String> = items
        .iter()
        .filter(|node| node["spec"]["taints"].as_array().is_none_or(Vec::is_empty))
        .filter_map(|node| node["metadata"]["name"].as_str().map(str::to_owned))
        .collect();
    anyhow::ensure!(names.len() >= 2, "the tests need two schedulable nodes, found {names:?}");
    Ok(names)
}
