//! The injector's commands for people, on the cluster: what works is green, what was broken on purpose is named.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::binaries;
use tests::cluster::{FORTIO_IMAGE, Namespace, eventually, get, kubectl};

#[test]
fn check_is_green_on_what_was_installed() -> Result<()> {
    let _labelled = Namespace::meshed("check-green")?;
    let (code, checks) = check()?;
    for name in [
        "api-server",
        "nodes",
        "webhook-configuration",
        "replicas",
        "ca-bundle",
        "authority",
        "reach-by-namespace",
        "reach-by-pod",
    ] {
        let (status, found) = checks.get(name).with_context(|| format!("{name} in {checks:?}"))?;
        ensure!(status == "ok", "{name}: {status}: {found}");
    }
    ensure!(code == 0, "{checks:?}");
    Ok(())
}

#[test]
fn check_names_a_selector_that_somebody_changed() -> Result<()> {
    let _labelled = Namespace::meshed("check-selector")?;
    let configuration = format!("mutatingwebhookconfiguration/{}", api::control::WEBHOOK_CONFIGURATION);
    let before = get(&[&configuration])?["webhooks"][0]["namespaceSelector"].clone();
    let set = |selector: &Value| -> Result<()> {
        let patch = json!([{"op": "replace", "path": "/webhooks/0/namespaceSelector", "value": selector}]);
        kubectl(&["patch", &configuration, "--type=json", "-p", &patch.to_string()]).map(drop)
    };
    set(&json!({"matchLabels": {"remora.test/none": "none"}}))?;
    // The API server hears of a configuration's change by a watch of its own.
    let checked = eventually("the changed selector counts", Duration::from_secs(60), || {
        let (code, checks) = check()?;
        Ok((status(&checks, "reach-by-namespace") == "fail").then_some((code, checks)))
    });
    set(&before)?;
    let (code, checks) = checked?;
    ensure!(code == 1 && status(&checks, "webhook-configuration") == "fail", "{code} {checks:?}");
    ensure!(checks["webhook-configuration"].1.contains("namespaceSelector"), "{checks:?}");
    ensure!(checks["reach-by-namespace"].1.contains("without the sidecar"), "{checks:?}");
    eventually("the selector counts again", Duration::from_secs(60), || {
        let (_, checks) = check()?;
        Ok((status(&checks, "reach-by-namespace") == "ok").then_some(()))
    })
}

#[test]
fn check_names_an_injector_that_is_not_there() -> Result<()> {
    let _labelled = Namespace::meshed("check-scaled")?;
    let deployment = format!("deployment/{}", api::control::INJECTOR);
    let own = ["-n", api::control::NAMESPACE];
    let scale = |replicas: &str| kubectl(&[&own[..], &["scale", &deployment, replicas]].concat()).map(drop);
    scale("--replicas=0")?;
    let selector = format!("{}={}", api::labels::APP_NAME, api::control::INJECTOR);
    let gone = ["wait", "pods", "-l", &selector, "--for=delete", "--timeout=120s"];
    let checked = kubectl(&[&own[..], &gone].concat()).and_then(|_| check());
    scale("--replicas=2")?;
    kubectl(&[&own[..], &["rollout", "status", &deployment, "--timeout=120s"]].concat())?;
    let (code, checks) = checked?;
    ensure!(code == 1, "{code} {checks:?}");
    for (name, part) in [
        ("replicas", "scaled to zero"),
        ("reach-by-namespace", "cannot call"),
        ("reach-by-pod", "cannot call"),
    ] {
        ensure!(status(&checks, name) == "fail" && checks[name].1.contains(part), "{name}: {checks:?}");
    }
    Ok(())
}

#[test]
fn a_pod_from_before_the_label_is_listed_and_explained() -> Result<()> {
    let late = Namespace::plain("late-label")?;
    late.apply(&[pod("early")])?;
    let label = format!("{}={}", api::labels::NAMESPACE_INJECTION, api::labels::ENABLED);
    kubectl(&["label", "namespace", &late.name, &label])?;
    late.apply(&[pod("timely")])?;
    let (code, verified) = injector(&["verify", "-n", &late.name, "-o", "json"])?;
    let verified: Value = serde_json::from_str(&verified)?;
    let found = verified["findings"].as_array().context("findings")?;
    ensure!(code == 1 && found.len() == 1, "{code} {verified}");
    ensure!(found[0]["pod"] == "early" && found[0]["state"] == "unmeshed", "{verified}");
    let explain = |pod: &str| injector(&["explain", pod, "-n", &late.name]);
    let (code, early) = explain("pod/early")?;
    ensure!(code == 0 && early.contains("it was created before the namespace's label"), "{code} {early}");
    let (code, timely) = explain("pod/timely")?;
    ensure!(
        code == 0 && timely.contains("by version") && timely.contains("namespace-enabled"),
        "{code} {timely}"
    );
    Ok(())
}

/// A pod that no node takes: what it is made of is what is looked at.
fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "containers": [{"name": "app", "image": FORTIO_IMAGE, "args": ["server"]}],
            "nodeSelector": {"remora.test/none": "none"},
        },
    })
}

type Checks = BTreeMap<String, (String, String)>;

/// The exit code of `injector check`, and each check's status and finding; of several of one name the worst.
fn check() -> Result<(i32, Checks)> {
    let (code, output) = injector(&["check", "-o", "json"])?;
    let output: Value = serde_json::from_str(&output)?;
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let rank = |status: &str| ["ok", "warn", "unknown", "fail"].iter().position(|one| *one == status);
    let mut checks = Checks::new();
    for row in output["checks"].as_array().context("checks")? {
        let found = (text(row, "status"), text(row, "found"));
        let worst = checks.entry(text(row, "name")).or_insert_with(|| found.clone());
        if rank(&found.0) > rank(&worst.0) {
            *worst = found;
        }
    }
    Ok((code, checks))
}

fn status<'a>(checks: &'a Checks, name: &str) -> &'a str {
    checks.get(name).map_or("absent", |(status, _)| status)
}

/// Runs the injector as a person does: by the kubeconfig that kubectl uses.
fn injector(arguments: &[&str]) -> Result<(i32, String)> {
    let output = Command::new(binaries::injector()?).args(arguments).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code().with_context(|| format!("injector {arguments:?}: {error}"))?;
    ensure!(code <= 3, "injector {arguments:?} ended with {code}: {error}");
    Ok((code, String::from_utf8(output.stdout)?))
}
