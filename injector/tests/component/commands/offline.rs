//! Commands on files.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use clap::Parser;
use injector::command::{Exit, Outcome};
use injector::config::Cli;
use serde_json::{Value, json};

use crate::common::{injected_pods, names, tool};
use crate::golden::same;

const SHOP: &str = include_str!("../fixtures/shop.yaml");

/// A pod that nothing is wrong with.
const POD: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: i}]}\n";

fn parsed(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.output).unwrap_or_else(|error| panic!("{error} in {}", outcome.output))
}

#[test]
fn explanations_show_rules_values_and_effects() {
    let outcome = tool(&["explain"], &[SHOP]);
    assert_eq!(outcome.exit, Exit::Refused);
    same("commands/explain.txt", &outcome.output);
    let items = parsed(&tool(&["explain", "-o", "json"], &[SHOP]));
    let items = items["items"].as_array().unwrap();
    let verdicts: Vec<_> =
        items.iter().map(|item| (item["object"].as_str(), item["verdict"].as_str())).collect();
    let expected = [
        ("Deployment/web", "inject"),
        ("StatefulSet/db", "skip"),
        ("Pod/refused", "reject"),
        ("Pod/host", "skip"),
        ("Job/once", "inject"),
    ];
    assert_eq!(verdicts, expected.map(|(object, verdict)| (Some(object), Some(verdict))));
    let web = &items[0];
    let containers: Vec<_> =
        web["effects"]["containers"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(containers, ["istio-init", "istio-proxy", "migrate", "web"]);
    assert_eq!(web["effects"]["qos"], json!({"before": "Burstable", "after": "Burstable"}));
    let sources = |name: &str| {
        let values = web["values"].as_array().unwrap();
        let value = values
            .iter()
            .find(|value| value["key"] == name)
            .unwrap_or_else(|| panic!("{name} in {values:?}"));
        value["source"].as_str().unwrap().to_owned()
    };
    assert_eq!(sources("sidecar.istio.io/proxyCPU"), "pod");
    assert_eq!(sources("sidecar.istio.io/logLevel"), "namespace");
}

#[test]
fn lint_finds_what_people_get_wrong() {
    let outcome = tool(&["lint"], &[SHOP]);
    assert_eq!(outcome.exit, Exit::Found);
    same("commands/lint.txt", &outcome.output);
    let found = parsed(&tool(&["lint", "--output=json"], &[SHOP]));
    let codes: Vec<_> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect();
    for code in [
        "pod-security",
        "namespace-label",
        "label-on-workload",
        "annotation-on-workload",
        "inject-annotation",
        "invalid-annotation",
        "proxy-identity",
        "label-in-vain",
    ] {
        assert!(codes.contains(&code), "{code} in {codes:?}");
    }
}

/// A tenant's mistake in the namespace is found at the namespace, once.
#[test]
fn lint_reads_the_annotations_of_namespaces() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}, annotations: {sidecar.istio.io/logLevel: loud, sidecar.istio.io/proxyCpu: \"1\"}}\n";
    let found = parsed(&tool(&["lint", "-o", "json"], &[namespace]));
    let codes: Vec<_> =
        found["findings"].as_array().unwrap().iter().map(|finding| &finding["code"]).collect();
    assert_eq!(codes, ["invalid-annotation", "annotation"], "{found}");
}

#[test]
fn lint_ends_by_the_worst_that_it_found() {
    let warned = POD.replace("spec: {", "spec: {securityContext: {runAsUser: 1337}, ");
    for (arguments, text, exit) in [
        (&["lint"][..], POD, Exit::Ok),
        (&["lint"], &warned, Exit::Warned),
        (&["lint", "--fail-on=error"], &warned, Exit::Ok),
        (&["lint", "--fail-on=error"], SHOP, Exit::Found),
    ] {
        assert_eq!(tool(arguments, &[text]).exit, exit, "{arguments:?} {text}");
    }
}

