//! What is sent: the pod of an ordinary Deployment as the API server sends it, and one with 1,500 variables.

use hyper::body::Bytes;
use serde_json::{Value, json};
use tests::webhook::admission_review;

/// Where the pods are created.
pub(crate) const NAMESPACE: &str = "shop";

/// An ordinary pod.
pub(crate) fn median_pod() -> Value {
    json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "generateName": "web-6b7f9c4d55-",
            "labels": {
                "app.kubernetes.io/name": "web", "app.kubernetes.io/version": "1.7.3", "pod-template-hash": "6b7f9c4d55",
            },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-6b7f9c4d55",
                "uid": "6e0bf1ba-9f21-4a4e-a5b0-0c6f2f1d7a11", "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "volumes": [{"name": "kube-api-access-x7k2p", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            ]}}],
            "containers": [{
                "name": "web",
                "image": "registry.example.com/shop/web:1.7.3",
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                "env": [{"name": "DATABASE", "value": "db.shop.svc:5432"}],
                "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
                "volumeMounts": [{
                    "name": "kube-api-access-x7k2p", "readOnly": true,
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                }],
                "readinessProbe": {
                    "httpGet": {"path": "/ready", "port": "http", "scheme": "HTTP"},
                    "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
                },
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
            }],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default",
            "serviceAccount": "default",
            "securityContext": {},
            "schedulerName": "default-scheduler",
            "tolerations": [{
                "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }],
            "priority": 0,
            "enableServiceLinks": true,
            "preemptionPolicy": "PreemptLowerPriority",
        },
    })
}

/// The same with 1,500 environment variables.
pub(crate) fn large_pod() -> Value {
    let mut pod = median_pod();
    let variables =
        (0..1500).map(|number| json!({"name": format!("VARIABLE_{number:04}"), "value": number.to_string()}));
    if let Some(env) = pod.pointer_mut("/spec/containers/0/env") {
        *env = variables.collect();
    }
    pod
}

/// The body of a review of this pod.
pub(crate) fn body(pod: &Value) -> Bytes {
    admission_review(NAMESPACE, pod).to_string().into()
}
