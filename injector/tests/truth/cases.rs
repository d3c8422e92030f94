//! Every combination of what selection looks at, as namespaces and pods that an API server takes.

use injector::inject::Requester;
use serde_json::{Map, Value, json};

use super::Facts;

/// A namespace and a pod in it, by the names that the tables know.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) namespace: Namespace,
    pub(crate) pod: Pod,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Namespace {
    namespace: &'static str,
    switch: &'static str,
    revision: &'static str,
    provider: &'static str,
}

#[derive(Clone, Debug)]
pub(crate) struct Pod {
    label: &'static str,
    revision: &'static str,
    shape: &'static str,
    pub(crate) by: &'static str,
    istio: &'static str,
    linkerd: &'static str,
    owner: &'static str,
}

/// The value of a fact that is not there.
const NONE: &str = "-";

impl Facts for Case {
    fn fact(&self, column: &str) -> &str {
        let (namespace, pod) = (&self.namespace, &self.pod);
        match column {
            "namespace" => namespace.namespace,
            "switch" => namespace.switch,
            "ns-rev" => namespace.revision,
            "provider" => namespace.provider,
            "label" => pod.label,
            "rev" => pod.revision,
            "shape" | "pod" => pod.shape,
            "by" => pod.by,
            "istio" => pod.istio,
            "linkerd" => pod.linkerd,
            other => panic!("no column {other}"),
        }
    }
}

/// All namespaces.
pub(crate) fn namespaces() -> Vec<Namespace> {
    let mut all: Vec<Namespace> = ["kube-system", "kube-public", api::control::NAMESPACE]
        .map(|namespace| Namespace { namespace, switch: "enabled", revision: NONE, provider: NONE })
        .to_vec();
    for switch in SWITCHES {
        for revision in [NONE, "yes"] {
            for provider in [NONE, "azure", "control-plane", "operator"] {
                all.push(Namespace { namespace: "ordinary", switch, revision, provider });
            }
        }
    }
    all
}

/// All pods; owners go round, since they are to change nothing.
pub(crate) fn pods() -> Vec<Pod> {
    let mut all = Vec::new();
    let mut owners = [NONE, "ReplicaSet", "Job", "StatefulSet", "DaemonSet"].into_iter().cycle();
    let mut creators = ["admin", "controller"].into_iter().cycle();
    for label in LABELS {
        for revision in [NONE, "yes"] {
            for istio in [NONE, "true", "false", "nonsense"] {
                for linkerd in [NONE, "enabled", "ingress", "disabled", "nonsense"] {
                    let (by, owner) = (creators.next().unwrap(), owners.next().unwrap());
                    all.push(Pod { label, revision, shape: "plain", by, istio, linkerd, owner });
                }
            }
        }
        for (shape, by) in [
            ("host-network", "controller"),
            ("windows", "admin"),
            ("windows-node", "controller"),
            ("mirror", "admin"),
            ("mirror", "node"),
            ("linkerd", "controller"),
            ("proxy-user", "admin"),
        ] {
            for istio in [NONE, "false"] {
                // A mirror's owner is its node, and no node is here.
                let owner = if shape == "mirror" { NONE } else { owners.next().unwrap() };
                all.push(Pod { label, revision: NONE, shape, by, istio, linkerd: NONE, owner });
            }
        }
    }
    all
}

/// Namespaces and pods for a configuration.
pub(crate) fn configured() -> Vec<Case> {
    let mut all = Vec::new();
    for switch in ["-", "enabled", "disabled"] {
        for label in LABELS {
            for shape in ["plain", "batch", "debug", "debug-keep", "mesh", "edge", "mesh-batch"] {
                let namespace = Namespace { namespace: "ordinary", switch, revision: NONE, provider: NONE };
                let by = "admin";
                let pod = Pod { label, revision: NONE, shape, by, istio: NONE, linkerd: NONE, owner: NONE };
                all.push(Case { namespace, pod });
            }
        }
    }
    all
}

/// The `selection` of the configuration file for [`configured`].
pub(crate) fn selection() -> Value {
    json!({
        "podWinsOverDisabledNamespace": true,
        "invalidLabel": "warn",
        "neverInject": [
            {"matchLabels": {"tier": "batch"}},
            {"matchExpressions": [
                {"key": "debug", "operator": "Exists"},
                {"key": "keep", "operator": "DoesNotExist"},
            ]},
        ],
        "alwaysInject": [{"matchLabels": {"team": "mesh"}}, {"matchLabels": {"team": "edge"}}],
    })
}