#[test]
fn a_diff_takes_nothing_away_and_adds_what_injection_adds() {
    let outcome = tool(&["diff"], &[POD]);
    assert_eq!(outcome.exit, Exit::Found);
    let changed = |sign: char| {
        let lines = outcome.output.lines().skip(3);
        lines.filter(|line| line.starts_with(sign)).collect::<Vec<_>>()
    };
    assert_eq!(changed('-'), Vec::<&str>::new());
    assert!(changed('+').contains(&"+    name: istio-proxy"), "{}", outcome.output);
    let json = parsed(&tool(&["diff", "-ojson"], &[POD]));
    let item = &json["items"][0];
    assert!(item["diff"].as_str().unwrap().starts_with("--- Pod/a as written\n+++ Pod/a as injected\n@@ "));
    assert!(item["patch"].as_array().is_some_and(|operations| operations.len() > 2), "{item}");
    assert_eq!(tool(&["diff", "--namespace-labels="], &[POD]).exit, Exit::Ok);
    assert_eq!(tool(&["diff"], &[SHOP]).exit, Exit::Refused);
}

/// What comes out of the one goes into the other.
#[test]
fn uninject_is_the_inverse_of_inject() {
    for pod in injected_pods() {
        let injected = tool(&["inject", "--namespace=shop"], &[&pod.to_string()]);
        let undone = tool(&["uninject"], &[&injected.output]);
        assert_eq!(undone.exit, Exit::Ok, "{:?}", undone.notes);
        assert!(parsed(&undone) == pod, "{}: {:?}", pod["metadata"], undone.notes);
    }
    let untouched = tool(&["uninject"], &[POD]);
    assert_eq!((untouched.exit, &*untouched.output), (Exit::Ok, POD));
    assert!(untouched.notes[0].contains("not-injected"), "{:?}", untouched.notes);
}

#[test]
fn foreign_containers_are_not_taken_out() {
    let foreign = POD.replace("[{name: c", "[{name: istio-proxy, image: other}, {name: c");
    let outcome = tool(&["uninject"], &[&foreign]);
    assert_eq!((outcome.exit, &*outcome.output), (Exit::Refused, ""));
    assert!(outcome.notes[0].contains("istio-proxy"), "{:?}", outcome.notes);
}

/// A label, not the place where it is written, decides.
#[test]
fn namespaces_are_taken_from_files_and_flags() {
    let namespace = |labels: &str| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {{{labels}}}}}\n")
    };
    let labelled = POD.replace("{name: a}", "{name: a, labels: {sidecar.istio.io/inject: \"true\"}}");
    for (arguments, files, injected) in [
        (&["inject"][..], [POD, ""], true),
        (&["inject", "--namespace=kube-system"], [POD, ""], false),
        (&["inject", "--namespace-labels="], [POD, ""], false),
        (&["inject", "--namespace-labels="], [&labelled, ""], true),
        (&["inject", "--namespace-labels=istio-injection=disabled"], [&labelled, ""], false),
        (&["inject", "--namespace=shop"], [POD, &namespace("")], false),
        (&["inject", "--namespace=shop"], [POD, &namespace("istio-injection: enabled")], true),
        (&["inject", "--namespace=shop"], [&namespace("istio-injection: disabled"), POD], false),
    ] {
        let outcome = tool(arguments, &files);
        assert_eq!(
            outcome.output.contains("istio-proxy"),
            injected,
            "{arguments:?} {files:?} {:?}",
            outcome.notes
        );
    }
}

#[test]
fn several_files_are_one_stream() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n";
    let outcome = tool(&["inject"], &[service, POD, &POD.replace("name: a", "name: b")]);
    let documents: Vec<Value> = serde_saphyr::from_multiple(&outcome.output).unwrap();
    assert_eq!(documents.len(), 3);
    assert!(outcome.output.starts_with(service));
    let list = parsed(&tool(&["inject", "-o", "json"], &[service, POD]));
    assert_eq!((&list["kind"], list["items"].as_array().map(Vec::len)), (&json!("List"), Some(2)));
    assert_eq!(names(&list["items"][1], "initContainers"), ["istio-init", "istio-proxy"]);
}

