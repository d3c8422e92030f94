//! Edits of every kind and their way back; what was changed since; statuses of other times and other meshes.

use serde_json::{Value, json};

use super::uninject;
use crate::inject::additions::Additions;
use crate::inject::edit::{Edit, Handler, Place};
use crate::inject::facts::Facts;
use crate::inject::pod::Pod;
use crate::inject::{Images, Matched, Request, Settings, apply, patch, rules};

/// Handlers of all kinds, in a container, an init container and a native sidecar; annotations that change, come and go.
fn pod() -> Value {
    json!({
        "metadata": {
            "name": "web",
            "labels": null,
            "annotations": {"port": "8080", "path": null, "gone": "x"},
        },
        "spec": {
            "initContainers": [
                {"name": "sidecar", "image": "s", "restartPolicy": "Always",
                 "startupProbe": {"grpc": {"port": 9, "service": null}, "periodSeconds": 7}},
            ],
            "containers": [
                {"name": "first", "image": "f"},
                {"name": "app", "image": "a",
                 "readinessProbe": {"httpGet": {"path": "/", "port": "http", "scheme": "HTTPS"}, "failureThreshold": 2},
                 "livenessProbe": {"tcpSocket": {"port": 80}, "httpGet": null},
                 "lifecycle": {"preStop": {"httpGet": {"port": 1}}, "postStart": {"tcpSocket": {"port": 2}}}},
            ],
            "imagePullSecrets": [{"name": "theirs"}],
        },
    })
}

fn handler(pod: &Value, container: &str, handler: Handler) -> Edit {
    let (_, _, found) = Pod::new(pod).unwrap().place_of(container).unwrap();
    let was = found.pointer(handler.pointer()).unwrap().clone();
    let mut now = was.clone();
    let fields = now.as_object_mut().unwrap();
    fields.retain(|field, _| !["tcpSocket", "grpc", "httpGet"].contains(&field.as_str()));
    let path = format!("{}/{container}/{}", api::control::APP_HEALTH_PATH, handler.name());
    fields.insert("httpGet".to_owned(), json!({"path": path, "port": api::ports::METRICS}));
    let place = Place::Handler { container: container.to_owned(), handler };
    Edit { place, was: Some(was), now: Some(now) }
}

fn annotation(key: &str, was: Option<Value>, now: Option<&str>) -> Edit {
    let place = Place::Annotation(key.to_owned());
    Edit { place, was, now: now.map(|now| json!(now)) }
}

fn edits(pod: &Value) -> Vec<Edit> {
    vec![
        handler(pod, "sidecar", Handler::StartupProbe),
        handler(pod, "app", Handler::ReadinessProbe),
        handler(pod, "app", Handler::LivenessProbe),
        handler(pod, "app", Handler::PreStop),
        handler(pod, "app", Handler::PostStart),
        annotation("port", Some(json!("8080")), Some("15020")),
        annotation("path", Some(Value::Null), Some("/metrics")),
        annotation("scrape", None, Some("true")),
        annotation("gone", Some(json!("x")), None),
    ]
}

fn settings() -> Settings {
    let pull_secrets = vec!["theirs".to_owned(), "ours".to_owned()];
    Settings { images: Images { pull_secrets, ..Images::default() }, ..Settings::default() }
}

/// As [`crate::inject::decide`] does it, with these edits.
fn injected_with(pod: &Value, edits: Vec<Edit>) -> Value {
    let request = Request {
        pod,
        matched: Matched::Namespace,
        namespace: "shop".into(),
        requester: None,
        workload: None,
    };
    let settings = settings();
    let facts = Facts::new(&request, &settings, None).unwrap();
    let reasons = rules::judge(&facts).reasons;
    let options = facts.options.as_ref().unwrap();
    let mut additions = Additions::new(&facts, options, &mut Vec::new());
    additions.edits = edits;
    crate::inject::record::record(&mut additions, &facts, &reasons);
    let mut patched = pod.clone();
    apply(&mut patched, &patch::operations(additions, facts.pod).unwrap()).unwrap();
    patched
}

fn injected() -> Value {
    injected_with(&pod(), edits(&pod()))
}

