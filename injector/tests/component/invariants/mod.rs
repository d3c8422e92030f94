//! What holds for every pod, whatever it looks like: the invariants of injection, over fixtures of many shapes.
//! No bytes are compared here; a few whole patches are, in `golden.rs`.

mod foreign;
mod hostile;
pub(crate) mod mutations;
mod properties;
mod volumes;

use injector::inject::{Verdict, apply, uninject};
use serde_json::{Value, json};

use crate::common::{decision, expected, injected_pods, list, patched, pod, pods};
use crate::{corpus, judge};

fn each_injected(mut check: impl FnMut(&Value, &Value)) {
    let mut count = 0;
    for pod in injected_pods() {
        check(&pod, &patched(&pod, &decision(&pod)));
        count += 1;
    }
    assert!(count >= 80, "only {count} fixtures are injected");
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

/// I1, I2, I5, I6 and I8: the patched pod is valid, what was the user's is unchanged, what is ours stands where it has to, and
/// no probe is lost.
#[test]
fn every_injection_stands_before_the_judges() {
    each_injected(|original, patched| {
        let own = judge::faults(original);
        assert!(
            own.is_empty() || original["metadata"]["annotations"][corpus::UNSERVABLE].is_string(),
            "{own:?}"
        );
        let faults = judge::injection(original, patched);
        assert!(faults.is_empty(), "{}: {faults:#?}", original["metadata"]);
    });
}

/// The judges see what they should.
#[test]
fn the_judges_judge() {
    let pod = pod("many-probes");
    let good = patched(&pod, &decision(&pod));
    type Damage = (&'static str, fn(&mut Value));
    let damages: [Damage; 9] = [
        ("twice", |pod| pod["spec"]["containers"][1]["name"] = json!("app")),
        ("mount", |pod| drop(pod["spec"]["volumes"].as_array_mut().unwrap().pop())),
        ("init container that ends", |pod| {
            pod["spec"]["initContainers"][0]["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 1}}})
        }),
        ("above its limit", |pod| {
            pod["spec"]["initContainers"][1]["resources"]["limits"]["cpu"] = json!("1m")
        }),
        ("unknown to the API", |pod| pod["spec"]["initContainers"][1]["startUpProbe"] = json!({})),
        ("label", |pod| pod["metadata"]["labels"]["service.istio.io/canonical-name"] = json!("a b")),
        ("frame", |pod| pod["spec"]["containers"][0]["image"] = json!("other")),
        ("order", |pod| pod["spec"]["initContainers"].as_array_mut().unwrap().swap(0, 1)),
        ("probes", |pod| {
            pod["spec"]["containers"][0]["readinessProbe"] = json!({"httpGet": {"path": "/x", "port": 1}})
        }),
    ];
    for (word, damage) in damages {
        let mut damaged = good.clone();
        damage(&mut damaged);
        let faults = judge::injection(&pod, &damaged);
        assert!(faults.iter().any(|fault| fault.contains(word)), "{word}: {faults:?}");
    }
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
                for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
                    let fields = container.get_mut(probe).and_then(Value::as_object_mut);
                    let Some(fields) = fields else { continue };
                    let defaults = [
                        ("timeoutSeconds", 1),
                        ("periodSeconds", 10),
                        ("successThreshold", 1),
                        ("failureThreshold", 3),
                    ];
                    for (field, default) in defaults {
                        fields.entry(field).or_insert(json!(default));
                    }
                }
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

/// I4: taking the injection out gives the pod back, absent and null and empty told apart.
#[test]
fn uninject_is_the_inverse() {
    each_injected(|original, patched| {
        let found = uninject(patched).expect("an injection");
        let mut back = patched.clone();
        apply(&mut back, &found.operations).expect("the patch applies");
        assert_eq!(&back, original);
        assert!(found.warnings.is_empty(), "{:?}", found.warnings);
    });
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

/// A Service named `remora-x` sets REMORA_X_PORT=tcp://… and more of the kind in every container, none of which is told
/// the proxy's ports where they are as ever.
#[test]
fn no_service_name_becomes_an_option() {
    for (name, _) in api::env::PORTS {
        let of_service =
            ["_PORT", "_SERVICE_HOST", "_TCP", "_ADDR", "_PROTO"].iter().any(|end| name.ends_with(end));
        assert!(!of_service && !name.contains("_SERVICE_PORT"), "{name}");
    }
}

/// Own and system namespaces are never touched, whatever the selectors say.
#[test]
fn system_namespaces_are_skipped() {
    use injector::inject::{Matched, Request, Settings, decide};
    let pod = pod("bare");
    for namespace in ["kube-system", "kube-node-lease", api::control::NAMESPACE] {
        let request = Request {
            pod: &pod,
            matched: Matched::Namespace,
            namespace: namespace.into(),
            requester: None,
            workload: None,
        };
        let decision = decide(&request, &Settings::default());
        assert_eq!(decision.verdict, Verdict::Skip, "{namespace}");
        assert_eq!(decision.reasons[0].code.as_str(), "system-namespace");
    }
}

/// I12: a pod keeps its quality of service, or its author is told. To be asked for nothing is no class that can be kept.
#[test]
fn quality_of_service_is_kept_or_told() {
    each_injected(|original, patched| {
        let (before, now) = (judge::class(original), judge::class(patched));
        let told = decision(original).warnings.iter().any(|warning| warning.contains("Guaranteed"));
        assert!(before != judge::Class::Guaranteed || now == before || told, "{}", original["metadata"]);
    });
    let asked = pod("guaranteed-asked");
    assert_eq!(judge::class(&patched(&asked, &decision(&asked))), judge::Class::Guaranteed);
}

/// I14: what is added is small, but for what the user's own handlers take a second time.
#[test]
fn little_is_added() {
    each_injected(|original, patched| {
        let added = patched.to_string().len() - original.to_string().len();
        let handlers: usize = probes(original).map(|probe| probe.to_string().len() * 2 + 128).sum();
        assert!(added <= 6 * 1024 + handlers, "{added} bytes: {}", original["metadata"]);
    });
}

fn probes(pod: &Value) -> impl Iterator<Item = &Value> {
    let containers = list(pod, "initContainers").iter().chain(list(pod, "containers"));
    containers.flat_map(|container| {
        let places = [
            "/readinessProbe",
            "/livenessProbe",
            "/startupProbe",
            "/lifecycle/preStop",
            "/lifecycle/postStart",
        ];
        places.into_iter().filter_map(|place| container.pointer(place))
    })
}

/// I14: no operation addresses a place within a list of the user's, but for the front and for handlers of probes.
#[test]
fn operations_stay_on_declared_paths() {
    let handler = ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"];
    for pod in injected_pods() {
        for operation in serde_json::to_value(decision(&pod).operations).unwrap().as_array().unwrap() {
            let path: Vec<&str> = operation["path"].as_str().unwrap().split('/').skip(1).collect();
            let declared = match path.as_slice() {
                ["metadata", "labels" | "annotations"] | ["metadata", "labels" | "annotations", _] => true,
                ["spec", "initContainers" | "containers" | "volumes" | "imagePullSecrets"] => true,
                ["spec", "initContainers" | "containers" | "volumes" | "imagePullSecrets", "-"] => true,
                ["spec", "initContainers" | "containers", "0" | "1"] => operation["op"] == "add",
                ["spec", "initContainers" | "containers", _, field, ..] => handler.contains(field),
                ["spec", "terminationGracePeriodSeconds"] => true,
                _ => false,
            };
            assert!(declared, "{}", operation);
        }
    }
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
