//! `injector verify` and `injector explain pod/NAME`: what runs in a cluster, and why it is as it is.

use injector::command::Exit;
use injector::inject::{Matched, Request, Settings, apply, decide};
use serde_json::{Value, json};

use super::cluster::{Cluster, steady};
use crate::golden::same;
use crate::running::configuration_path;

/// As by an injection with these settings.
fn injected(pod: &mut Value, config: Option<&str>) {
    let request = Request {
        pod,
        matched: Matched::Namespace,
        namespace: "shop".into(),
        requester: None,
        workload: None,
    };
    let operations = decide(&request, &Settings::default()).operations;
    apply(pod, &operations).unwrap();
    if let Some(config) = config {
        let status = &mut pod["metadata"]["annotations"][api::annotations::STATUS];
        let mut value: Value = serde_json::from_str(status.as_str().unwrap()).unwrap();
        value["config"] = json!(config);
        *status = json!(value.to_string());
    }
}

fn with_pods() -> Cluster {
    let cluster = Cluster::new();
    let owned = |pod: &mut Value| {
        pod["metadata"]["labels"] = json!({"pod-template-hash": "6b7"});
        pod["metadata"]["ownerReferences"] =
            json!([{"kind": "ReplicaSet", "name": "web-6b7", "controller": true}]);
    };
    cluster.pod("shop", "web-6b7-a", owned);
    cluster.pod("shop", "web-6b7-b", |pod| {
        owned(pod);
        injected(pod, None);
    });
    cluster.pod("shop", "old", |pod| injected(pod, Some("0123456789abcdef")));
    cluster.pod("shop", "out", |pod| pod["metadata"]["labels"] = json!({"sidecar.istio.io/inject": "false"}));
    cluster.pod("shop", "done", |pod| pod["status"]["phase"] = json!("Succeeded"));
    cluster.pod("default", "elsewhere", |_| {});
    cluster
}

#[test]
fn unmeshed_and_outdated_pods_are_listed_with_what_restarts_them() {
    let cluster = with_pods();
    let outcome = cluster.run(&["verify"]);
    assert_eq!(outcome.exit, Exit::Found);
    same("commands/verify.txt", &steady(&outcome.output));
    let found: Value = serde_json::from_str(&cluster.run(&["verify", "-o", "json"]).output).unwrap();
    let states: Vec<_> =
        found["findings"].as_array().unwrap().iter().map(|one| (&one["pod"], &one["state"])).collect();
    assert_eq!(states, [(&json!("old"), &json!("outdated")), (&json!("web-6b7-a"), &json!("unmeshed"))]);
    assert_eq!((&found["pods"], &found["current"]), (&json!(4), &json!(1)));
    assert_eq!(cluster.run(&["verify", "--namespace=default"]).exit, Exit::Ok);
    assert_eq!(cluster.run(&["verify", "--namespace=nowhere"]).exit, Exit::Unreadable);
}

/// More pods than a page holds.
#[test]
fn long_lists_are_read_to_their_end() {
    let cluster = Cluster::new();
    for number in 0..1203 {
        cluster.pod("shop", &format!("p{number:04}"), |_| {});
    }
    let found: Value = serde_json::from_str(&cluster.run(&["verify", "-o", "json"]).output).unwrap();
    assert_eq!(found["findings"].as_array().unwrap().len(), 1203);
}

#[test]
fn what_is_outdated_is_not_guessed() {
    let cluster = with_pods();
    cluster.api.forbid("POST ");
    let outcome = cluster.run(&["verify"]);
    assert!(
        outcome.output.contains("what is outdated is not known: could not look at"),
        "{}",
        outcome.output
    );
    assert!(
        outcome.output.contains("web-6b7-a") && !outcome.output.contains("outdated  "),
        "{}",
        outcome.output
    );
    assert!(outcome.output.contains("up to date: 0, unknown: 2,"), "{}", outcome.output);
}

/// Nobody says what a pod should carry, so that none is said to carry it.
#[test]
fn without_an_injector_nothing_is_up_to_date() {
    let cluster = Cluster::new();
    cluster.pod("shop", "meshed", |pod| injected(pod, None));
    assert_eq!(cluster.run(&["verify"]).exit, Exit::Ok);
    for (admission, part) in [
        (None, "a pod that is created now is not injected; injector check says why"),
        (Some("failed calling webhook \"namespace.injector.remora.dev\": no endpoints"), "no endpoints"),
    ] {
        match admission {
            Some(refusal) => cluster.refuse(500, refusal),
            None => cluster.api.admit(Box::new(|_, pod| Ok(pod))),
        }
        let outcome = cluster.run(&["verify"]);
        assert_eq!(outcome.exit, Exit::Warned, "{}", outcome.output);
        for part in ["namespace shop: what is outdated is not known: ", part, "up to date: 0, unknown: 1,"] {
            assert!(outcome.output.contains(part), "{part} in {}", outcome.output);
        }
    }
}

