//! `injector check`: green where all is well, and each fault by its name.

use injector::cluster::{ClusterArgs, Survey, SurveyError, connect};
use injector::command::Exit;
use serde_json::{Value, json};
use tests::api_server;

use super::cluster::{CONFIG_MAP, Cluster, LABELLED, authority, steady};
use crate::golden::same;
use crate::running::configuration_path;

/// The rows of a check: name to status and what was found.
fn check(cluster: &Cluster) -> (Exit, Vec<(String, String, String)>) {
    let outcome = cluster.run(&["check", "-ojson"]);
    let found: Value =
        serde_json::from_str(&outcome.output).unwrap_or_else(|_| panic!("{:?}", outcome.notes));
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    let rows = found["checks"].as_array().unwrap().iter();
    (outcome.exit, rows.map(|row| (text(row, "name"), text(row, "status"), text(row, "found"))).collect())
}

#[test]
fn an_installation_that_works_is_all_green() {
    let cluster = Cluster::new();
    let outcome = cluster.run(&["check"]);
    assert_eq!(outcome.exit, Exit::Ok, "{}", outcome.output);
    same("commands/check.txt", &steady(&outcome.output));
    // Nothing was stored by the dry runs.
    assert!(!cluster.api.requests().iter().any(|line| line.starts_with("PATCH") || line.starts_with("PUT")));
}

type Fault = fn(&Cluster);

/// What is broken, and the row that says so: its name, its status and a part of what was found.
const FAULTS: [(Fault, &str, &str, &str); 18] = [
    (|c| c.api.remove(&configuration_path()), "webhook-configuration", "fail", "does not exist"),
    (
        |c| c.api.edit(&configuration_path(), |o| o["webhooks"][0]["failurePolicy"] = json!("Ignore")),
        "webhook-configuration",
        "fail",
        "failurePolicy is \"Ignore\", not \"Fail\"",
    ),
    (
        |c| c.api.edit(&configuration_path(), |o| o["webhooks"][0]["clientConfig"]["caBundle"] = Value::Null),
        "ca-bundle",
        "fail",
        "no certificate in caBundle",
    ),
    (
        |c| {
            let bundle = c.api.get(&configuration_path()).unwrap();
            c.certify(&authority());
            c.api.put(&configuration_path(), bundle);
        },
        "authority",
        "fail",
        "not in every published bundle",
    ),
    (|c| c.api.put("/version", json!({"gitVersion": "v1.28.3"})), "api-server", "fail", "no native sidecars"),
    (
        |c| c.api.edit("/api/v1/nodes/n1", |o| o["status"]["nodeInfo"]["kubeletVersion"] = json!("v1.27.1")),
        "nodes",
        "fail",
        "n1 (v1.27.1)",
    ),
    (
        |c| {
            let path = api_server::deployment_path(api::control::NAMESPACE, api::control::INJECTOR);
            c.api.edit(&path, |o| o["spec"]["replicas"] = json!(0));
        },
        "replicas",
        "fail",
        "scaled to zero",
    ),
    (
        |c| {
            let path = api_server::deployment_path(api::control::NAMESPACE, api::control::INJECTOR);
            c.api.edit(&path, |o| o["status"]["readyReplicas"] = json!(1));
        },
        "replicas",
        "warn",
        "1 of 2 ready",
    ),
    (
        |c| {
            c.refuse(500, "failed calling webhook \"namespace.injector.remora.dev\": x509: certificate signed by unknown authority")
        },
        "reach-by-namespace",
        "fail",
        "x509",
    ),
    (|c| c.api.admit(Box::new(|_, pod| Ok(pod))), "reach-by-pod", "fail", "without the sidecar"),
    (|c| c.refuse(403, "exceeded quota: q"), "reach-by-namespace", "unknown", "not proven"),
    (|c| c.configure("redirectBackends: nft\n"), "configuration", "fail", "did you mean redirectBackend?"),
    (
        |c| c.api.edit(CONFIG_MAP, |o| o["data"] = json!({"other": ""})),
        "configuration",
        "warn",
        "key injector.yaml of ConfigMap remora-system/remora-injector does not exist",
    ),
    (|c| c.api.remove(CONFIG_MAP), "configuration", "warn", "the other checks go by the defaults"),
    (
        |c| c.configure("redirectBackend: nft\n"),
        "configuration",
        "warn",
        "but pods are injected with settings",
    ),
    (
        |c| c.namespace("typo", &[("istio-injection", "true")]),
        "namespaces",
        "fail",
        "typo: label istio-injection is \"true\"",
    ),
    (
        |c| c.namespace("strict", &[LABELLED, ("pod-security.kubernetes.io/enforce", "restricted")]),
        "pod-security",
        "fail",
        "NET_ADMIN",
    ),
    (
        |c| c.api.put(&api_server::webhook_configuration_path("aaa"), everything("Fail")),
        "webhook-cycle",
        "warn",
        "fails closed for pods of remora-system",
    ),
];

