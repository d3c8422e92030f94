//! Another webhook between two reviews, one change at a time: what exactly our answer is.

use serde_json::{Value, json};

use crate::inject::{Decision, Images, Matched, Request, Settings, Verdict, apply, decide};

const PROXY: &str = "/spec/initContainers/1";

fn pod() -> Value {
    json!({
        "metadata": {"name": "web", "labels": {"app": "web"}, "annotations": {"note": "mine"}},
        "spec": {
            "initContainers": [{"name": "migrate", "image": "migrate"}],
            "containers": [{"name": "app", "image": "app"}],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    })
}

fn review_with(pod: &Value, settings: &Settings) -> Decision {
    let request = Request {
        pod,
        matched: Matched::Namespace,
        namespace: "shop".into(),
        requester: None,
        workload: None,
    };
    decide(&request, settings)
}

fn review(pod: &Value) -> Decision {
    review_with(pod, &Settings::default())
}

fn after(pod: &Value, decision: &Decision) -> Value {
    let mut pod = pod.clone();
    apply(&mut pod, &decision.operations).unwrap();
    pod
}

fn injected(pod: &Value) -> Value {
    let decision = review(pod);
    assert_eq!(decision.verdict, Verdict::Inject, "{:?}", decision.reasons);
    after(pod, &decision)
}

/// The pod after our first review and another's change, and our second answer to it.
fn second(change: impl Fn(&mut Value)) -> (Value, Decision) {
    let mut pod = injected(&pod());
    change(&mut pod);
    let decision = review(&pod);
    (pod, decision)
}

fn items<'a>(pod: &'a mut Value, list: &str) -> &'a mut Vec<Value> {
    pod["spec"][list].as_array_mut().unwrap()
}

fn entries<'a>(pod: &'a mut Value, pointer: &str) -> &'a mut serde_json::Map<String, Value> {
    pod.pointer_mut(pointer).unwrap().as_object_mut().unwrap()
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    let items = pod["spec"][list].as_array().unwrap();
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

/// Operations without their values.
fn outline(decision: &Decision) -> Vec<String> {
    let operations = serde_json::to_value(&decision.operations).unwrap();
    let text = |operation: &Value, field: &str| operation[field].as_str().map(str::to_owned);
    let outlined = operations.as_array().unwrap().iter().map(|operation| {
        let from = text(operation, "from").map(|from| format!(" from {from}")).unwrap_or_default();
        format!("{} {}{from}", text(operation, "op").unwrap(), text(operation, "path").unwrap())
    });
    outlined.collect()
}

type Change = fn(&mut Value);