fn taken_out(pod: &Value) -> (Value, Vec<String>) {
    let found = uninject(pod).unwrap();
    let mut pod = pod.clone();
    apply(&mut pod, &found.operations).unwrap();
    (pod, found.warnings)
}

#[test]
fn edits_are_made() {
    let injected = injected();
    let app = &injected["spec"]["containers"][1];
    for (pointer, field) in [
        ("/readinessProbe", "failureThreshold"),
        ("/livenessProbe", "httpGet"),
        ("/lifecycle/preStop", "httpGet"),
    ] {
        let now = app.pointer(pointer).unwrap();
        assert_eq!(now["httpGet"]["port"], api::ports::METRICS, "{pointer}");
        assert!(now.get(field).is_some() && now.get("tcpSocket").is_none(), "{now}");
    }
    assert_eq!(injected["spec"]["initContainers"][2]["startupProbe"]["periodSeconds"], 7);
    let annotations = &injected["metadata"]["annotations"];
    assert_eq!((&annotations["port"], &annotations["path"]), (&json!("15020"), &json!("/metrics")));
    assert_eq!((&annotations["scrape"], annotations.get("gone")), (&json!("true"), None));
    assert_eq!(injected["spec"]["imagePullSecrets"], json!([{"name": "theirs"}, {"name": "ours"}]));
}

#[test]
fn edits_are_undone_exactly() {
    assert_eq!(taken_out(&injected()), (pod(), Vec::new()));
}

/// Absent, null and empty are three things, for each list and map and for all of them together.
#[test]
fn what_was_absent_null_or_empty_is_so_again() {
    let shapes = |empty: Value| [None, Some(Value::Null), Some(empty)];
    for part in ["/metadata/labels", "/metadata/annotations", "/spec/initContainers", "/spec/volumes"] {
        let (parent, field) = part.rsplit_once('/').unwrap();
        let empty = if parent == "/metadata" { json!({}) } else { json!([]) };
        for shape in shapes(empty) {
            let mut pod = json!({"metadata": {}, "spec": {"containers": [{"name": "app", "image": "a"}]}});
            if let Some(shape) = &shape {
                pod.pointer_mut(parent).unwrap()[field] = shape.clone();
            }
            assert_eq!(taken_out(&injected_with(&pod, Vec::new())), (pod.clone(), Vec::new()), "{pod}");
        }
    }
}

/// What Kubernetes adds to what was injected goes with it, and what it adds to the user's own stays.
#[test]
fn defaults_of_kubernetes_do_not_matter() {
    let defaulted = |mut pod: Value| {
        for list in ["initContainers", "containers"] {
            for container in pod["spec"][list].as_array_mut().unwrap() {
                container["terminationMessagePath"] = json!("/dev/termination-log");
                for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
                    if let Some(probe) = container.get_mut(probe) {
                        probe["timeoutSeconds"] = json!(1);
                        probe["successThreshold"] = json!(1);
                    }
                }
            }
        }
        let volumes = pod["spec"].get_mut("volumes").and_then(Value::as_array_mut);
        for volume in volumes.into_iter().flatten() {
            if let Some(projected) = volume.get_mut("projected") {
                projected["defaultMode"] = json!(420);
            }
        }
        pod
    };
    let mut changed = defaulted(injected());
    // The default of what is not there any more.
    changed["spec"]["containers"][1]["readinessProbe"]["httpGet"]["scheme"] = json!("HTTP");
    assert_eq!(taken_out(&changed), (defaulted(pod()), Vec::new()));
}

#[test]
fn what_was_changed_since_stays_and_is_told() {
    let mut changed = injected();
    changed["spec"]["containers"][1]["readinessProbe"] = json!({"exec": {"command": ["ok"]}});
    changed["metadata"]["annotations"]["port"] = json!("9090");
    changed["metadata"]["annotations"]["gone"] = json!("back");
    changed["metadata"]["labels"]["service.istio.io/canonical-name"] = json!("other");
    changed["metadata"]["labels"]["more"] = json!("x");
    changed["spec"]["volumes"].as_array_mut().unwrap().push(json!({"name": "more"}));
    let (result, warnings) = taken_out(&changed);
    let mut expected = pod();
    expected["spec"]["containers"][1]["readinessProbe"] = json!({"exec": {"command": ["ok"]}});
    expected["metadata"]["annotations"]["port"] = json!("9090");
    expected["metadata"]["annotations"]["gone"] = json!("back");
    expected["metadata"]["labels"] = json!({"service.istio.io/canonical-name": "other", "more": "x"});
    expected["spec"]["volumes"] = json!([{"name": "more"}]);
    assert_eq!(result, expected);
    for part in
        ["readinessProbe of container app", "annotation port", "label service.istio.io/canonical-name"]
    {
        assert!(warnings.iter().any(|warning| warning.contains(part)), "{part} in {warnings:?}");
    }
    assert_eq!(warnings.len(), 3);
}