/// Each fault turns its own row red and says what is wrong.
#[test]
fn each_fault_is_found_by_its_check() {
    for (fault, name, status, part) in FAULTS {
        let cluster = Cluster::new();
        fault(&cluster);
        let (exit, rows) = check(&cluster);
        let found = rows.iter().any(|row| row.0 == name && row.1 == status && row.2.contains(part));
        assert!(found, "{name} {status} {part} in {rows:#?}");
        let any = |status: &str| rows.iter().any(|row| row.1 == status);
        let expected = match (any("fail"), any("unknown")) {
            (true, _) => Exit::Found,
            (false, true) => Exit::Warned,
            (false, false) => Exit::Ok,
        };
        assert_eq!(exit, expected, "{name}");
    }
}

/// A webhook of somebody else's that sees all pods.
fn everything(policy: &str) -> Value {
    json!({"metadata": {"name": "aaa"}, "webhooks": [{
        "name": "all.example.com", "failurePolicy": policy,
        "clientConfig": {"service": {"namespace": "policies", "name": "p"}},
        "rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["pods"]}],
    }]})
}

#[test]
fn other_webhooks_are_told_in_their_order() {
    let cluster = Cluster::new();
    cluster.api.put(&api_server::webhook_configuration_path("aaa"), everything("Ignore"));
    let (exit, rows) = check(&cluster);
    let row = rows.iter().find(|row| row.0 == "other-webhooks").unwrap();
    assert!(row.2.contains("all.example.com before us (Ignore)"), "{row:?}");
    assert_eq!(exit, Exit::Ok, "{rows:?}");
}

/// Rights that are missing hide what they are about, and nothing else.
#[test]
fn what_may_not_be_seen_is_told() {
    let cluster = Cluster::new();
    cluster.api.forbid("GET /api/v1/nodes");
    cluster.api.forbid("GET /api/v1/namespaces/remora-system/secrets");
    cluster.api.forbid("GET /api/v1/namespaces/remora-system/configmaps");
    let (exit, rows) = check(&cluster);
    assert_eq!(exit, Exit::Warned);
    for name in ["nodes", "authority", "configuration"] {
        let row = rows.iter().find(|row| row.0 == name).unwrap();
        assert!(row.1 == "unknown" && row.2.starts_with("could not look at "), "{row:?}");
    }
    assert!(rows.iter().any(|row| row.0 == "reach-by-namespace" && row.1 == "ok"), "{rows:?}");
}

/// By the file that is named, else by what the installation has: here an entry of the webhook for a selector.
#[test]
fn it_is_judged_by_what_runs() {
    let cluster = Cluster::new();
    cluster.configure("selection: {alwaysInject: [{matchLabels: {team: mesh}}]}\n");
    let configuration = |arguments: &[&str]| {
        let outcome = cluster.run(&[&["check", "-ojson"], arguments].concat());
        let found: Value = serde_json::from_str(&outcome.output).unwrap();
        let rows = found["checks"].as_array().unwrap().clone();
        let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap()["found"].to_string();
        (row("webhook-configuration"), row("configuration"))
    };
    let (webhook, from) = configuration(&[]);
    assert!(webhook.contains("always-0.injector.remora.dev is missing"), "{webhook}");
    assert!(from.contains("ConfigMap remora-system/remora-injector"), "{from}");
    let file = cluster.directory.path().join("config.yaml");
    std::fs::write(&file, "apiVersion: remora.dev/v1alpha1\nkind: InjectorConfiguration\n").unwrap();
    let (webhook, from) = configuration(&[&format!("--config={}", file.display())]);
    assert!(webhook.contains("as this version exports them"), "{webhook}");
    assert!(
        from.contains("config.yaml, settings") && from.contains("with which pods are injected"),
        "{from}"
    );
}

#[test]
fn no_api_server_is_one_clear_line() {
    for command in [&["check"][..], &["verify"], &["explain", "pod/a"]] {
        let cluster = Cluster::new();
        cluster.api.set_down(true);
        let outcome = cluster.run(command);
        assert_eq!((outcome.exit, outcome.notes.len()), (Exit::Unreadable, 1), "{command:?}");
        assert!(outcome.notes[0].contains("does not answer"), "{:?}", outcome.notes);
    }
}

#[tokio::test]
async fn refusals_of_admission_and_of_authorization_are_told_apart() {
    let cluster = Cluster::new();
    let kubeconfig = cluster.directory.path().join("kubeconfig");
    std::fs::write(&kubeconfig, cluster.api.kubeconfig()).unwrap();
    let args = ClusterArgs { kubeconfig: Some(kubeconfig) };
    let survey = Survey::new(connect(&args).await.unwrap().calls);
    cluster.refuse(403, "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\"");
    let refused = survey.dry_run("shop", &json!({})).await.unwrap_err();
    assert!(matches!(refused, SurveyError::Failed { .. }), "{refused}");
    cluster.api.forbid("POST ");
    let denied = survey.dry_run("shop", &json!({})).await.unwrap_err();
    assert!(matches!(denied, SurveyError::Denied { .. }), "{denied}");
}