/// Whatever of ours is taken is put back, by the least that does it, and then the pod is as it was first injected.
#[test]
fn what_is_taken_is_put_back() {
    let cases: [(&[&str], Change); 15] = [
        (&[], |_| ()),
        (&["add /spec/initContainers/1/restartPolicy"], |pod| {
            drop(entries(pod, PROXY).remove("restartPolicy"));
        }),
        (&["add /spec/initContainers/1/readinessProbe", "add /spec/initContainers/1/startupProbe"], |pod| {
            entries(pod, PROXY).retain(|field, _| !field.ends_with("Probe"));
        }),
        (&["add /spec/initContainers/1/startupProbe"], |pod| {
            pod["spec"]["initContainers"][1]["startupProbe"] = json!({"tcpSocket": {"port": 15021}});
        }),
        (&["add /spec/initContainers/0/args"], |pod| {
            pod["spec"]["initContainers"][0]["args"].as_array_mut().unwrap().push(json!("--backend=nft"));
        }),
        (&["add /spec/initContainers/1/env"], |pod| {
            pod["spec"]["initContainers"][1]["env"]
                .as_array_mut()
                .unwrap()
                .retain(|v| v["name"] != api::env::SIDECAR_MODE);
        }),
        (&["add /spec/initContainers/1/env"], |pod| {
            let again = json!({"name": api::env::SIDECAR_MODE, "value": "legacy"});
            pod["spec"]["initContainers"][1]["env"].as_array_mut().unwrap().push(again);
        }),
        (&["add /spec/initContainers/1/volumeMounts"], |pod| {
            pod["spec"]["initContainers"][1]["volumeMounts"][4]["name"] = json!("kube-api-access-x");
        }),
        (&["add /spec/initContainers/0/securityContext"], |pod| {
            drop(entries(pod, "/spec/initContainers/0/securityContext").remove("seccompProfile"));
        }),
        (&["add /spec/initContainers/0"], |pod| drop(items(pod, "initContainers").remove(0))),
        (&["add /spec/initContainers/1"], |pod| drop(items(pod, "initContainers").remove(1))),
        (&["add /spec/volumes/-"], |pod| drop(items(pod, "volumes").pop())),
        (&["replace /spec/volumes/1"], |pod| {
            pod["spec"]["volumes"][1] = json!({"name": "remora-state", "emptyDir": {}});
        }),
        (&["add /metadata/labels/service.istio.io~1canonical-name"], |pod| {
            drop(entries(pod, "/metadata/labels").remove("service.istio.io/canonical-name"));
        }),
        (&["add /metadata/annotations/kubectl.kubernetes.io~1default-container"], |pod| {
            drop(entries(pod, "/metadata/annotations").remove("kubectl.kubernetes.io/default-container"));
        }),
    ];
    let sorted = |mut pod: Value| {
        items(&mut pod, "volumes").sort_by_key(|volume| volume["name"].to_string());
        pod
    };
    let right = sorted(injected(&pod()));
    for (expected, change) in cases {
        let (changed, decision) = second(change);
        assert_eq!(outline(&decision), expected, "{:?}", decision.reasons);
        // The order of volumes says nothing.
        assert_eq!(sorted(after(&changed, &decision)), right, "{expected:?}");
        let (verdict, code) = (decision.verdict, decision.reasons[0].code.as_str());
        let told = if expected.is_empty() {
            (Verdict::Unchanged, "already-injected")
        } else {
            (Verdict::Inject, "injection-restored")
        };
        assert_eq!((verdict, code), told);
    }
}

/// Both of ours can be gone: the volumes still say that the status is no leftover.
#[test]
fn an_injection_that_was_stripped_is_put_back() {
    let (changed, decision) = second(|pod| drop(items(pod, "initContainers").drain(0..2)));
    assert_eq!(outline(&decision), ["add /spec/initContainers/0", "add /spec/initContainers/1"]);
    assert_eq!(after(&changed, &decision), injected(&pod()));
    let (changed, decision) = second(|pod| drop(entries(pod, "/spec").remove("initContainers")));
    assert_eq!(outline(&decision), ["add /spec/initContainers"]);
    assert_eq!(names(&after(&changed, &decision), "initContainers"), ["istio-init", "istio-proxy"]);
}

#[test]
fn ours_come_to_the_front_and_theirs_keep_their_order() {
    let (changed, decision) = second(|pod| {
        items(pod, "initContainers").insert(0, json!({"name": "vault", "image": "vault"}));
        items(pod, "initContainers").insert(2, json!({"name": "fuse", "image": "fuse"}));
    });
    assert_eq!(names(&changed, "initContainers"), ["vault", "istio-init", "fuse", "istio-proxy", "migrate"]);
    assert_eq!(
        outline(&decision),
        [
            "move /spec/initContainers/0 from /spec/initContainers/1",
            "move /spec/initContainers/1 from /spec/initContainers/3"
        ]
    );
    let result = after(&changed, &decision);
    assert_eq!(names(&result, "initContainers"), ["istio-init", "istio-proxy", "vault", "fuse", "migrate"]);
}

