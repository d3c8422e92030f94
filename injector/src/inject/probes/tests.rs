//! Every rule about probes, by what becomes of pods.

use serde_json::{Value, json};

use crate::inject::{Decision, Matched, Request, Settings, Verdict, apply, decide};

/// A pod after injection, the proxy's table, and the warnings.
struct Injected {
    pod: Value,
    table: Value,
    warnings: Vec<String>,
}

fn review(pod: &Value) -> Decision {
    let request = Request {
        pod,
        matched: Matched::Namespace,
        namespace: "shop".into(),
        requester: None,
        workload: None,
    };
    decide(&request, &Settings::default())
}

fn inject(pod: &Value) -> Injected {
    let decision = review(pod);
    assert_eq!(decision.verdict, Verdict::Inject, "{:?}", decision.reasons);
    let mut patched = pod.clone();
    apply(&mut patched, &decision.operations).unwrap();
    let containers = ["initContainers", "containers"].map(|list| patched["spec"][list].as_array().cloned());
    let proxy = containers.into_iter().flatten().flatten().find(|c| c["name"] == "istio-proxy").unwrap();
    let table = proxy["env"].as_array().unwrap().iter().find(|v| v["name"] == "ISTIO_KUBE_APP_PROBERS");
    let table = table.map_or(Value::Null, |v| serde_json::from_str(v["value"].as_str().unwrap()).unwrap());
    Injected { pod: patched, table, warnings: decision.warnings }
}

fn pod(annotations: Value, container: &Value) -> Value {
    let mut app = json!({"name": "app", "image": "app"});
    app.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
    json!({"metadata": {"annotations": annotations}, "spec": {"containers": [app]}})
}

fn app(injected: &Injected) -> &Value {
    injected.pod["spec"]["containers"].as_array().unwrap().iter().find(|c| c["name"] == "app").unwrap()
}

/// Whether a handler of the application is answered by the proxy; it is unchanged otherwise.
fn is_moved(annotations: Value, place: &str, handler: &Value) -> bool {
    let container = match place.strip_prefix("/lifecycle/") {
        Some(hook) => json!({"lifecycle": {hook: handler}}),
        None => json!({&place[1..]: handler}),
    };
    let injected = inject(&pod(annotations, &container));
    let now = app(&injected).pointer(place).unwrap();
    let moved = now["httpGet"]["port"] == 15020;
    assert_eq!(moved, injected.table != Value::Null, "{}", injected.table);
    assert!(moved || now == handler, "{now}");
    moved
}

const READY: &str = "/readinessProbe";
const STOP: &str = "/lifecycle/preStop";

#[test]
fn handlers_that_would_lie_are_moved_and_others_stay() {
    let http = json!({"httpGet": {"path": "/", "port": 80}});
    let https = json!({"httpGet": {"path": "/", "port": 443, "scheme": "HTTPS"}});
    let tcp = json!({"tcpSocket": {"port": 80}});
    let grpc = json!({"grpc": {"port": 80}});
    let exec = json!({"exec": {"command": ["true"]}});
    let auto = ["readinessProbe", "livenessProbe", "startupProbe"].map(|place| format!("/{place}"));
    for place in &auto {
        for (handler, moved) in [(&http, false), (&https, true), (&tcp, true), (&grpc, true), (&exec, false)]
        {
            assert_eq!(is_moved(json!({}), place, handler), moved, "{place} {handler}");
            let rewrite = json!({"remora.dev/probes": "rewrite"});
            assert_eq!(is_moved(rewrite, place, handler), *handler != exec, "{place} {handler}");
            for off in [
                json!({"remora.dev/probes": "passthrough"}),
                json!({"remora.dev/probes": "off"}),
                json!({"sidecar.istio.io/rewriteAppHTTPProbers": "false"}),
            ] {
                assert!(!is_moved(off, place, handler), "{place} {handler}");
            }
        }
    }
    for place in [STOP, "/lifecycle/postStart"] {
        for (handler, moved) in [
            (&http, true),
            (&https, true),
            (&tcp, true),
            (&exec, false),
            (&json!({"sleep": {"seconds": 1}}), false),
        ] {
            assert_eq!(is_moved(json!({}), place, handler), moved, "{place} {handler}");
            assert!(
                !is_moved(json!({"remora.dev/probes": "passthrough"}), place, handler),
                "{place} {handler}"
            );
        }
    }
}