/// As [`crate::inject::decide`] does it.
fn reviewed(pod: &Value) -> Value {
    let request = Request {
        pod,
        matched: Matched::Namespace,
        namespace: "shop".into(),
        requester: None,
        workload: None,
    };
    let decision = crate::inject::decide(&request, &settings());
    let mut result = pod.clone();
    apply(&mut result, &decision.operations).unwrap();
    result
}

/// What is edited no more is as it was, what is edited instead is so, and the rest of the injection stays.
#[test]
fn an_edit_that_is_wanted_no_more_is_undone_by_the_next_review() {
    assert_eq!(reviewed(&injected()), reviewed(&pod()));
}

/// The form of the status before values and originals were recorded.
fn old_status(patched: &mut Value) {
    let annotations = patched["metadata"]["annotations"].as_object_mut().unwrap();
    let text = annotations[api::annotations::STATUS].as_str().unwrap();
    let mut status: Value = serde_json::from_str(text).unwrap();
    for field in ["labels", "annotations"] {
        status[field] = status[field].as_object().unwrap().keys().cloned().collect();
    }
    for field in ["created", "nulls", "replaced", "handlers", "imagePullSecrets"] {
        status.as_object_mut().unwrap().remove(field);
    }
    status["version"] = json!("0.0.9");
    annotations[api::annotations::STATUS] = json!(status.to_string());
}

#[test]
fn an_older_status_is_good_for_most_and_that_is_told() {
    let pod = json!({
        "metadata": {"annotations": {"a": "b"}}, "spec": {"containers": [{"name": "app"}], "imagePullSecrets": []},
    });
    let mut patched = injected_with(&pod, Vec::new());
    old_status(&mut patched);
    let (result, warnings) = taken_out(&patched);
    let mut expected = pod;
    // Pull secrets were not recorded.
    expected["spec"]["imagePullSecrets"] = json!([{"name": "theirs"}, {"name": "ours"}]);
    assert_eq!(result, expected);
    assert!(warnings[0].contains("0.0.9") && warnings[1].contains("did not record"), "{warnings:?}");
}

#[test]
fn what_is_not_ours_is_left_with_a_reason() {
    let istio = json!({
        "metadata": {"annotations": {api::annotations::STATUS: json!({
            "initContainers": ["istio-init"], "containers": ["istio-proxy"], "volumes": [], "imagePullSecrets": null,
            "revision": "default",
        }).to_string()}},
        "spec": {"initContainers": [{"name": "istio-init"}], "containers": [{"name": "istio-proxy"}]},
    });
    for (pod, code) in
        [(istio, "name-conflict"), (pod(), "not-injected"), (json!({"metadata": 1}), "malformed-pod")]
    {
        assert_eq!(uninject(&pod).unwrap_err().code.as_str(), code);
    }
}

/// A leftover comes back, whatever it says; only one that is longer than any of ours does not.
#[test]
fn a_leftover_status_comes_back() {
    for leftover in
        [json!(injected()["metadata"]["annotations"][api::annotations::STATUS]), json!("{"), json!(null)]
    {
        let mut pod = pod();
        pod["metadata"]["annotations"][api::annotations::STATUS] = leftover;
        assert_eq!(taken_out(&injected_with(&pod, edits(&pod))).0, pod);
    }
    let mut long = pod();
    long["metadata"]["annotations"][api::annotations::STATUS] = json!("x".repeat(64 * 1024));
    assert_eq!(taken_out(&injected_with(&long, edits(&long))).0, pod());
}