#[test]
fn a_container_is_moved_and_mended_at_once() {
    let (changed, decision) = second(|pod| {
        items(pod, "initContainers").insert(0, json!({"name": "fuse", "image": "fuse"}));
        for container in items(pod, "initContainers") {
            drop(container.as_object_mut().unwrap().remove("restartPolicy"));
            container["env"] = json!([{"name": "HTTP_PROXY", "value": "p"}]);
            container["image"] = json!("mirror.example.com/image");
        }
    });
    let result = after(&changed, &decision);
    assert_eq!(names(&result, "initContainers"), ["istio-init", "istio-proxy", "fuse", "migrate"]);
    let proxy = &result["spec"]["initContainers"][1];
    assert_eq!(
        (&proxy["restartPolicy"], &proxy["image"]),
        (&json!("Always"), &json!("mirror.example.com/image"))
    );
    let variables = proxy["env"].as_array().unwrap();
    assert!(variables.contains(&json!({"name": "HTTP_PROXY", "value": "p"})));
    assert!(variables.contains(&json!({"name": api::env::SIDECAR_MODE, "value": "native"})));
    assert_eq!(review(&result).verdict, Verdict::Unchanged);
}

/// Two that each want to be first: our answers stay the same two moves, and nothing grows.
#[test]
fn two_that_insist_do_not_escalate() {
    let insist = |pod: &mut Value| {
        let containers = items(pod, "initContainers");
        let others = containers.iter().position(|item| item["name"] == "vault");
        let own =
            others.map_or_else(|| json!({"name": "vault", "image": "vault"}), |at| containers.remove(at));
        containers.insert(0, own);
    };
    let mut pod = injected(&pod());
    for _ in 0..5 {
        insist(&mut pod);
        let decision = review(&pod);
        assert_eq!(decision.operations.len(), 2);
        pod = after(&pod, &decision);
        assert_eq!(names(&pod, "initContainers"), ["istio-init", "istio-proxy", "vault", "migrate"]);
    }
}

