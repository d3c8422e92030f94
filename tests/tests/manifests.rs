//! Holds `manifests/` and `examples/` against the contract in `api`, and against each other: YAML cannot import a constant.

use std::fs;
use std::path::{Path, PathBuf};

use api::{control, labels, pod, ports};
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

fn documents(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(root().join(file)).map_err(|error| format!("{file}: {error}"));
    let parsed = text.and_then(|text| {
        serde_saphyr::from_multiple::<Value>(&text).map_err(|error| format!("{file}: {error}"))
    });
    parsed.expect("a manifest").into_iter().filter(Value::is_object).collect()
}

/// The files that a directory's kustomization lists.
fn listed(directory: &str) -> Vec<String> {
    let kustomization = documents(&format!("{directory}/kustomization.yaml"));
    let resources = kustomization.first().and_then(|file| file.get("resources")?.as_array());
    let files = resources.expect("resources").iter().filter_map(Value::as_str);
    files.map(str::to_owned).collect()
}

/// Everything that `kubectl apply -k DIRECTORY` applies.
fn applied(directory: &str) -> Vec<Value> {
    listed(directory).iter().flat_map(|file| documents(&format!("{directory}/{file}"))).collect()
}

fn one(kind: &str, name: &str) -> Value {
    let is = |object: &Value, pointer: &str, value: &str| {
        object.pointer(pointer).and_then(Value::as_str) == Some(value)
    };
    let found: Vec<Value> = applied("manifests")
        .into_iter()
        .filter(|object| is(object, "/kind", kind) && is(object, "/metadata/name", name))
        .collect();
    assert_eq!(found.len(), 1, "{kind} {name}");
    found.into_iter().next().expect("one")
}

fn injector_container() -> Value {
    let deployment = one("Deployment", control::INJECTOR);
    deployment.pointer("/spec/template/spec/containers/0").expect("a container").clone()
}

#[test]
fn every_file_is_applied() {
    for directory in ["manifests", "examples"] {
        let mut listed = listed(directory);
        let mut present: Vec<String> = fs::read_dir(root().join(directory))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "kustomization.yaml")
            .collect();
        listed.sort_unstable();
        present.sort_unstable();
        assert_eq!(listed, present);
    }
}

#[test]
fn everything_is_in_our_namespace() {
    let cluster_wide =
        ["Namespace", "ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration", "PriorityClass"];
    for object in applied("manifests") {
        let kind = object["kind"].as_str().unwrap();
        let expected = if cluster_wide.contains(&kind) { Value::Null } else { json!(control::NAMESPACE) };
        assert_eq!(object["metadata"]["namespace"], expected, "{kind}");
    }
    let namespace = one("Namespace", control::NAMESPACE);
    assert_eq!(namespace["metadata"]["labels"][labels::NAMESPACE_INJECTION], labels::DISABLED);
}

/// What it selects is printed by the injector from its rules, and held against this file by a test of the injector's.
#[test]
fn the_webhook_calls_by_the_contract() {
    let configuration = one("MutatingWebhookConfiguration", control::WEBHOOK_CONFIGURATION);
    let entries = configuration["webhooks"].as_array().unwrap();
    let expected = [
        (control::WEBHOOK_NAMESPACE_ENTRY, control::WEBHOOK_NAMESPACE_PATH),
        (control::WEBHOOK_OBJECT_ENTRY, control::WEBHOOK_OBJECT_PATH),
    ];
    assert_eq!(entries.len(), expected.len());
    for (entry, (name, path)) in entries.iter().zip(expected) {
        assert_eq!(entry["name"], name);
        assert!(name.ends_with(control::WEBHOOK_ENTRY_SUFFIX), "{name}");
        assert_eq!(
            entry["clientConfig"],
            json!({"service": {
                "name": control::INJECTOR, "namespace": control::NAMESPACE,
                "path": path, "port": ports::WEBHOOK_SERVICE,
            }}),
            "caBundle is published, never applied"
        );
        assert_eq!(
            entry["rules"],
            json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "Namespaced"}])
        );
        let never = entry["namespaceSelector"]["matchExpressions"].as_array().unwrap().iter();
        let never = never.filter(|expression| expression["key"] == labels::NAMESPACE_NAME);
        let never: Vec<_> = never.flat_map(|expression| expression["values"].as_array().unwrap()).collect();
        for name in control::NEVER_INJECTED.iter().chain([&control::NAMESPACE]) {
            assert!(never.contains(&&json!(name)), "{name} is never called for");
        }
        assert_eq!(entry["timeoutSeconds"], control::WEBHOOK_TIMEOUT_SECONDS);
        for (field, value) in [
            ("failurePolicy", json!("Fail")),
            ("matchPolicy", json!("Equivalent")),
            ("sideEffects", json!("None")),
            ("reinvocationPolicy", json!("IfNeeded")),
            ("admissionReviewVersions", json!(["v1"])),
        ] {
            assert_eq!(entry[field], value, "{field}");
        }
    }
}

#[test]
fn the_service_leads_to_the_webhook() {
    let service = one("Service", control::INJECTOR);
    let port = &service["spec"]["ports"][0];
    assert_eq!(port["port"], ports::WEBHOOK_SERVICE);
    let container = injector_container();
    let target = container["ports"].as_array().unwrap().iter().find(|p| p["name"] == port["targetPort"]);
    assert_eq!(target.expect("the named port")["containerPort"], ports::WEBHOOK);
    let template = &one("Deployment", control::INJECTOR)["spec"]["template"];
    for (key, value) in service["spec"]["selector"].as_object().unwrap() {
        assert_eq!(&template["metadata"]["labels"][key], value);
    }
}