fn review(pod: &str) -> String {
    let pod: Value = serde_saphyr::from_str(pod).unwrap();
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE",
            "namespace": "shop", "object": pod,
        },
    })
    .to_string()
}

#[test]
fn a_replayed_review_is_answered_as_by_the_webhook() {
    let review = review(POD);
    let answer = parsed(&tool(&["replay", "-o", "json"], &[&review]));
    assert_eq!(
        (&answer["response"]["uid"], &answer["response"]["patchType"]),
        (&json!("u1"), &json!("JSONPatch"))
    );
    let patch = parsed(&tool(&["replay", "-o", "patch"], &[&review]));
    assert!(
        patch.as_array().unwrap().iter().any(|operation| operation["path"] == "/spec/volumes"),
        "{patch}"
    );
    let pod = parsed(&tool(&["replay", "-o", "pod"], &[&review]));
    assert_eq!(names(&pod, "initContainers"), ["istio-init", "istio-proxy"]);
    let text = tool(&["replay"], &[&review]);
    assert_eq!(text.exit, Exit::Ok);
    assert!(text.output.starts_with("allowed u1\nadd  /metadata/"), "{}", text.output);
    // By the pod's own path a pod without a label is none of ours.
    let other = tool(&["replay", "--path=object"], &[&review]);
    assert_eq!(other.output, "allowed u1\nno patch\n");
}

#[test]
fn a_replayed_refusal_says_why() {
    let bad = review(&POD.replace("name: a", "name: a, annotations: {sidecar.istio.io/proxyCPU: lots}"));
    let outcome = tool(&["replay"], &[&bad]);
    assert_eq!(outcome.exit, Exit::Refused);
    assert!(outcome.output.starts_with("refused u1\ninvalid-annotation: "), "{}", outcome.output);
    for (text, part) in [
        ("{}", "AdmissionReview"),
        ("[", "not an AdmissionReview"),
        (&bad.replace("/v1\"", "/v1beta1\""), "v1beta1"),
    ] {
        let outcome = tool(&["replay"], &[text]);
        assert_eq!((outcome.exit, &*outcome.output), (Exit::Unreadable, ""));
        assert!(
            outcome.notes[0].contains("1.yaml") && outcome.notes[0].contains(part),
            "{:?}",
            outcome.notes
        );
    }
}

const GOOD_CONFIGURATION: &str =
    "apiVersion: remora.dev/v1alpha1\nkind: InjectorConfiguration\nimages: {proxy: example.com/proxy}\n";

#[test]
fn a_configuration_file_is_checked_with_its_lines() {
    let good = tool(&["config", "check"], &[GOOD_CONFIGURATION]);
    assert_eq!((good.exit, &*good.output), (Exit::Ok, "1.yaml: good\n"));
    let bad = GOOD_CONFIGURATION.replace("proxy: ", "proxi: ");
    let told = tool(&["config", "check"], &[&bad]);
    assert_eq!(told.exit, Exit::Found);
    assert!(
        told.output.starts_with("1.yaml:3: ") && told.output.contains("did you mean proxy?"),
        "{}",
        told.output
    );
    let json = parsed(&tool(&["config", "check", "-o", "json"], &[&bad]));
    assert_eq!((&json["ok"], &json["problems"][0]["line"]), (&json!(false), &json!(3)));
    assert_eq!(tool(&["config", "check", "/nonexistent.yaml"], &[]).exit, Exit::Unreadable);
}

/// What the file says is in the pods; and a file that is bad ends a command before it says anything.
#[test]
fn commands_go_by_the_configuration_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yaml");
    let flag = format!("--config={}", file.display());
    std::fs::write(&file, GOOD_CONFIGURATION).unwrap();
    assert!(tool(&["inject", &flag], &[POD]).output.contains("image: example.com/proxy\n"));
    std::fs::write(&file, "kind: ConfigMap\n").unwrap();
    for command in ["inject", "diff", "explain", "lint", "replay"] {
        let outcome = tool(&[command, &flag], &[POD]);
        assert_eq!((outcome.exit, &*outcome.output), (Exit::Unreadable, ""), "{command}");
        assert!(outcome.notes[0].contains("ConfigMap"), "{:?}", outcome.notes);
    }
}

