//! What holds for every pod, whatever it looks like: the invariants of injection, over fixtures of many shapes.
//! No bytes are compared here; a few whole patches are, in `golden.rs`.

use std::collections::BTreeSet;

use crate::common::{decision, expected, injected_pods, list, names, patched, pod, pods};
use injector::inject::Verdict;
use k8s_openapi::api::core::v1::{Container, Pod};
use serde_json::{Map, Value, json};

const OURS: [&str; 2] = [api::pod::INIT_CONTAINER, api::pod::PROXY_CONTAINER];

fn each_injected(mut check: impl FnMut(&Value, &Value)) {
    let mut count = 0;
    for pod in injected_pods() {
        check(&pod, &patched(&pod, &decision(&pod)));
        count += 1;
    }
    assert!(count >= 12, "only {count} fixtures are injected");
}

fn is_legacy(pod: &Value) -> bool {
    pod["metadata"]["annotations"][api::annotations::NATIVE_SIDECAR] == "false"
}

fn all_containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.as_ref().expect("a spec");
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

/// Every verdict is the one that the fixture names, and a skipped or refused pod has a reason and no patch.
#[test]
fn verdicts_and_reasons() {
    for pod in pods() {
        let decision = decision(&pod);
        let code = decision.reasons.first().expect("a reason").code.as_str();
        let found = match decision.verdict {
            Verdict::Inject => "inject".to_owned(),
            Verdict::Unchanged => "unchanged".to_owned(),
            Verdict::Skip => format!("skip {code}"),
            Verdict::Reject => format!("reject {code}"),
        };
        assert_eq!(found, expected(&pod), "{}", pod["metadata"]["name"]);
        assert_eq!(decision.operations.is_empty(), decision.verdict != Verdict::Inject);
    }
}

/// I1: the patched pod is a valid one.
#[test]
fn patched_pods_are_valid() {
    each_injected(|_, patched| {
        let pod: Pod = serde_json::from_value(patched.clone()).expect("a Pod");
        let spec = pod.spec.as_ref().expect("a spec");
        let container_names: Vec<_> = all_containers(&pod).map(|container| &container.name).collect();
        assert_eq!(container_names.iter().collect::<BTreeSet<_>>().len(), container_names.len());
        let volumes: Vec<_> = spec.volumes.iter().flatten().map(|volume| volume.name.as_str()).collect();
        assert_eq!(volumes.iter().collect::<BTreeSet<_>>().len(), volumes.len());
        for container in all_containers(&pod).filter(|container| OURS.contains(&container.name.as_str())) {
            for mount in container.volume_mounts.iter().flatten() {
                assert!(volumes.contains(&mount.name.as_str()), "{}", mount.name);
            }
            let paths: BTreeSet<_> =
                container.volume_mounts.iter().flatten().map(|m| &m.mount_path).collect();
            assert_eq!(paths.len(), container.volume_mounts.iter().flatten().count());
        }
        for container in spec.init_containers.iter().flatten() {
            let stays = container.restart_policy.as_deref() == Some("Always");
            let held = container.startup_probe.is_some()
                || container.readiness_probe.is_some()
                || container.lifecycle.is_some();
            assert!(stays || !held, "{} has what only a container that stays may have", container.name);
        }
        for (key, value) in pod.metadata.labels.iter().flatten() {
            let ends = [value.chars().next(), value.chars().last()];
            assert!(
                value.len() <= 63 && ends.iter().flatten().all(char::is_ascii_alphanumeric),
                "{key}={value}"
            );
        }
    });
}