/// In a namespace that says nothing the pods that ask for it are compared with one that asks for it, too.
#[test]
fn pods_that_asked_themselves_are_verified() {
    let cluster = Cluster::new();
    let asked = |pod: &mut Value, config: Option<&str>| {
        pod["metadata"]["labels"] = json!({"sidecar.istio.io/inject": "true"});
        injected(pod, config);
    };
    cluster.pod("default", "new", |pod| asked(pod, None));
    cluster.pod("default", "old", |pod| asked(pod, Some("0123456789abcdef")));
    let outcome = cluster.run(&["verify", "--namespace=default", "-o", "json"]);
    let found: Value = serde_json::from_str(&outcome.output).unwrap();
    assert_eq!((&found["current"], &found["findings"][0]["pod"]), (&json!(1), &json!("old")), "{found}");
}

/// The installation ignores the namespace, which this program does not know of itself.
#[test]
fn the_configuration_of_the_installation_decides() {
    let cluster = with_pods();
    cluster.configure("selection: {ignoredNamespaces: [shop]}\n");
    let ours = || cluster.run(&["explain", "pod/web-6b7-a", "-n", "shop"]).output;
    assert!(ours().contains("created now: skip  system-namespace"), "{}", ours());
    cluster.api.forbid("GET /api/v1/namespaces/remora-system/configmaps");
    assert!(ours().contains("created now: inject"), "{}", ours());
    let outcome = cluster.run(&["verify"]);
    for output in [ours(), outcome.output] {
        assert!(output.contains("could not look at /api/v1/namespaces/remora-system/configmaps"), "{output}");
        assert!(output.contains("the default configuration is taken to hold"), "{output}");
    }
}

/// It runs, and the next one like it would not.
#[test]
fn a_pod_that_would_be_refused_now_is_told_so() {
    let cluster = Cluster::new();
    let lots = |pod: &mut Value| pod["metadata"]["annotations"]["sidecar.istio.io/proxyCPU"] = json!("lots");
    cluster.pod("shop", "bare", lots);
    cluster.pod("shop", "meshed", |pod| {
        injected(pod, None);
        lots(pod);
    });
    for (pod, state) in [("pod/bare", "not injected  "), ("pod/meshed", "injected  ")] {
        let outcome = cluster.run(&["explain", pod, "-n", "shop"]);
        assert_eq!(outcome.exit, Exit::Refused);
        for part in [
            state,
            "once this one is gone, none takes its place",
            "mend what it is refused for",
            "created now: reject  invalid-annotation",
        ] {
            assert!(outcome.output.contains(part), "{part} in {}", outcome.output);
        }
    }
}

/// Nothing is sent to anybody.
#[test]
fn without_a_webhook_configuration_no_pod_is_injected() {
    let cluster = with_pods();
    cluster.api.remove(&configuration_path());
    let outcome = cluster.run(&["explain", "pod/web-6b7-a", "-n", "shop"]);
    for part in ["does not exist, so no pod is injected", "created now: skip"] {
        assert!(outcome.output.contains(part), "{part} in {}", outcome.output);
    }
}

#[test]
fn a_pod_from_before_the_label_is_explained_by_it() {
    let cluster = with_pods();
    cluster.api.edit("/api/v1/namespaces/shop", |namespace| {
        namespace["metadata"]["managedFields"] = json!([{
            "manager": "kubectl-label", "time": "2026-01-03T00:00:00Z",
            "fieldsV1": {"f:metadata": {"f:labels": {"f:istio-injection": {}}}},
        }]);
    });
    let outcome = cluster.run(&["explain", "pod/web-6b7-a", "-n", "shop"]);
    assert_eq!(outcome.exit, Exit::Ok, "{:?}", outcome.notes);
    for part in [
        "Pod/web-6b7-a in namespace shop",
        "not injected  it was created before the namespace's label istio-injection was set (2026-01-03T00:00:00Z, by kubectl-label)",
        "kubectl -n shop rollout restart deployment/web",
        "created now: inject",
    ] {
        assert!(outcome.output.contains(part), "{part} in {}", outcome.output);
    }
}

#[test]
fn pods_of_a_cluster_are_explained_by_what_decides_there() {
    let cluster = with_pods();
    for (pod, namespace, parts) in [
        ("pod/web-6b7-b", "shop", ["injected      by version", "created now: inject"]),
        ("pod/out", "shop", ["neither was it injected", "created now: skip"]),
        ("pod/elsewhere", "default", ["neither was it injected", "no label asks for injection"]),
    ] {
        let outcome = cluster.run(&["explain", pod, "-n", namespace]);
        for part in parts {
            let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(squeezed(&outcome.output).contains(&squeezed(part)), "{part} in {}", outcome.output);
        }
    }
    let absent = cluster.run(&["explain", "pod/nobody", "-n", "shop"]);
    assert!(
        absent.exit == Exit::Unreadable && absent.notes[0].contains("no pod nobody"),
        "{:?}",
        absent.notes
    );
}

/// A selector that somebody changed in the cluster decides there, not the one that this version exports.
#[test]
fn a_changed_selector_is_why_a_pod_is_not_injected() {
    let cluster = with_pods();
    cluster.api.edit(&configuration_path(), |object| {
        for entry in object["webhooks"].as_array_mut().unwrap() {
            entry["namespaceSelector"] = json!({"matchLabels": {"mesh": "yes"}});
        }
    });
    let outcome = cluster.run(&["explain", "pod/web-6b7-a", "-n", "shop"]);
    for part in ["is not as this version exports it", "the namespace has no label mesh; it must be \"yes\""] {
        assert!(outcome.output.contains(part), "{part} in {}", outcome.output);
    }
}