#[test]
fn what_the_mesh_does_not_capture_stays() {
    let tcp = json!({"tcpSocket": {"port": 6379}});
    for (annotations, moved) in [
        (json!({"traffic.sidecar.istio.io/excludeInboundPorts": "6000-7000"}), false),
        (json!({"traffic.sidecar.istio.io/excludeInboundPorts": "80"}), true),
        (json!({"traffic.sidecar.istio.io/includeInboundPorts": "80"}), false),
        (json!({"traffic.sidecar.istio.io/includeInboundPorts": "6379"}), true),
        (json!({"traffic.sidecar.istio.io/includeInboundPorts": "*"}), true),
        (json!({"traffic.sidecar.istio.io/includeInboundPorts": ""}), false),
        (json!({"sidecar.istio.io/interceptionMode": "NONE"}), false),
    ] {
        assert_eq!(is_moved(annotations.clone(), READY, &tcp), moved, "{annotations}");
    }
    assert!(!is_moved(json!({}), READY, &json!({"tcpSocket": {"port": 15090}})), "never captured");
}

#[test]
fn a_moved_probe_keeps_everything_but_its_handler_and_the_table_has_that() {
    let container = json!({
        "ports": [{"name": "other", "containerPort": 1}, {"name": "https", "containerPort": 8443}],
        "readinessProbe": {
            "httpGet": {"path": "/r?a=$b", "port": "https", "scheme": "HTTPS", "host": "", "new": {"field": 1},
                "httpHeaders": [{"name": "X-A", "value": "ü"}]},
            "periodSeconds": 2, "timeoutSeconds": 7, "failureThreshold": 4, "later": true,
        },
        "livenessProbe": {"tcpSocket": {"port": "8080"}},
        "startupProbe": {"grpc": {"port": 9, "service": null}, "timeoutSeconds": "x"},
        "lifecycle": {"preStop": {"httpGet": {"port": 80}}, "stopSignal": "SIGUSR1"},
    });
    let injected = inject(&pod(json!({}), &container));
    assert_eq!(
        app(&injected)["readinessProbe"],
        json!({
            "httpGet": {"path": "/app-health/app/readyz", "port": 15020, "scheme": "HTTP"},
            "periodSeconds": 2, "timeoutSeconds": 7, "failureThreshold": 4, "later": true,
        })
    );
    assert_eq!(app(&injected)["lifecycle"]["stopSignal"], "SIGUSR1");
    assert_eq!(app(&injected)["lifecycle"]["preStop"]["httpGet"]["path"], "/app-lifecycle/app/prestopz");
    assert_eq!(
        injected.table,
        json!({
            "/app-health/app/readyz": {
                "httpGet": {"path": "/r?a=$$b", "port": 8443, "scheme": "HTTPS", "host": "", "new": {"field": 1},
                    "httpHeaders": [{"name": "X-A", "value": "ü"}]},
                "timeoutSeconds": 7,
            },
            "/app-health/app/livez": {"tcpSocket": {"port": 8080}},
            "/app-health/app/startupz": {"grpc": {"port": 9}},
            "/app-lifecycle/app/prestopz": {"httpGet": {"port": 80}},
        }),
        "the kubelet makes one dollar of two"
    );
    assert!(injected.warnings.is_empty(), "{:?}", injected.warnings);
}