/// I2: what was the user's is unchanged, but for what the contract adds.
#[test]
fn what_is_the_users_stays() {
    each_injected(|original, patched| {
        let mut stripped = patched.clone();
        for field in ["initContainers", "containers", "volumes"] {
            let kept: Vec<Value> = list(patched, field)
                .iter()
                .filter(|item| {
                    let name = item["name"].as_str().expect("a name");
                    !OURS.contains(&name) && !api::pod::VOLUMES.contains(&name)
                })
                .cloned()
                .collect();
            assert_eq!(kept, list(original, field), "{field} of {}", original["metadata"]["name"]);
            stripped["spec"][field] = original["spec"][field].clone();
        }
        let status: Value = serde_json::from_str(
            patched["metadata"]["annotations"][api::annotations::STATUS].as_str().expect("a status"),
        )
        .expect("JSON");
        for (field, own) in [("labels", None), ("annotations", Some(api::annotations::STATUS))] {
            let added: Vec<&str> =
                status[field].as_array().expect("keys").iter().filter_map(Value::as_str).collect();
            let mut map = patched["metadata"][field].as_object().cloned().expect("a map");
            let before = original["metadata"][field].as_object().cloned().unwrap_or_default();
            map.retain(|key, _| !added.contains(&key.as_str()) && own != Some(key.as_str()));
            let expected: Map<_, _> =
                before.into_iter().filter(|(key, _)| own != Some(key.as_str())).collect();
            assert_eq!(map, expected, "{field}");
            stripped["metadata"][field] = original["metadata"][field].clone();
        }
        let mut original = original.clone();
        for (part, fields) in [
            ("spec", &["initContainers", "containers", "volumes"][..]),
            ("metadata", &["labels", "annotations"]),
        ] {
            for field in fields {
                // Indexing has made the absent ones null.
                original[part][field].is_null().then(|| original[part][field] = Value::Null);
            }
        }
        assert_eq!(stripped, original);
    });
}

/// I3: the second review of the same pod changes nothing, also after Kubernetes' defaults and another's additions.
#[test]
fn a_second_review_is_empty() {
    each_injected(|_, patched| {
        let again = decision(patched);
        assert_eq!(again.verdict, Verdict::Unchanged, "{:?}", again.reasons);
        assert!(again.operations.is_empty());
        let mut defaulted = patched.clone();
        for field in ["initContainers", "containers"] {
            for container in defaulted["spec"][field].as_array_mut().into_iter().flatten() {
                container["terminationMessagePath"] = json!("/dev/termination-log");
                container["image"] = json!("mirror.example.com/image");
                container["resources"]["limits"]["ephemeral-storage"] = json!("1Gi");
                if let Some(env) = container["env"].as_array_mut() {
                    env.insert(0, json!({"name": "FOREIGN", "value": "1"}));
                }
            }
        }
        let again = decision(&defaulted);
        assert_eq!(again.verdict, Verdict::Unchanged, "{:?}", again.reasons);
    });
}

