//! The pods of the demo, as a ReplicaSet and Kubernetes' own admission plugins leave them, and what injection changed.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tests::pod::NODE_NAME;

/// The application's image; it knows nothing of a mesh.
pub(crate) const APPLICATION_IMAGE: &str = "registry.example/shop/application:1.0";

/// The application's container.
pub(crate) const APPLICATION: &str = "application";

/// The ports that every application of the demo serves.
pub(crate) const HTTP_PORT: u16 = 8080;
/// Returns what it receives.
pub(crate) const ECHO_PORT: u16 = 9000;
/// The server speaks first, as databases do.
pub(crate) const GREETING_PORT: u16 = 9001;

/// The volume that the ServiceAccount plugin adds to every pod.
const API_ACCESS: &str = "kube-api-access-x7k2p";

/// A pod of the Deployment `workload`, before mutating webhooks see it.
pub(crate) fn of_replica_set(workload: &str, namespace: &str) -> Value {
    let hash = "6d5f7c9b8";
    let replica_set = format!("{workload}-{hash}");
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": format!("{replica_set}-"),
            "namespace": namespace,
            "labels": {"app": workload, "pod-template-hash": hash},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": replica_set,
                "uid": "6f1c2c1e-90a1-4f6b-8a57-3d2b1c0f9e8d", "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {
            "containers": [{
                "name": APPLICATION,
                "image": APPLICATION_IMAGE,
                "args": ["serve", "--name", workload, "--http", HTTP_PORT.to_string(), "--echo", ECHO_PORT.to_string(),
                    "--landing", GREETING_PORT.to_string()],
                "ports": [{"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"}],
                "readinessProbe": {"httpGet": {"path": "/", "port": "http", "scheme": "HTTP"}, "timeoutSeconds": 1,
                    "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
                "resources": {},
                "volumeMounts": [api_access_mount()],
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
            }],
            "volumes": [{"name": API_ACCESS, "projected": {"defaultMode": 0o644, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace",
                    "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
            ]}}],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default",
            "serviceAccount": "default",
            "securityContext": {},
            "schedulerName": "default-scheduler",
            "enableServiceLinks": true,
            "priority": 0,
            "preemptionPolicy": "PreemptLowerPriority",
        },
    })
}

fn api_access_mount() -> Value {
    json!({"name": API_ACCESS, "readOnly": true, "mountPath": api::pod::API_TOKEN_PATH})
}

/// What the API server and the scheduler do after the webhooks: the ServiceAccount plugin once more, a name, a uid, a node.
pub(crate) fn admitted(mut pod: Value) -> Result<Value> {
    for list in ["initContainers", "containers"] {
        for container in
            pod.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut).into_iter().flatten()
        {
            let container = container.as_object_mut().context("a container is not an object")?;
            let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
            let mounts = mounts.as_array_mut().context("volumeMounts is not a list")?;
            let path = Some(api::pod::API_TOKEN_PATH);
            if !mounts.iter().any(|mount| mount.get("mountPath").and_then(Value::as_str) == path) {
                mounts.push(api_access_mount());
            }
        }
    }
    let metadata =
        pod.get_mut("metadata").and_then(Value::as_object_mut).context("a pod without metadata")?;
    let prefix = metadata.get("generateName").and_then(Value::as_str).context("no generateName")?;
    let name = format!("{prefix}q4wzt");
    metadata.insert("name".to_owned(), name.into());
    metadata.insert("uid".to_owned(), "2b0f4c52-8a0e-4c3a-9d4b-5f6a7b8c9d0e".into());
    let spec = pod.get_mut("spec").and_then(Value::as_object_mut).context("a pod without spec")?;
    spec.insert("nodeName".to_owned(), NODE_NAME.into());
    Ok(pod)
}

/// Fails when anything that the pod had is not in the patched one as it was.
pub(crate) fn check_unharmed(original: &Value, patched: &Value, path: &str) -> Result<()> {
    match (original, patched) {
        (Value::Object(original), Value::Object(patched)) => original.iter().try_for_each(|(key, value)| {
            let path = format!("{path}/{key}");
            check_unharmed(
                value,
                patched.get(key).with_context(|| format!("the patch removed {path}"))?,
                &path,
            )
        }),
        (Value::Array(original), Value::Array(patched)) => original.iter().try_for_each(|item| {
            let name = item.get("name");
            let same = |other: &&Value| *other == item || (name.is_some() && other.get("name") == name);
            let other =
                patched.iter().find(same).with_context(|| format!("the patch removed {item} from {path}"))?;
            check_unharmed(item, other, path)
        }),
        _ if original == patched => Ok(()),
        _ => bail!("the patch changed {path} from {original} to {patched}"),
    }
}

/// The items of a named list (`initContainers`, `volumes`) that the patch added.
pub(crate) fn added<'a>(original: &Value, patched: &'a Value, list: &str) -> Vec<&'a Value> {
    let items = |pod: &'a Value| pod.pointer(list).and_then(Value::as_array).into_iter().flatten();
    let had: Vec<&Value> = original.pointer(list).and_then(Value::as_array).into_iter().flatten().collect();
    items(patched).filter(|item| !had.iter().any(|old| old.get("name") == item.get("name"))).collect()
}

/// The keys of a map (labels, annotations) that the patch added.
pub(crate) fn added_keys(original: &Value, patched: &Value, map: &str) -> Vec<String> {
    let keys = |pod: &Value| -> BTreeMap<String, Value> {
        let object = pod.pointer(map).and_then(Value::as_object);
        object.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let had = keys(original);
    keys(patched).into_keys().filter(|key| !had.contains_key(key)).collect()
}

/// The name of a container, a volume and the like.
pub(crate) fn name(item: &Value) -> &str {
    item.get("name").and_then(Value::as_str).unwrap_or_default()
}