/// What LimitRangers, mirrors, profile operators and neighbours do is theirs.
#[test]
fn what_takes_nothing_is_left() {
    let cases: [Change; 9] = [
        |pod| pod["spec"]["initContainers"][1]["image"] = json!("mirror.example.com/proxy"),
        |pod| pod["spec"]["initContainers"][1]["imagePullPolicy"] = json!("Always"),
        |pod| pod["spec"]["initContainers"][1]["resources"] = json!({"limits": {"cpu": "1"}}),
        |pod| {
            pod["spec"]["initContainers"][1]["securityContext"]["seccompProfile"] =
                json!({"type": "Localhost", "localhostProfile": "profile.json"});
        },
        |pod| pod["spec"]["initContainers"][1]["securityContext"]["seLinuxOptions"] = json!({"level": "s0"}),
        |pod| pod["spec"]["initContainers"][1]["terminationMessagePath"] = json!("/dev/termination-log"),
        |pod| items(pod, "containers").insert(0, json!({"name": "agent", "image": "agent"})),
        |pod| items(pod, "initContainers").push(json!({"name": "late", "image": "late"})),
        |pod| {
            pod["metadata"]["annotations"]["theirs"] = json!("x");
            pod["metadata"]["labels"]["app.kubernetes.io/name"] = json!("other");
            pod["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
        },
    ];
    for (number, change) in cases.into_iter().enumerate() {
        let (_, decision) = second(change);
        assert_eq!(outline(&decision), Vec::<String>::new(), "case {number}: {:?}", decision.reasons);
        assert_eq!(decision.verdict, Verdict::Unchanged);
    }
}

/// A label or annotation that we added and somebody changed is theirs, and only the status follows.
#[test]
fn a_changed_entry_is_theirs() {
    let (changed, decision) = second(|pod| {
        pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] = json!("other");
        pod["metadata"]["labels"]["service.istio.io/canonical-revision"] = json!("7");
    });
    assert_eq!(
        outline(&decision),
        ["replace /metadata/annotations/sidecar.istio.io~1status", "add /spec/initContainers/1/env"]
    );
    let result = after(&changed, &decision);
    assert_eq!(result["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"], "other");
    assert_eq!(result["metadata"]["labels"]["service.istio.io/canonical-revision"], "7");
    assert!(result["spec"]["initContainers"][1]["env"].to_string().contains(r#""value":"7""#));
}

/// What somebody changed on purpose, and would change again, is refused and named.
#[test]
fn what_would_be_a_fight_is_refused() {
    let cases: [(&str, &[&str], Change); 7] = [
        ("injection-altered", &["securityContext.runAsUser", "istio-proxy", "1000"], |pod| {
            pod["spec"]["initContainers"][1]["securityContext"]["runAsUser"] = json!(1000);
        }),
        ("injection-altered", &["securityContext.capabilities", "istio-init"], |pod| {
            pod["spec"]["initContainers"][0]["securityContext"]["capabilities"]["add"] = json!([]);
        }),
        ("injection-altered", &["command", "istio-proxy", "envoy"], |pod| {
            pod["spec"]["initContainers"][1]["command"] = json!(["envoy"]);
        }),
        ("injection-altered", &["node's network"], |pod| pod["spec"]["hostNetwork"] = json!(true)),
        ("proxy-identity", &["container agent"], |pod| {
            let context = json!({"runAsUser": 1337, "runAsGroup": 1337});
            let agent = json!({"name": "agent", "image": "agent", "securityContext": context});
            items(pod, "containers").push(agent);
        }),
        ("invalid-annotation", &["excludeInboundPorts"], |pod| {
            pod["metadata"]["annotations"]["traffic.sidecar.istio.io/excludeInboundPorts"] = json!("http");
        }),
        ("name-conflict", &["did not add"], |pod| {
            drop(entries(pod, "/metadata/annotations").remove(api::annotations::STATUS));
        }),
    ];
    for (code, parts, change) in cases {
        let (_, decision) = second(change);
        assert_eq!((decision.verdict, decision.operations.len()), (Verdict::Reject, 0), "{code}");
        let reason = decision.reasons[0].to_string();
        assert!(reason.starts_with(code) && parts.iter().all(|part| reason.contains(part)), "{reason}");
    }
}

/// An option that came between the reviews holds as if it had been there before the first.
#[test]
fn an_option_that_came_between_holds() {
    for (key, value) in [
        ("sidecar.istio.io/nativeSidecar", "false"),
        ("sidecar.istio.io/interceptionMode", "NONE"),
        ("sidecar.istio.io/logLevel", "debug"),
        ("traffic.sidecar.istio.io/excludeOutboundPorts", "3306"),
        ("traffic.sidecar.istio.io/includeInboundPorts", ""),
    ] {
        let annotate = |pod: &mut Value| pod["metadata"]["annotations"][key] = json!(value);
        let (changed, decision) = second(annotate);
        let mut annotated = pod();
        annotate(&mut annotated);
        assert_eq!(after(&changed, &decision), injected(&annotated), "{key}");
    }
}

fn probed() -> Value {
    let mut pod = pod();
    pod["spec"]["containers"][0]["livenessProbe"] = json!({"tcpSocket": {"port": 8080}});
    pod
}

/// A handler that the proxy answers for is the user's again when that is wanted no more.
#[test]
fn probes_that_are_to_be_left_alone_are_as_they_were() {
    let mut changed = injected(&probed());
    assert!(changed["spec"]["containers"][0]["livenessProbe"]["httpGet"].is_object());
    changed["metadata"]["annotations"][api::annotations::PROBES] = json!("passthrough");
    let result = after(&changed, &review(&changed));
    assert_eq!(result["spec"]["containers"], probed()["spec"]["containers"]);
    assert_eq!(review(&result).verdict, Verdict::Unchanged);
}

/// A container that came between is treated as if it had been there before, wherever it stands.
#[test]
fn probes_of_a_container_that_came_between_are_answered_for() {
    let mut changed = injected(&pod());
    let agent = json!({"name": "agent", "image": "a", "readinessProbe": {"tcpSocket": {"port": 99}}});
    items(&mut changed, "containers").insert(0, agent.clone());
    let decision = review(&changed);
    assert_eq!(
        outline(&decision),
        [
            "replace /spec/containers/0/readinessProbe",
            "replace /metadata/annotations/sidecar.istio.io~1status",
            "add /spec/initContainers/1/env"
        ]
    );
    let result = after(&changed, &decision);
    let mut both = pod();
    items(&mut both, "containers").push(agent);
    let right = injected(&both);
    assert_eq!(result["spec"]["initContainers"], right["spec"]["initContainers"]);
    let status = api::annotations::STATUS;
    assert_eq!(result["metadata"]["annotations"][status], right["metadata"]["annotations"][status]);
    assert_eq!(review(&result).verdict, Verdict::Unchanged);
}

#[test]
fn a_pod_that_is_opted_out_later_is_left() {
    let (_, decision) = second(|pod| pod["metadata"]["labels"][api::labels::POD_INJECT] = json!("false"));
    assert_eq!((decision.verdict, decision.reasons[0].code.as_str()), (Verdict::Skip, "pod-disabled"));
}

fn other_settings() -> Settings {
    let images = Images { proxy: "proxy:other".to_owned(), ..Images::default() };
    Settings { images, hash: "other".to_owned(), ..Settings::default() }
}

/// Who injected first decides, while two versions or two configurations are at work; but what is broken is injected anew.
#[test]
fn the_injection_of_other_settings_stays_while_it_is_whole() {
    let earlier = after(&pod(), &review_with(&pod(), &other_settings()));
    let decision = review(&earlier);
    assert_eq!((decision.verdict, decision.operations.len()), (Verdict::Unchanged, 0));
    assert!(decision.reasons[0].text.contains("other settings"));
    let damages: [Change; 3] = [
        |pod| drop(entries(pod, PROXY).remove("restartPolicy")),
        |pod| drop(items(pod, "initContainers").remove(0)),
        |pod| drop(items(pod, "volumes").pop()),
    ];
    for damage in damages {
        let mut damaged = earlier.clone();
        damage(&mut damaged);
        let decision = review(&damaged);
        assert_eq!(decision.verdict, Verdict::Inject, "{:?}", decision.reasons);
        assert_eq!(after(&damaged, &decision), injected(&pod()));
    }
}

/// Who writes a status by hand can make us neither remove a thousand things one by one nor read megabytes.
#[test]
fn a_status_that_is_too_big_is_none_of_ours() {
    let mut forged = injected(&pod());
    let text = forged["metadata"]["annotations"][api::annotations::STATUS].as_str().unwrap().to_owned();
    let mut status: Value = serde_json::from_str(&text).unwrap();
    status["volumes"] = (0..1000).map(|number| format!("v{number}")).chain(["data".to_owned()]).collect();
    for too_big in [status.to_string(), format!("{text}{}", " ".repeat(1 << 20))] {
        forged["metadata"]["annotations"][api::annotations::STATUS] = json!(too_big);
        let decision = review(&forged);
        assert_eq!(decision.verdict, Verdict::Reject);
        assert_eq!(decision.reasons[0].code.as_str(), "name-conflict");
    }
}

/// A status that lists what no injection of ours adds would make us take away the user's.
#[test]
fn a_forged_status_takes_nothing_away() {
    let mut forged = pod();
    let status = json!({
        "version": "9", "config": "", "mode": "native", "initContainers": ["migrate"], "containers": ["app"],
        "volumes": [], "labels": {}, "annotations": {}, "reasons": [],
    });
    forged["metadata"]["annotations"][api::annotations::STATUS] = json!(status.to_string());
    let result = injected(&forged);
    assert_eq!(names(&result, "initContainers"), ["istio-init", "istio-proxy", "migrate"]);
    assert_eq!(names(&result, "containers"), ["app"]);
}
