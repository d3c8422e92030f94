//! `injector inject`: manifests in, patched manifests out, by the library and by the binary.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use injector::command::{Exit, Outcome};
use injector::inject::Verdict;
use serde_json::{Value, json};

use crate::common::{decision, injected_pods, names, patched, tool};

fn inject(text: &str) -> Outcome {
    tool(&["inject", "--namespace=shop"], &[text])
}

/// The output and the notes.
fn injected(text: &str) -> (String, Vec<String>) {
    let outcome = inject(text);
    assert_eq!(outcome.exit, Exit::Ok, "{:?}", outcome.notes);
    (outcome.output, outcome.notes)
}

fn read(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// I10: a file gives what the webhook gives.
#[test]
fn a_pods_file_equals_the_webhook() {
    for pod in injected_pods() {
        let (output, notes) = injected(&pod.to_string());
        assert!(notes[0].contains(": inject: "), "{notes:?}");
        let printed: Value = serde_json::from_str(&output).unwrap();
        assert!(printed == patched(&pod, &decision(&pod)), "{}", pod["metadata"]);
    }
}

#[test]
fn documents_without_pods_pass_letter_by_letter() {
    let text = "# top\n---\napiVersion: v1 # kept\nkind: Service\nmetadata: {name: a}\n---\n# empty\n--- \nkind: Other\ntext: |\n  x\n";
    assert_eq!(injected(text).0, text);
}

#[test]
fn templates_of_every_workload_are_injected() {
    let template = json!({"spec": {"containers": [{"name": "app", "image": "i"}]}});
    let job = json!({"template": template});
    for (version, kind, spec) in [
        ("apps/v1", "Deployment", job.clone()),
        ("apps/v1", "StatefulSet", job.clone()),
        ("apps/v1", "DaemonSet", job.clone()),
        ("apps/v1", "ReplicaSet", job.clone()),
        ("v1", "ReplicationController", job.clone()),
        ("batch/v1", "Job", job.clone()),
        ("batch/v1", "CronJob", json!({"schedule": "* * * * *", "jobTemplate": {"spec": job}})),
    ] {
        let object =
            json!({"apiVersion": version, "kind": kind, "metadata": {"name": "nightly"}, "spec": spec});
        let (output, notes) = injected(&object.to_string());
        assert!(notes[0].starts_with(&format!("{kind}/nightly: inject: ")), "{notes:?}");
        let printed: Value = serde_json::from_str(&output).unwrap();
        let pod = printed
            .pointer("/spec/jobTemplate/spec/template")
            .unwrap_or_else(|| printed.pointer("/spec/template").unwrap());
        assert_eq!(names(pod, "initContainers"), ["istio-init", "istio-proxy"]);
        assert_eq!(pod["metadata"]["labels"]["service.istio.io/canonical-name"], "nightly");
        // What came out goes in again.
        assert_eq!(injected(&output).0, output);
    }
}

#[test]
fn lists_and_mixed_streams() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a, namespace: kube-system}\n  spec: {containers: [{name: c}]}\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: b}\n  spec: {containers: [{name: c}]}\n---\nkind: ConfigMap\n";
    let (output, notes) = injected(text);
    assert!(notes[0].starts_with("Pod/a: skip: ") && notes[1].starts_with("Pod/b: inject: "), "{notes:?}");
    let documents = read(&output);
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[0]["items"][0]["spec"], json!({"containers": [{"name": "c"}]}));
    assert!(output.ends_with("---\nkind: ConfigMap\n"));
}

/// What stands behind a document's marker does not end up before the first key.
#[test]
fn markers_stand_alone_before_what_was_injected() {
    let flow = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c}]}}\n";
    for text in
        [format!("--- # the pod\n{POD}"), format!("--- {flow}"), format!("---\n{POD}"), flow.to_owned()]
    {
        let (output, notes) = injected(&text);
        assert!(notes[0].contains(": inject: "), "{notes:?}");
        assert_eq!(output.starts_with("---"), text.starts_with("---"));
        assert_eq!(
            output.strip_prefix("---\n").unwrap_or(&output).lines().next(),
            Some("apiVersion: v1"),
            "{output}"
        );
    }
}