#[test]
fn a_probe_of_another_host_stays_and_loopback_is_the_pods_where_that_is_wanted() {
    let rewrite = || json!({"sidecar.istio.io/rewriteAppHTTPProbers": "true"});
    for (host, moved) in
        [("localhost", true), ("127.0.0.1", true), ("::1", true), ("192.0.2.1", false), ("a.b", false)]
    {
        let probe = json!({"tcpSocket": {"port": 80, "host": host}});
        assert!(!is_moved(json!({}), READY, &probe), "{host}: to the kubelet that is its node");
        assert_eq!(is_moved(rewrite(), READY, &probe), moved, "{host}");
    }
    let injected =
        inject(&pod(rewrite(), &json!({"readinessProbe": {"httpGet": {"port": 80, "host": "localhost"}}})));
    assert_eq!(injected.table["/app-health/app/readyz"]["httpGet"]["host"], "localhost");
    assert_eq!(app(&injected)["readinessProbe"]["httpGet"].get("host"), None);
}

#[test]
fn what_cannot_be_told_stays_with_a_warning() {
    for (probe, part) in [
        (json!({"tcpSocket": {"port": "nowhere"}}), "\"nowhere\""),
        (json!({"tcpSocket": {"port": 0}}), "its port \"0\""),
        (json!({"tcpSocket": {"port": 65536}}), "its port \"65536\""),
        (json!({"tcpSocket": {}}), "its port \"null\""),
        (json!({"tcpSocket": {"port": 1, "host": 7}}), "its host"),
        (json!({"httpGet": {"port": 1, "scheme": "ftp"}}), "\"ftp\""),
        (
            json!({"httpGet": {"port": 1, "scheme": "HTTPS", "httpHeaders": [{"name": "A", "value": "b\r\nc"}]}}),
            "\"A\"",
        ),
        (json!({"httpGet": {"port": 1, "scheme": "HTTPS", "httpHeaders": [{"name": "A b"}]}}), "\"A b\""),
        (json!({"httpGet": {"port": 1, "scheme": "HTTPS", "path": "/".repeat(9000)}}), "its path"),
        (json!({"httpGet": {"port": 15020, "path": "/app-health/app/livez"}}), "asks a proxy already"),
    ] {
        let injected = inject(&pod(json!({}), &json!({"livenessProbe": probe})));
        assert_eq!(app(&injected)["livenessProbe"], probe);
        assert_eq!(injected.table, Value::Null);
        let [warning] = &injected.warnings[..] else { panic!("{probe}: {:?}", injected.warnings) };
        assert!(
            warning.starts_with("livenessProbe of container \"app\" ") && warning.contains(part),
            "{warning}"
        );
    }
}

#[test]
fn what_is_no_handler_is_left_to_the_api_server() {
    for probe in [
        json!(null),
        json!(7),
        json!([]),
        json!({}),
        json!({"tcpSocket": 7}),
        json!({"tcpSocket": {"port": 1}, "grpc": {"port": 2}}),
    ] {
        let injected = inject(&pod(json!({}), &json!({"livenessProbe": probe})));
        assert_eq!((&app(&injected)["livenessProbe"], &injected.table), (&probe, &Value::Null));
    }
    for name in ["", "App", "a/b", "a\n", &"a".repeat(64)] {
        let container = json!({"name": name, "livenessProbe": {"tcpSocket": {"port": 1}}});
        assert_eq!(inject(&pod(json!({}), &container)).table, Value::Null, "{name}");
    }
}

#[test]
fn an_injected_file_is_as_injected_when_kubernetes_has_added_its_defaults() {
    let probe = json!({"tcpSocket": {"port": 1}, "httpGet": null});
    let mut injected = inject(&pod(json!({}), &json!({"readinessProbe": probe}))).pod;
    let probe = &mut injected["spec"]["containers"][0]["readinessProbe"];
    for (field, default) in [("timeoutSeconds", 1), ("periodSeconds", 10), ("failureThreshold", 3)] {
        probe[field] = default.into();
    }
    let decision = review(&injected);
    assert_eq!((decision.verdict, decision.operations), (Verdict::Unchanged, Vec::new()));
}

