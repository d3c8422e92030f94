//! Reading off a pod that runs: whether it carries our injection, of which version, and how it is made anew.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// An injection as a pod's status annotation tells it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Meshed {
    pub(super) version: String,
    pub(super) config: String,
    pub(super) mode: String,
}

impl Meshed {
    /// The injection of a pod; nothing where the annotation, the proxy, or a container that the annotation lists is missing.
    /// A pod whose traffic is not captured has no init container of ours.
    pub(super) fn of(pod: &Value) -> Option<Self> {
        let annotations = pod.pointer("/metadata/annotations")?;
        let status: Value =
            serde_json::from_str(annotations.get(api::annotations::STATUS)?.as_str()?).ok()?;
        let names: Vec<&str> = ["initContainers", "containers"]
            .iter()
            .flat_map(|list| pod.get("spec").and_then(|spec| spec.get(list)).and_then(Value::as_array))
            .flatten()
            .filter_map(|container| container.get("name").and_then(Value::as_str))
            .collect();
        let listed = ["initContainers", "containers"]
            .iter()
            .filter_map(|list| status.get(list).and_then(Value::as_array))
            .flatten()
            .filter_map(Value::as_str);
        let field = |name: &str| Some(status.get(name)?.as_str()?.to_owned());
        let all = listed.chain([api::pod::PROXY_CONTAINER]).all(|name| names.contains(&name));
        all.then(|| {
            Some(Self { version: field("version")?, config: field("config")?, mode: field("mode")? })
        })?
    }

    /// What is other than in a pod that was injected just now.
    pub(super) fn differs(&self, current: &Self) -> Option<String> {
        if self.version != current.version {
            return Some(format!("injected by version {}, now it is {}", self.version, current.version));
        }
        (self.config != current.config)
            .then(|| format!("injected with settings {}, now they are {}", self.config, current.config))
    }
}

impl fmt::Display for Meshed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by version {} with settings {}, as a {} sidecar", self.version, self.config, self.mode)
    }
}

/// What a pod belongs to, as `kubectl` names it: the Deployment of a ReplicaSet, since that is what restarts.
pub(super) fn owner(pod: &Value) -> Option<(String, String)> {
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array)?;
    let controls = |owner: &&Value| owner.get("controller").and_then(Value::as_bool) == Some(true);
    let owner = owners.iter().find(controls)?;
    let text = |field: &str| owner.get(field).and_then(Value::as_str);
    let (kind, name) = (text("kind")?, text("name")?);
    let hash = pod.pointer("/metadata/labels").and_then(|labels| labels.get(api::labels::POD_TEMPLATE_HASH));
    let deployment = hash
        .and_then(Value::as_str)
        .filter(|_| kind == "ReplicaSet")
        .and_then(|hash| name.strip_suffix(hash)?.strip_suffix('-'));
    match deployment {
        Some(deployment) => Some(("deployment".to_owned(), deployment.to_owned())),
        None => Some((kind.to_lowercase(), name.to_owned())),
    }
}

/// How the pod comes to be created anew.
pub(super) fn owner_remedy(pod: &Value, namespace: &str) -> String {
    let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    match owner(pod) {
        Some((kind, owner)) if ["deployment", "statefulset", "daemonset"].contains(&kind.as_str()) => {
            format!("kubectl -n {namespace} rollout restart {kind}/{owner}")
        }
        Some((kind, owner)) if kind == "job" => {
            format!(
                "the next pod of {kind}/{owner} will be as now; running ones: delete the job and create it anew"
            )
        }
        Some((kind, owner)) => {
            format!("kubectl -n {namespace} delete pod {name}, which {kind}/{owner} then replaces")
        }
        None => format!("delete pod {name} in namespace {namespace} and create it anew; nothing else does"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Meshed, owner_remedy};

    fn pod(owner: Value, labels: Value) -> Value {
        json!({"metadata": {"name": "web-x", "labels": labels, "ownerReferences": owner}})
    }

    #[test]
    fn what_restarts_a_pod_is_named() {
        let controller = |kind: &str, name: &str| json!([{"kind": kind, "name": name, "controller": true}]);
        let hash = json!({"pod-template-hash": "6b7"});
        for (owner, labels, remedy) in [
            (controller("ReplicaSet", "web-6b7"), hash, "kubectl -n shop rollout restart deployment/web"),
            (controller("StatefulSet", "db"), json!({}), "kubectl -n shop rollout restart statefulset/db"),
            (
                controller("ReplicaSet", "bare"),
                json!({}),
                "kubectl -n shop delete pod web-x, which replicaset/bare then replaces",
            ),
            (
                Value::Null,
                json!({}),
                "delete pod web-x in namespace shop and create it anew; nothing else does",
            ),
        ] {
            assert_eq!(owner_remedy(&pod(owner, labels), "shop"), remedy);
        }
    }

    #[test]
    fn only_a_status_with_its_containers_is_an_injection() {
        let ours = |init: &[&str]| {
            json!({"version": "1", "config": "abc", "mode": "native", "initContainers": init, "containers": []}).to_string()
        };
        let status = ours(&["istio-init", "istio-proxy"]);
        let mut pod = json!({
            "metadata": {"annotations": {"sidecar.istio.io/status": status}},
            "spec": {"initContainers": [{"name": "istio-init"}, {"name": "istio-proxy"}], "containers": [{"name": "app"}]},
        });
        let current = Meshed { version: "1".to_owned(), config: "abd".to_owned(), mode: "native".to_owned() };
        let meshed = Meshed::of(&pod).unwrap();
        assert!(meshed.differs(&current).unwrap().contains("settings abc"));
        assert_eq!(meshed.differs(&meshed), None);
        pod["spec"]["initContainers"] = json!([{"name": "istio-proxy"}]);
        assert_eq!(Meshed::of(&pod), None, "its redirect is gone");
        pod["metadata"]["annotations"]["sidecar.istio.io/status"] = ours(&["istio-proxy"]).into();
        assert!(Meshed::of(&pod).is_some(), "nothing is captured, as annotated");
        pod["spec"]["initContainers"] = json!([]);
        assert_eq!(Meshed::of(&pod), None);
        pod["metadata"]["annotations"]["sidecar.istio.io/status"] = ours(&[]).into();
        assert_eq!(Meshed::of(&pod), None, "no proxy");
    }
}