/// The API server takes none of these, so nothing may be made of them: what says `inject: false` was meant to stay as it is.
#[test]
fn what_no_api_server_takes_is_refused() {
    let metadata = |text: &str| POD.replace("name: a", &format!("name: a, {text}"));
    let spec = |text: &str| POD.replace("containers: [{name: c}]", text);
    for (text, part) in [
        (
            metadata("labels: {sidecar.istio.io/inject: false}"),
            "labels \"sidecar.istio.io/inject\" is \"false\" and not text",
        ),
        (metadata("annotations: {traffic.sidecar.istio.io/excludeInboundPorts: 8080}"), "quotes"),
        (metadata("labels: [a]"), "metadata.labels"),
        (spec("containers: [{name: c}], initContainers: {name: i}"), "spec.initContainers"),
        (spec("containers: []"), "no containers"),
    ] {
        let outcome = inject(&text);
        let error = &outcome.notes[0];
        assert_eq!((outcome.exit, &*outcome.output), (Exit::Refused, ""));
        assert!(error.contains("malformed-pod") && error.contains(part), "{part} in {error}");
    }
    assert!(injected(&metadata("labels: null, annotations:")).1[0].contains(": inject: "));
}

/// What was injected as a file is reviewed again as pods, whose owner may have a name that the file does not know.
#[test]
fn pods_of_injected_templates_are_left_alone() {
    let template = json!({"spec": {"containers": [{"name": "app", "image": "i"}]}});
    let job = |metadata: Value| json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}});
    let cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
        "spec": {"jobTemplate": {"spec": {"template": template}}},
    });
    for (object, owner, path) in [
        (cron_job, "nightly-28912345", "/spec/jobTemplate/spec/template"),
        (job(json!({"generateName": "batch-"})), "batch-x7x8z", "/spec/template"),
        (job(json!({"name": "once"})), "once", "/spec/template"),
    ] {
        let printed: Value = serde_json::from_str(&injected(&object.to_string()).0).unwrap();
        let mut pod = printed.pointer(path).unwrap().clone();
        pod["metadata"]["ownerReferences"] = json!([{"kind": "Job", "name": owner, "controller": true}]);
        let decision = decision(&pod);
        assert_eq!(decision.verdict, Verdict::Unchanged, "{:?}", decision.reasons);
    }
}

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_injector"))
        .arg("inject")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c}]}\n";

#[test]
fn the_binary_says_what_it_did() {
    let output = run(&["-"], POD);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(names(&read(&String::from_utf8(output.stdout).unwrap())[0], "initContainers").len(), 2);
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(notes.contains("Pod/a") && notes.contains("namespace-enabled"), "{notes}");
}

/// An injection is not brought up to date, and nobody is told that it is.
#[test]
fn an_injection_with_other_settings_stays_and_is_told() {
    let injected = run(&["--proxy-image=example.com/old", "-"], POD);
    let again = run(&["--proxy-image=example.com/new", "-"], std::str::from_utf8(&injected.stdout).unwrap());
    assert_eq!(again.stdout, injected.stdout);
    let notes = String::from_utf8(again.stderr).unwrap();
    assert!(notes.contains("other settings"), "{notes}");
}

/// A kind that is not known is passed through, but not in silence.
#[test]
fn a_file_without_pods_is_told() {
    for text in ["", "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\n"] {
        let output = run(&["-"], text);
        assert_eq!((output.status.code(), &*output.stdout), (Some(0), text.as_bytes()));
        let notes = String::from_utf8(output.stderr).unwrap();
        assert!(notes.contains("no object with pods"), "{notes}");
    }
}

/// One document that is wrong, and nothing is printed.
#[test]
fn bad_files_are_named_with_the_document() {
    let bad_annotation = POD.replace("name: a", "name: a, annotations: {sidecar.istio.io/proxyCPU: lots}");
    for (arguments, input, code, parts) in [
        (["-"], format!("{POD}---\n{bad_annotation}"), 20, ["document 2", "Pod/a", "proxyCPU"]),
        (["-"], format!("{POD}---\na: [\n"), 10, ["document 2", "not YAML", ""]),
        (["-"], "{\"kind\": ".to_owned(), 10, ["document 1", "not JSON", ""]),
        (["/nonexistent.yaml"], String::new(), 10, ["/nonexistent.yaml", "No such file", ""]),
    ] {
        let output = run(&arguments, &input);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(output.stdout.is_empty());
        for part in parts {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
    assert_eq!(run(&["--colour", "-"], "").status.code(), Some(2));
}