const SWITCHES: [&str; 4] = [NONE, "enabled", "disabled", "nonsense"];
const LABELS: [&str; 4] = [NONE, "true", "false", "nonsense"];

impl Namespace {
    /// Its name in a cluster.
    pub(crate) fn name(&self) -> String {
        let Self { namespace, switch, revision, provider } = self;
        match *namespace {
            "ordinary" => format!("ns-{switch}-rev-{revision}-{provider}-x").replace("--", "-none-"),
            system => system.to_owned(),
        }
    }

    pub(crate) fn labels(&self) -> Map<String, Value> {
        let switch = if self.switch == "nonsense" { "true" } else { self.switch };
        let mut labels = Map::new();
        let mut add = |key: &str, value: &str| {
            if value != NONE {
                labels.insert(key.to_owned(), json!(value));
            }
        };
        add("istio-injection", switch);
        add("istio.io/rev", if self.revision == "yes" { "canary" } else { NONE });
        match self.provider {
            "azure" => add("kubernetes.azure.com/managedby", "aks"),
            "control-plane" => add("control-plane", "true"),
            "operator" => add("control-plane", "controller-manager"),
            _ => {}
        }
        labels
    }
}

impl Pod {
    pub(crate) fn object(&self, name: &str) -> Value {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": self.labels(), "annotations": self.annotations()},
            "spec": {"containers": [{"name": "app", "image": "example.com/app"}]},
        });
        if self.owner != NONE {
            let version = if self.owner == "Job" { "batch/v1" } else { "apps/v1" };
            pod["metadata"]["ownerReferences"] = json!([{
                "apiVersion": version, "kind": self.owner, "name": "owner", "uid": "u-1", "controller": true,
            }]);
        }
        match self.shape {
            "host-network" => pod["spec"]["hostNetwork"] = json!(true),
            "windows" => pod["spec"]["os"] = json!({"name": "windows"}),
            "windows-node" => pod["spec"]["nodeSelector"] = json!({"kubernetes.io/os": "windows"}),
            "mirror" => pod["spec"]["nodeName"] = json!("worker"),
            "linkerd" => {
                let containers = pod["spec"]["containers"].as_array_mut().expect("a list");
                containers.push(json!({"name": "linkerd-proxy", "image": "cr.l5d.io/linkerd/proxy:edge"}));
            }
            "proxy-user" => {
                pod["spec"]["securityContext"] = json!({"runAsUser": 1337, "runAsGroup": 1337});
            }
            _ => {}
        }
        pod
    }

    fn labels(&self) -> Map<String, Value> {
        let extra: &[(&str, &str)] = match self.shape {
            "batch" => &[("tier", "batch")],
            "debug" => &[("debug", "")],
            "debug-keep" => &[("debug", ""), ("keep", "1")],
            "mesh" => &[("team", "mesh")],
            "edge" => &[("team", "edge")],
            "mesh-batch" => &[("team", "mesh"), ("tier", "batch")],
            _ => &[],
        };
        let revision = if self.revision == "yes" { "canary" } else { NONE };
        let label = if self.label == "nonsense" { "yes" } else { self.label };
        let all = [("sidecar.istio.io/inject", label), ("istio.io/rev", revision)];
        texts(all.into_iter().chain(extra.iter().copied()))
    }

    fn annotations(&self) -> Map<String, Value> {
        let mirror = if self.shape == "mirror" { "5f2a" } else { NONE };
        texts([
            ("sidecar.istio.io/inject", self.istio),
            ("linkerd.io/inject", self.linkerd),
            ("kubernetes.io/config.mirror", mirror),
        ])
    }

    /// Who creates it, as a review says.
    pub(crate) fn requester(&self) -> Requester {
        let (username, groups): (&str, &[&str]) = match self.by {
            "node" => ("system:node:worker", &["system:nodes", "system:authenticated"]),
            "controller" => (
                "system:serviceaccount:kube-system:replicaset-controller",
                &["system:serviceaccounts", "system:authenticated"],
            ),
            _ => ("administrator", &["system:masters", "system:authenticated"]),
        };
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        Requester { username: username.to_owned(), groups }
    }
}

fn texts<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>) -> Map<String, Value> {
    let there = all.into_iter().filter(|(_, value)| *value != NONE);
    there.map(|(key, value)| (key.to_owned(), json!(value))).collect()
}
