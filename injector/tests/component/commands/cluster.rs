//! A scripted cluster with an installation that works, whose admission calls the decision itself.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use injector::command::Outcome;
use injector::inject::{NamespaceMetadata, Request, Settings, Verdict, apply, decide, selected};
use injector::pki::Ca;
use serde_json::{Value, json};
use tests::api_server::{self, ApiServer};

use crate::common::tool;
use crate::running::{configuration, configuration_path, secret_path};

pub(super) const LABELLED: (&str, &str) = ("istio-injection", "enabled");

pub(super) const CONFIG_MAP: &str = "/api/v1/namespaces/remora-system/configmaps/remora-injector";

/// A new authority, valid for a quarter.
pub(super) fn authority() -> Ca {
    Ca::generate(SystemTime::now(), Duration::from_secs(90 * 24 * 3600)).unwrap()
}

/// A cluster with an installation that works.
pub(super) struct Cluster {
    pub(super) api: ApiServer,
    pub(super) directory: tempfile::TempDir,
}

impl Cluster {
    pub(super) fn new() -> Self {
        let api = ApiServer::start().unwrap();
        api.put("/version", json!({"gitVersion": "v1.34.0"}));
        api.put(
            "/api/v1/nodes/n1",
            json!({"metadata": {"name": "n1"}, "status": {"nodeInfo": {"kubeletVersion": "v1.34.0"}}}),
        );
        let deployment = json!({"metadata": {"name": "remora-injector"}, "spec": {"replicas": 2}, "status": {"readyReplicas": 2}});
        api.put(&api_server::deployment_path(api::control::NAMESPACE, api::control::INJECTOR), deployment);
        let cluster = Self { api, directory: tempfile::tempdir().unwrap() };
        cluster.configure("");
        cluster.certify(&authority());
        cluster.namespace("remora-system", &[("istio-injection", "disabled")]);
        cluster.namespace("default", &[]);
        cluster.namespace("shop", &[LABELLED]);
        cluster.admit();
        cluster
    }

    /// The installation's configuration says this besides what it is.
    pub(super) fn configure(&self, text: &str) {
        let text = format!("apiVersion: remora.dev/v1alpha1\nkind: InjectorConfiguration\n{text}");
        self.api.put(CONFIG_MAP, json!({"data": { api::control::CONFIGURATION_KEY: text }}));
    }

    /// An authority in the Secret and in the webhook configuration.
    pub(super) fn certify(&self, ca: &Ca) {
        let bytes = |text: &str| k8s_openapi::ByteString(text.as_bytes().to_vec());
        let mut object = configuration();
        for entry in object["webhooks"].as_array_mut().unwrap() {
            entry["clientConfig"]["caBundle"] = json!(bytes(ca.certificate_pem()));
        }
        self.api.put(&configuration_path(), object);
        let secret =
            json!({"data": {"tls.crt": bytes(ca.certificate_pem()), "tls.key": bytes(ca.key_pem())}});
        self.api.put(&secret_path(), secret);
    }

    pub(super) fn namespace(&self, name: &str, labels: &[(&str, &str)]) {
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        self.api.put(&format!("/api/v1/namespaces/{name}"), object);
    }

    /// What the API server does with a pod of the namespaces that are there now: by the selectors, then by our decision.
    fn admit(&self) {
        let names = ["remora-system", "default", "shop"];
        let path = |name: &str| format!("/api/v1/namespaces/{name}");
        let known: BTreeMap<String, NamespaceMetadata> = names
            .into_iter()
            .filter_map(|name| Some((path(name) + "/pods", metadata(&self.api.get(&path(name))?))))
            .collect();
        self.api.admit(Box::new(move |collection, mut pod| {
            let Some(metadata) = known.get(collection) else { return Ok(pod) };
            let name = collection.split('/').nth(4).unwrap();
            let settings = Settings::default();
            let Ok(matched) = selected(&pod, (name, metadata), &settings) else { return Ok(pod) };
            let request =
                Request { pod: &pod, matched, namespace: name.into(), requester: None, workload: None };
            let decision = decide(&request, &settings);
            assert_ne!(decision.verdict, Verdict::Reject, "{:?}", decision.reasons);
            apply(&mut pod, &decision.operations).unwrap();
            Ok(pod)
        }));
    }

    /// From now on no pod is admitted, for this reason.
    pub(super) fn refuse(&self, code: u16, message: &'static str) {
        self.api.admit(Box::new(move |_, _| Err((code, message.to_owned()))));
    }

    pub(super) fn pod(&self, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-02T00:00:00Z"},
            "spec": {"containers": [{"name": "app", "image": "i"}]},
            "status": {"phase": "Running"},
        });
        change(&mut pod);
        self.api.put(&api_server::pod_path(namespace, name), pod);
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Outcome {
        let kubeconfig = self.directory.path().join("kubeconfig");
        std::fs::write(&kubeconfig, self.api.kubeconfig()).unwrap();
        let flag = format!("--kubeconfig={}", kubeconfig.display());
        tool(&[arguments, &[&flag]].concat(), &[])
    }
}

fn metadata(object: &Value) -> NamespaceMetadata {
    let labels = object["metadata"]["labels"].as_object().unwrap();
    let labels =
        labels.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect();
    NamespaceMetadata { labels, ..NamespaceMetadata::default() }
}

/// What changes from run to run, and with every new setting.
pub(super) fn steady(output: &str) -> String {
    let words = output.split_inclusive([' ', '\n', ',']).map(|word| {
        let bare = word.trim_end_matches([' ', '\n', ',']);
        let hash = bare.len() == 16 && bare.chars().all(|c| c.is_ascii_hexdigit());
        let time = bare.len() == 20 && bare.ends_with('Z') && bare.contains('T');
        match (hash, time) {
            (true, _) => word.replace(bare, "HASH"),
            (_, true) => word.replace(bare, "TIME"),
            (false, false) => word.to_owned(),
        }
    });
    words.collect()
}
