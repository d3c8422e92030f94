//! The cluster that kubectl leads to, with Remora installed on it as its manifests say. The webhooks that answer at once are
//! Deployments like the injector's: two replicas, spread alike, called through a Service; so every call has the same way.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tests::cluster::{Namespace, apply, kubectl};
use tests::control_plane::Client;

use super::at_once::{self, Service};
use super::{Way, measure, patch, report};
use crate::allow;

/// The namespace of our own webhooks: those of the ways are what they are called for.
const NAMESPACE: &str = "at-once";

/// Who creates the pods.
const USER: &str = "bench";

const PORT: u16 = 8443;

/// `image` is one of this program, and is there on the nodes.
pub(crate) async fn print(image: &str) -> Result<()> {
    report::title("on the cluster");
    let mut namespaces = vec![Namespace::plain(NAMESPACE)?];
    for way in Way::ALL {
        namespaces.push(Namespace::labelled(way.namespace(), &way.labels())?);
    }
    let mut client = client()?;
    let patch = patch(&mut client).await?;
    for way in Way::AT_ONCE {
        let name = way.namespace();
        let made = rcgen::generate_simple_self_signed([format!("{name}.{NAMESPACE}.svc")])?;
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let files = json!({
            allow::CERTIFICATE: certificate, allow::KEY: key, allow::REST: at_once::rest(way, &patch),
        });
        apply(&objects(name, image, &files))?;
        kubectl(&["-n", NAMESPACE, "rollout", "status", &format!("deployment/{name}"), "--timeout=120s"])?;
        let service = Service { namespace: NAMESPACE, name, port: PORT, certificate: &certificate };
        at_once::configure(&mut client, way, &service).await?;
    }
    report::print(&measure(&mut client, async || metrics()).await?);
    Ok(())
}

/// The metrics of all injectors.
fn metrics() -> Result<String> {
    let (namespace, port) = (api::control::NAMESPACE, api::ports::INJECTOR_ADMIN);
    let label = format!("{}={}", api::labels::APP_NAME, api::control::INJECTOR);
    let pods = kubectl(&["-n", namespace, "get", "pods", "-l", &label, "-o", "name"])?;
    let of = |pod: &str| {
        let pod = pod.trim_start_matches("pod/");
        kubectl(&["get", "--raw", &format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/metrics")])
    };
    pods.lines().map(of).collect()
}

/// A webhook: its files, its pods, and the Service that leads to them.
fn objects(name: &str, image: &str, files: &Value) -> [Value; 3] {
    let labels = json!({"app": name});
    let metadata = json!({"name": name, "namespace": NAMESPACE});
    let spread = |key: &str| {
        json!({
            "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": labels},
        })
    };
    let container = json!({
        "name": name, "image": image, "imagePullPolicy": "IfNotPresent",
        "args": [allow::COMMAND, PORT.to_string(), "/files"],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}},
        "volumeMounts": [{"name": "files", "mountPath": "/files", "readOnly": true}],
    });
    let pod = json!({
        "topologySpreadConstraints": [spread("kubernetes.io/hostname"), spread("topology.kubernetes.io/zone")],
        "containers": [container],
        "volumes": [{"name": "files", "secret": {"secretName": name}}],
    });
    [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": files}),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {
                "replicas": 2, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"ipFamilyPolicy": "PreferDualStack", "selector": labels, "ports": [{"port": PORT}]},
        }),
    ]
}

/// A client of the API server that kubectl asks, as a user who may do everything: the measured requests are not kubectl's.
fn client() -> Result<Client> {
    let config: Value =
        serde_json::from_str(&kubectl(&["config", "view", "--minify", "--raw", "-o", "json"])?)?;
    let cluster = config.pointer("/clusters/0/cluster").context("kubectl's configuration has no cluster")?;
    let text =
        |field: &str| cluster.get(field).and_then(Value::as_str).with_context(|| format!("no {field}"));
    let server = text("server")?;
    let address = server.strip_prefix("https://").and_then(|address| address.parse().ok());
    let address = address.with_context(|| format!("{server} is no address, as kind's is"))?;
    let authority = String::from_utf8(STANDARD.decode(text("certificate-authority-data")?)?)?;
    apply(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": USER, "namespace": NAMESPACE}}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": USER},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": USER, "namespace": NAMESPACE}],
        }),
    ])?;
    let token = kubectl(&["-n", NAMESPACE, "create", "token", USER, "--duration=1h"])?;
    Client::new(address, &authority, token.trim())
}