#[test]
fn of_two_containers_of_one_name_the_first_alone_is_looked_at() {
    let container = |probe| json!({"name": "app", "readinessProbe": probe});
    let (http, tcp) =
        (container(json!({"httpGet": {"port": 1}})), container(json!({"tcpSocket": {"port": 2}})));
    let injected = inject(&json!({"metadata": {}, "spec": {"containers": [http, tcp]}}));
    assert_eq!((&injected.pod["spec"]["containers"], &injected.table), (&json!([http, tcp]), &Value::Null));
}

#[test]
fn the_table_stays_shorter_than_a_variable_can_be() {
    let path = format!("/{}", "$".repeat(8000));
    let container = |n: usize| json!({"name": format!("app-{n}"), "readinessProbe": {"httpGet": {"port": 1, "scheme": "HTTPS", "path": path}}});
    let pod = json!({"metadata": {}, "spec": {"containers": (0..12).map(container).collect::<Vec<_>>()}});
    let injected = inject(&pod);
    assert_eq!((injected.table.as_object().unwrap().len(), injected.warnings.len()), (7, 5));
    assert!(
        injected.warnings.iter().all(|warning| warning.contains("does not fit")),
        "{:?}",
        injected.warnings
    );
}

#[test]
fn a_native_sidecar_of_the_users_has_probes_too() {
    let probes = json!({"name": "log", "restartPolicy": "Always", "startupProbe": {"tcpSocket": {"port": 1}}, "readinessProbe": {"grpc": {"port": 2}}});
    let pod = |annotations| json!({"metadata": {"annotations": annotations}, "spec": {"initContainers": [probes], "containers": [{"name": "app"}]}});
    let native = inject(&pod(json!({})));
    assert_eq!(native.table.as_object().unwrap().len(), 2);
    assert_eq!(
        native.pod["spec"]["initContainers"][2]["startupProbe"]["httpGet"]["path"],
        "/app-health/log/startupz"
    );
    // The proxy is not there before the init containers are.
    let legacy = inject(&pod(json!({"sidecar.istio.io/nativeSidecar": "false"})));
    assert_eq!((&legacy.pod["spec"]["initContainers"][0], &legacy.table), (&probes, &Value::Null));
    assert!(
        legacy.warnings.iter().any(|warning| warning.contains("startupProbe of container \"log\"")),
        "{:?}",
        legacy.warnings
    );
}

#[test]
fn in_the_legacy_form_handlers_are_moved_only_where_the_proxy_is_there() {
    let legacy = || json!({"sidecar.istio.io/nativeSidecar": "false"});
    let http = json!({"httpGet": {"port": 80}});
    assert!(is_moved(legacy(), READY, &json!({"tcpSocket": {"port": 80}})));
    assert!(!is_moved(legacy(), STOP, &http), "a connection keeps the proxy, its own question does not");
    let unheld = json!({
        "sidecar.istio.io/nativeSidecar": "false", "remora.dev/probes": "rewrite",
        "proxy.istio.io/config": "holdApplicationUntilProxyStarts: false",
    });
    assert!(is_moved(unheld.clone(), READY, &http));
    let injected = inject(&pod(unheld, &json!({"lifecycle": {"postStart": http}})));
    assert!(
        injected.table == Value::Null && injected.warnings.iter().any(|w| w.contains("may not run yet")),
        "{:?}",
        injected.warnings
    );
}

#[test]
fn a_probe_that_lies_is_told() {
    let passthrough = json!({"remora.dev/probes": "passthrough"});
    let injected = inject(&pod(passthrough, &json!({"readinessProbe": {"tcpSocket": {"port": 80}}})));
    assert!(injected.warnings.iter().any(|w| w.contains("always passes")), "{:?}", injected.warnings);
}
