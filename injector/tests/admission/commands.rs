//! The commands for people against a real API server: what it defaults, stores and refuses is what they judge.

use std::process::Output;

use serde_json::{Value, json};
use tests::control_plane::pods_path;

use crate::mesh::{CONFIGURATIONS, Mesh, is_injected, pod, until};

/// Runs the injector as a person does who may do everything, or who has this token.
async fn injector(mesh: &Mesh, arguments: &[&str], token: Option<&str>) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    let text = match token {
        Some(token) => mesh.control_plane.kubeconfig_with(token),
        None => mesh.control_plane.kubeconfig(),
    };
    std::fs::write(&kubeconfig, text).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_injector"));
    command.args(arguments).arg("--kubeconfig").arg(&kubeconfig);
    // The webhook that the API server calls meanwhile runs in this thread.
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// The rows of a check: name, status and what was found.
async fn check(mesh: &Mesh) -> Vec<(String, String, String)> {
    let output = injector(mesh, &["check", "-o", "json"], None).await;
    let found: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    let rows = found["checks"].as_array().unwrap().iter();
    rows.map(|row| (text(row, "name"), text(row, "status"), text(row, "found"))).collect()
}

fn row<'a>(rows: &'a [(String, String, String)], name: &str) -> (&'a str, &'a str) {
    let row = rows.iter().find(|row| row.0 == name).unwrap_or_else(|| panic!("{name} in {rows:?}"));
    (&row.1, &row.2)
}

async fn start() -> Mesh {
    let mesh = Mesh::start(&json!({}), &[]).await;
    let enabled = json!({ api::labels::NAMESPACE_INJECTION: api::labels::ENABLED });
    mesh.control_plane.create_namespace("shop", &enabled).await.unwrap();
    // Before `default`, whose service account nobody makes here.
    mesh.control_plane.create_namespace("a-silent-one", &json!({})).await.unwrap();
    mesh.created("shop").await;
    mesh
}

#[tokio::test]
async fn check_judges_what_a_real_api_server_has() {
    let mesh = start().await;
    let rows = check(&mesh).await;
    for name in [
        "api-server",
        "ca-bundle",
        "authority",
        "reach-by-namespace",
        "reach-by-pod",
        "other-webhooks",
        "webhook-cycle",
    ] {
        let (status, found) = row(&rows, name);
        assert_eq!(status, "ok", "{name}: {found}");
    }
    // Of all that the API server writes into a configuration, only what the harness changed is a difference.
    let (status, found) = row(&rows, "webhook-configuration");
    let of_port = found.matches("clientConfig.service.port is ").count();
    assert!(status == "fail" && of_port == 2 && found.matches("; ").count() == 1, "{found}");
}

/// A copy under another name, since the injector would put its own right within seconds.
#[tokio::test]
async fn check_says_what_the_api_server_says_of_a_wrong_bundle() {
    let mesh = start().await;
    let other = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap();
    let bundle = json!(k8s_openapi::ByteString(other.cert.pem().into_bytes()));
    let mut copy = mesh.found().await;
    copy["metadata"] = json!({"name": "a-copy"});
    for entry in copy["webhooks"].as_array_mut().unwrap() {
        entry["clientConfig"]["caBundle"] = bundle.clone();
    }
    mesh.client().create(CONFIGURATIONS, &copy).await.unwrap();
    // The API server hears of it by a watch of its own.
    let refused = until("a refusal", async || {
        let rows = check(&mesh).await;
        let (status, found) = row(&rows, "reach-by-namespace");
        (status == "fail").then(|| found.to_owned())
    });
    let refused = refused.await;
    assert!(refused.contains("the API server cannot call it") && refused.contains("x509"), "{refused}");
}

#[tokio::test]
async fn a_pod_from_before_the_label_is_listed_and_explained() {
    let mesh = start().await;
    mesh.control_plane.create_namespace("late", &json!({})).await.unwrap();
    let named = |name: &str| {
        let mut pod = pod();
        pod["metadata"]["name"] = json!(name);
        pod
    };
    mesh.client().create(&pods_path("late"), &named("early")).await.unwrap();
    let label = json!({"metadata": {"labels": { api::labels::NAMESPACE_INJECTION: api::labels::ENABLED }}});
    mesh.client().merge("/api/v1/namespaces/late", &label).await.unwrap();
    // The API server hears of the label by a watch of its own.
    until("injection", async || is_injected(&mesh.create("late").await.ok()?).then_some(())).await;
    mesh.client().create(&pods_path("late"), &named("timely")).await.unwrap();
    let verified = injector(&mesh, &["verify", "-n", "late", "-o", "json"], None).await;
    let found: Value = serde_json::from_slice(&verified.stdout).unwrap();
    let count = found["findings"].as_array().map(Vec::len);
    assert_eq!((verified.status.code(), count), (Some(1), Some(1)), "{found}");
    assert_eq!((&found["findings"][0]["pod"], &found["current"]), (&json!("early"), &json!(1)), "{found}");
    for (pod, part) in
        [("pod/early", "it was created before the namespace's label"), ("pod/timely", "by version")]
    {
        let explained = injector(&mesh, &["explain", pod, "-n", "late"], None).await;
        let text = String::from_utf8(explained.stdout).unwrap();
        assert!(explained.status.success() && text.contains(part), "{part} in {text}");
        assert!(text.contains("created now: inject"), "{text}");
    }
}

#[tokio::test]
async fn who_may_see_nothing_is_told() {
    let mesh = start().await;
    let output = injector(&mesh, &["verify"], Some("nobody's")).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(10), "{error}");
    assert!(error.contains("could not look at /api/v1/namespaces"), "{error}");
}