/// Kinds of others with a pod template are left alone, and that is told; what merely has containers is no template.
#[test]
fn unknown_kinds_with_pods_are_told() {
    let rollout = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: c}]}}}\n";
    let prometheus =
        "---\napiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nspec: {containers: [{name: c}]}\n";
    let text = format!("{rollout}{prometheus}");
    let told = "1.yaml, document 1: Rollout/web (argoproj.io/v1alpha1): note: there are pods in it";
    for command in ["diff", "explain", "lint"] {
        let outcome = tool(&[command], &[&text]);
        assert_eq!((outcome.exit, outcome.output.matches(told).count()), (Exit::Ok, 1), "{}", outcome.output);
        let found = parsed(&tool(&[command, "-o", "json"], &[&text]));
        let passed_over: Vec<_> =
            found["passedOver"].as_array().unwrap().iter().map(|one| &one["object"]).collect();
        assert_eq!(passed_over, ["Rollout/web (argoproj.io/v1alpha1)"], "{found}");
    }
    for command in ["inject", "uninject"] {
        let outcome = tool(&[command], &[&text]);
        assert_eq!((outcome.exit, &*outcome.output), (Exit::Ok, &*text));
        assert!(outcome.notes.iter().any(|note| note.starts_with(told)), "{:?}", outcome.notes);
    }
    assert!(!tool(&["lint"], &[POD]).output.contains("note:"));
}

/// A name goes into paths of the API server, and into what is decided.
#[test]
fn namespaces_of_options_have_names() {
    for line in [
        &["lint", "--namespace=a/../b", "f"][..],
        &["inject", "--namespace=", "f"],
        &["verify", "--namespace=A"],
        &["check", "--control-namespace=a.b"],
    ] {
        let error = Cli::try_parse_from(std::iter::once(&"injector").chain(line)).unwrap_err().to_string();
        assert!(error.contains("is not the name of a namespace"), "{line:?}: {error}");
    }
}

/// Whatever else is given by mistake.
#[test]
fn what_is_no_manifest_is_told() {
    for command in ["inject", "uninject", "diff", "explain", "lint"] {
        for (text, part) in [
            ("hello\n", "must be an object"),
            ("# Title\n\n- one\n", "must be an object"),
            ("a: [1\n", "not YAML"),
            ("{\"a\": \n", "not JSON"),
        ] {
            let outcome = tool(&[command], &[text]);
            assert_eq!((outcome.exit, &*outcome.output, outcome.notes.len()), (Exit::Unreadable, "", 1));
            let note = &outcome.notes[0];
            assert!(note.starts_with("injector: 1.yaml, document 1: ") && note.contains(part), "{note}");
        }
        assert_eq!(tool(&[command], &[""]).exit, Exit::Ok, "{command}");
    }
}

#[test]
fn standard_input_is_there_once() {
    let outcome = tool(&["lint", "-", "-"], &[]);
    assert_eq!(outcome.exit, Exit::Unreadable);
    assert!(outcome.notes[0].contains("once"), "{:?}", outcome.notes);
}

/// `injector explain … | head -1`
#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_injector"))
        .args(["explain", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut input = child.stdin.take().unwrap();
    let pods: String = (0..200).map(|_| format!("---\n{POD}")).collect();
    let writer = std::thread::spawn(move || input.write_all(pods.as_bytes()).unwrap());
    let mut first = [0; 10];
    output.read_exact(&mut first).unwrap();
    drop(output);
    writer.join().unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}

/// Colours are for terminals, and this is none.
#[test]
fn a_pipe_gets_no_colours() {
    let output = Command::new(env!("CARGO_BIN_EXE_injector"))
        .args(["lint", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/component/fixtures/shop.yaml")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stdout.contains(&0x1b));
}