/// An injection that somebody took apart is refused and says what is missing.
#[test]
fn an_altered_injection_is_refused() {
    let pod = pod("inits");
    let patched = patched(&pod, &decision(&pod));
    type Alteration = (&'static str, fn(&mut Value));
    let alterations: [Alteration; 4] = [
        ("restartPolicy", |proxy| drop(proxy.as_object_mut().unwrap().remove("restartPolicy"))),
        ("securityContext.runAsUser", |proxy| proxy["securityContext"]["runAsUser"] = json!(0)),
        ("REMORA_SIDECAR_MODE", |proxy| {
            proxy["env"].as_array_mut().unwrap().retain(|v| v["name"] != "REMORA_SIDECAR_MODE")
        }),
        ("/var/run/secrets/kubernetes.io/serviceaccount", |proxy| {
            drop(proxy["volumeMounts"].as_array_mut().unwrap().pop())
        }),
    ];
    for (what, alter) in alterations {
        let mut altered = patched.clone();
        alter(&mut altered["spec"]["initContainers"][1]);
        let decision = decision(&altered);
        assert_eq!(decision.verdict, Verdict::Reject, "{what}");
        let reason = decision.reasons[0].to_string();
        assert!(reason.starts_with("injection-altered") && reason.contains(what), "{reason}");
    }
}

/// I3: the same bytes every time, whatever the order of keys in what was sent.
#[test]
fn decisions_are_deterministic() {
    for pod in pods() {
        let bytes = || serde_json::to_string(&decision(&pod).operations).unwrap();
        let first = bytes();
        assert!((0..100).all(|_| bytes() == first));
        let reversed: Value = serde_json::from_str(&reversed(&pod)).unwrap();
        assert_eq!(serde_json::to_string(&decision(&reversed).operations).unwrap(), first);
    }
}

/// JSON with the keys of every object in reverse order.
fn reversed(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let entries = map.iter().rev().map(|(key, value)| format!("{}:{}", json!(key), reversed(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(reversed).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// I5 and I6: exactly one of each, and their places.
#[test]
fn our_containers_and_their_places() {
    each_injected(|original, patched| {
        let users = names(original, "initContainers");
        let (inits, containers) = (names(patched, "initContainers"), names(patched, "containers"));
        let application = names(original, "containers");
        if is_legacy(original) {
            assert_eq!(inits, [users, vec![OURS[0]]].concat());
            assert_eq!(containers, [application, vec![OURS[1]]].concat());
        } else {
            assert_eq!(inits, [OURS.to_vec(), users].concat());
            assert_eq!(containers, application);
        }
    });
}

/// I7: a refusal names the key and the value, a skip says why.
#[test]
fn refusals_name_what_is_wrong() {
    for (name, parts) in [
        ("bad-label", ["sidecar.istio.io/inject", "\"yes\"", "\"true\" and \"false\""]),
        ("bad-annotation", ["traffic.sidecar.istio.io/excludeInboundPorts", "http", "80,8000-8100"]),
        ("foreign", ["istio-init", "istio-proxy", "one mesh"]),
        ("own-volume", ["remora-state", "volume", "rename"]),
        ("proxy-identity", ["container app", "1337", "choose another"]),
        ("proxy-port", ["container app", "15006", "use another port"]),
    ] {
        let reasons: Vec<_> = decision(&pod(name)).reasons.iter().map(ToString::to_string).collect();
        for part in parts {
            assert!(reasons.join("\n").contains(part), "{part} in {reasons:?}");
        }
    }
}

/// I9: arguments say what the annotations say.
#[test]
fn annotations_become_arguments_environment_and_resources() {
    let pod = pod("annotated");
    let patched = patched(&pod, &decision(&pod));
    let inits = list(&patched, "initContainers");
    assert_eq!(
        inits[0]["args"],
        json!([
            "--outbound-port=15001",
            "--inbound-port=15006",
            "--proxy-uid=1337",
            "--proxy-gid=1337",
            "--include-inbound-ports=8080,9000-9010",
            "--exclude-inbound-ports=9005",
            "--include-outbound-ports=443",
            "--exclude-outbound-ports=3306,5432",
            "--include-outbound-cidrs=10.0.0.0/8,2001:db8::/32",
            "--exclude-outbound-cidrs=10.1.2.3/32",
        ])
    );
    assert_eq!(
        inits[1]["resources"],
        json!({"requests": {"cpu": "250m", "memory": "96Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}})
    );
    let variable = |name: &str| {
        inits[1]["env"].as_array().unwrap().iter().find(|variable| variable["name"] == name).cloned()
    };
    assert_eq!(variable(api::env::LOG).unwrap()["value"], "debug");
    assert_eq!(variable(api::env::CANONICAL_NAME).unwrap()["value"], "shop");
    assert_eq!(variable(api::env::CANONICAL_REVISION).unwrap()["value"], "2.1");
    assert_eq!(
        variable(api::env::CPU_LIMIT).unwrap()["valueFrom"]["resourceFieldRef"],
        json!({"resource": "limits.cpu", "divisor": "1"})
    );
    assert!(variable(api::env::MEMORY_LIMIT).is_some());
}

/// Without a limit of its own the proxy is told none, and each annotation overrides only its own field.
#[test]
fn one_resource_annotation_overrides_one_field() {
    let pod = pod("clamped");
    let decision = decision(&pod);
    assert!(decision.warnings.iter().any(|warning| warning.contains("100m") && warning.contains("50m")));
    let patched = patched(&pod, &decision);
    let proxy = &list(&patched, "initContainers")[1];
    assert_eq!(
        proxy["resources"],
        json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "50m"}})
    );
    let env = proxy["env"].to_string();
    assert!(env.contains(api::env::CPU_LIMIT) && !env.contains(api::env::MEMORY_LIMIT));
}

/// The probe goes through capture wherever there is one.
#[test]
fn the_probe_goes_through_capture() {
    for (name, port) in [("bare", 15022), ("annotated", 15022), ("clamped", 15021)] {
        let pod = pod(name);
        let patched = patched(&pod, &decision(&pod));
        let proxy = &list(&patched, "initContainers")[1];
        for probe in ["startupProbe", "readinessProbe"] {
            assert_eq!(proxy[probe]["httpGet"], json!({"path": "/healthz/ready", "port": port}), "{name}");
        }
    }
}

/// Neither container inherits anything from the pod, and neither sees the application's API token.
#[test]
fn our_containers_are_confined() {
    each_injected(|_, patched| {
        for container in ["initContainers", "containers"].iter().flat_map(|field| list(patched, field)) {
            let ids = match container["name"].as_str() {
                Some(api::pod::INIT_CONTAINER) => {
                    (api::pod::INIT_UID, json!({"add": ["NET_ADMIN"], "drop": ["ALL"]}))
                }
                Some(api::pod::PROXY_CONTAINER) => (api::pod::PROXY_UID, json!({"drop": ["ALL"]})),
                _ => continue,
            };
            assert_eq!(
                container["securityContext"],
                json!({
                    "allowPrivilegeEscalation": false, "capabilities": ids.1, "privileged": false,
                    "readOnlyRootFilesystem": true, "runAsGroup": ids.0, "runAsNonRoot": true, "runAsUser": ids.0,
                    "seccompProfile": {"type": "RuntimeDefault"},
                })
            );
            let hides = |mount: &Value| {
                mount["mountPath"] == api::pod::API_TOKEN_PATH
                    && mount["readOnly"] == true
                    && mount["subPath"] == "no-token"
            };
            assert!(container["volumeMounts"].as_array().unwrap().iter().any(hides));
            assert!(container["resources"]["requests"]["memory"].is_string());
        }
    });
}

/// A Service named `remora-metrics` sets REMORA_METRICS_PORT=tcp://… in every container that does not set it itself.
#[test]
fn no_service_name_becomes_an_option() {
    each_injected(|_, patched| {
        let mut containers = ["initContainers", "containers"].iter().flat_map(|field| list(patched, field));
        let proxy = containers.find(|container| container["name"] == api::pod::PROXY_CONTAINER).unwrap();
        for (name, port) in api::env::PORTS {
            let told = json!({"name": name, "value": port.to_string()});
            assert!(proxy["env"].as_array().unwrap().contains(&told), "{told}");
        }
    });
}

/// Own and system namespaces are never touched, whatever the selectors say.
#[test]
fn system_namespaces_are_skipped() {
    use injector::inject::{Matched, Request, Settings, decide};
    let pod = pod("bare");
    for namespace in ["kube-system", "kube-node-lease", api::control::NAMESPACE] {
        let request =
            Request { pod: &pod, matched: Matched::Namespace, namespace: namespace.into(), workload: None };
        let decision = decide(&request, &Settings::default());
        assert_eq!(decision.verdict, Verdict::Skip, "{namespace}");
        assert_eq!(decision.reasons[0].code.as_str(), "system-namespace");
    }
}

/// I14: what is added is small.
#[test]
fn little_is_added() {
    each_injected(|original, patched| {
        let added = patched.to_string().len() - original.to_string().len();
        assert!(added <= 6 * 1024, "{added} bytes");
    });
}

/// What is no pod is refused, not patched.
#[test]
fn shapes_that_are_no_pods_are_refused() {
    for shape in
        [json!(null), json!({}), json!([]), json!({"metadata": {}}), json!({"metadata": {}, "spec": []})]
    {
        let decision = decision(&shape);
        assert_eq!(decision.verdict, Verdict::Reject, "{shape}");
        assert_eq!(decision.reasons[0].code.as_str(), "malformed-pod");
    }
}