#[test]
fn the_injector_runs_as_the_contract_says() {
    let container = injector_container();
    assert_eq!(container["image"], pod::INJECTOR_IMAGE);
    assert_eq!(container["command"], json!([pod::INJECTOR_BINARY]));
    let volumes = &one("Deployment", control::INJECTOR)["spec"]["template"]["spec"]["volumes"];
    assert_eq!(volumes[0]["configMap"]["name"], control::INJECTOR);
    let mount = &container["volumeMounts"][0];
    assert_eq!(mount["name"], volumes[0]["name"]);
    let data = one("ConfigMap", control::INJECTOR)["data"].as_object().unwrap().clone();
    let file = data.keys().next().unwrap();
    let option = format!("--config={}/{file}", mount["mountPath"].as_str().unwrap());
    assert_eq!(container["args"], json!(["serve", option]));
    let admin = container["ports"].as_array().unwrap().iter().find(|port| port["name"] == "admin").unwrap();
    assert_eq!(admin["containerPort"], ports::INJECTOR_ADMIN);
    for (probe, path) in [
        ("readinessProbe", control::READY_PATH),
        ("livenessProbe", control::LIVE_PATH),
        ("startupProbe", control::LIVE_PATH),
    ] {
        assert_eq!(container[probe]["httpGet"], json!({"path": path, "port": "admin"}), "{probe}");
    }
    let template = &one("Deployment", control::INJECTOR)["spec"]["template"];
    assert_eq!(template["metadata"]["labels"][labels::POD_INJECT], "false");
    assert_eq!(template["metadata"]["annotations"]["prometheus.io/port"], ports::INJECTOR_ADMIN.to_string());
}

/// Two replicas that are never both away on purpose, with no privilege at all.
#[test]
fn the_injector_is_available_and_confined() {
    let deployment = one("Deployment", control::INJECTOR);
    let spec = &deployment["spec"];
    assert_eq!(
        (&spec["replicas"], &spec["strategy"]["rollingUpdate"]["maxUnavailable"]),
        (&json!(2), &json!(0))
    );
    let budget = one("PodDisruptionBudget", control::INJECTOR);
    assert_eq!(
        budget["spec"],
        json!({"minAvailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": spec["selector"]})
    );
    let pod = &spec["template"]["spec"];
    let keys: Vec<_> =
        pod["topologySpreadConstraints"].as_array().unwrap().iter().map(|c| &c["topologyKey"]).collect();
    assert_eq!(keys, ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]);
    assert!(
        pod["terminationGracePeriodSeconds"].as_u64().unwrap() >= 15 + 10,
        "the shutdown delay and the rest"
    );
    assert_eq!(pod["enableServiceLinks"], false, "a Service remora-admin would set an option");
    let memory = &injector_container()["resources"]["limits"]["memory"];
    assert_eq!(*memory, "512Mi", "the largest review takes a third of it while it is read");
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(
        injector_container()["securityContext"],
        json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}})
    );
}

/// Nothing but one Secret, one webhook configuration, and the metadata of namespaces.
#[test]
fn rights_are_minimal() {
    let rules = |kind: &str| one(kind, control::INJECTOR)["rules"].clone();
    assert_eq!(
        rules("Role"),
        json!([
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [control::CA_SECRET], "verbs": ["get", "update"]},
        ])
    );
    assert_eq!(
        rules("ClusterRole"),
        json!([
            {
                "apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations"],
                "resourceNames": [control::WEBHOOK_CONFIGURATION], "verbs": ["get", "patch"],
            },
            {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]},
        ])
    );
    let account =
        json!([{"kind": "ServiceAccount", "name": control::INJECTOR, "namespace": control::NAMESPACE}]);
    for (binding, role) in [("RoleBinding", "Role"), ("ClusterRoleBinding", "ClusterRole")] {
        let binding = one(binding, control::INJECTOR);
        assert_eq!(binding["subjects"], account);
        assert_eq!(
            (&binding["roleRef"]["kind"], &binding["roleRef"]["name"]),
            (&json!(role), &json!(control::INJECTOR))
        );
    }
    let account = &one("Deployment", control::INJECTOR)["spec"]["template"]["spec"]["serviceAccountName"];
    assert_eq!(account, control::INJECTOR);
    one("ServiceAccount", control::INJECTOR);
}

/// The example asks for injection and knows nothing else of the mesh.
#[test]
fn the_example_knows_nothing_of_the_mesh() {
    let objects = applied("examples");
    let namespace = objects.iter().find(|object| object["kind"] == "Namespace").expect("a namespace");
    assert_eq!(namespace["metadata"]["labels"], json!({labels::NAMESPACE_INJECTION: labels::ENABLED}));
    let without: Vec<&Value> = objects.iter().filter(|object| object["kind"] != "Namespace").collect();
    assert!(without.iter().all(|object| object["metadata"]["namespace"] == namespace["metadata"]["name"]));
    let text = json!(without).to_string();
    for word in ["istio", "remora", "sidecar"] {
        assert!(!text.contains(word), "{word}");
    }
    for service in without.iter().filter(|object| object["kind"] == "Service") {
        let name = &service["metadata"]["name"];
        let deployment = without
            .iter()
            .find(|object| object["kind"] == "Deployment" && object["metadata"]["name"] == *name);
        let template = &deployment.expect("a Deployment of the Service's name")["spec"]["template"];
        assert_eq!(service["spec"]["selector"]["app"], template["metadata"]["labels"]["app"]);
        let ports = template["spec"]["containers"][0]["ports"].as_array().unwrap();
        for port in service["spec"]["ports"].as_array().unwrap() {
            let target = ports.iter().find(|target| target["name"] == port["targetPort"]);
            assert_eq!(target.expect("the named port")["containerPort"], port["port"]);
        }
    }
}
