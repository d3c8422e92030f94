//! What annotations make of our containers.

use serde_json::{Value, json};

use crate::inject::{Matched, Request, Settings, decide};

/// The init container, where there is one, and the proxy.
fn containers(annotations: &Value, spec: &Value) -> (Option<Value>, Value) {
    injected(&json!({"name": "solo", "annotations": annotations}), spec, &Settings::default())
}

fn injected(metadata: &Value, spec: &Value, settings: &Settings) -> (Option<Value>, Value) {
    let mut pod = json!({"metadata": metadata, "spec": spec});
    pod["spec"]["containers"] = json!([{"name": "app"}]);
    let request = Request {
        pod: &pod,
        matched: Matched::Namespace,
        namespace: "shop".into(),
        requester: None,
        workload: None,
    };
    let decision = decide(&request, settings);
    assert!(!decision.operations.is_empty(), "{:?}", decision.reasons);
    let operations = serde_json::to_value(&decision.operations).unwrap();
    let added = operations.as_array().unwrap().iter().flat_map(|operation| {
        let value = &operation["value"];
        value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
    });
    let (mut init, mut proxy) = (None, None);
    for container in added.filter(|added| added.get("image").is_some()) {
        match container["name"].as_str() {
            Some(api::pod::INIT_CONTAINER) => init = Some(container),
            Some(api::pod::PROXY_CONTAINER) => proxy = Some(container),
            _ => {}
        }
    }
    (init, proxy.expect("a proxy"))
}

fn value<'a>(proxy: &'a Value, name: &str) -> Option<&'a str> {
    proxy["env"].as_array()?.iter().find(|variable| variable["name"] == name)?["value"].as_str()
}

#[test]
fn the_proxy_is_told_what_annotations_say() {
    let annotations = json!({
        "config.linkerd.io/proxy-log-format": "json",
        "config.linkerd.io/access-log": "off",
        "config.linkerd.io/opaque-ports": "25,3306-3307",
        "config.linkerd.io/proxy-inbound-connect-timeout": "500ms",
        "config.linkerd.io/proxy-outbound-connect-timeout": "2s",
        "config.alpha.linkerd.io/proxy-wait-before-exit-seconds": "7",
        "istio.io/reroute-virtual-interfaces": "net1",
        "remora.dev/trace-collector": "http://otel.ops:4317",
        "remora.dev/trace-protocol": "otlp-grpc",
        "remora.dev/trace-sampling": "0.50",
        "remora.dev/trace-queue": "4Mi",
        "proxy.istio.io/config": "concurrency: 3\nterminationDrainDuration: 90s",
    });
    let (init, proxy) = containers(&annotations, &json!({"terminationGracePeriodSeconds": 120}));
    for (name, text) in [
        (api::env::LOG_FORMAT, "json"),
        (api::env::ACCESS_LOG, "off"),
        (api::env::OPAQUE_PORTS, "25,3306-3307"),
        (api::env::INBOUND_CONNECT_TIMEOUT, "500ms"),
        (api::env::OUTBOUND_CONNECT_TIMEOUT, "2s"),
        (api::env::DRAIN_DELAY, "7s"),
        (api::env::DRAIN_DEADLINE, "1m 30s"),
        (api::env::VIRTUAL_INTERFACES, "true"),
        (api::env::TRACE_COLLECTOR, "http://otel.ops:4317"),
        (api::env::TRACE_PROTOCOL, "otlp-grpc"),
        (api::env::TRACE_SAMPLING, "0.5"),
        (api::env::TRACE_QUEUE, "4194304"),
    ] {
        assert_eq!(value(&proxy, name), Some(text), "{name}");
    }
    assert_eq!(proxy["args"], json!(["--workers=3"]));
    let args = init.unwrap()["args"].clone();
    assert!(args.as_array().unwrap().contains(&json!("--virtual-interfaces=net1")), "{args}");
}

#[test]
fn the_proxy_is_told_by_labels_what_it_carries_for_and_by_settings_where() {
    let told = |labels: Value, settings: &Settings| {
        let (_, proxy) = injected(&json!({"name": "solo", "labels": labels}), &json!({}), settings);
        let field = |name: &str| {
            let variables = proxy["env"].as_array().unwrap();
            let variable = variables.iter().find(|variable| variable["name"] == name).unwrap();
            variable["valueFrom"]["fieldRef"]["fieldPath"].as_str().unwrap().to_owned()
        };
        let cluster = value(&proxy, api::env::CLUSTER).unwrap().to_owned();
        [field(api::env::APP), field(api::env::APP_VERSION), cluster]
    };
    let (app, name) = ("metadata.labels['app']", "metadata.labels['app.kubernetes.io/name']");
    let (version, app_version) =
        ("metadata.labels['version']", "metadata.labels['app.kubernetes.io/version']");
    let both = |app: &str, name: &str| json!({"app": app, "app.kubernetes.io/name": name});
    for (labels, expected) in [
        (json!({}), [app, version]),
        (both("a", "b"), [app, version]),
        (both("", "b"), [name, version]),
        (both("", ""), [app, version]),
        (json!({"app.kubernetes.io/name": "b", "version": "1"}), [name, version]),
        (json!({"app": "a", "app.kubernetes.io/version": "2"}), [app, app_version]),
    ] {
        let [app, version] = expected;
        assert_eq!(told(labels.clone(), &Settings::default()), [app, version, "Kubernetes"], "{labels}");
    }
    let named = Settings { cluster_name: "$(HOME)".to_owned(), ..Settings::default() };
    assert_eq!(told(json!({}), &named)[2], "$$(HOME)", "the kubelet expands nothing");
}

/// The formats are the proxy's.
#[test]
fn linkerds_formats_of_the_access_log_are_json_and_text() {
    for (annotation, format) in [("json", "json"), ("apache", "text"), ("off", "off"), ("", "off")] {
        let (_, proxy) = containers(&json!({"config.linkerd.io/access-log": annotation}), &json!({}));
        assert_eq!(value(&proxy, api::env::ACCESS_LOG), Some(format), "{annotation}");
    }
}

#[test]
fn istios_fields_of_tracing_are_those_of_zipkin() {
    let config = "tracing: {sampling: 10.0, zipkin: {address: 'zipkin.ops:9411'}}";
    let (_, proxy) = containers(&json!({"proxy.istio.io/config": config}), &json!({}));
    for (name, text) in [
        (api::env::TRACE_COLLECTOR, "http://zipkin.ops:9411"),
        (api::env::TRACE_PROTOCOL, "zipkin"),
        (api::env::TRACE_SAMPLING, "10"),
    ] {
        assert_eq!(value(&proxy, name), Some(text), "{name}");
    }
    let (_, proxy) = containers(&json!({}), &json!({}));
    assert_eq!(value(&proxy, api::env::TRACE_COLLECTOR), None);
}

#[test]
fn a_readiness_port_of_its_own_is_answered_asked_and_left_alone() {
    let annotations = json!({
        "status.sidecar.istio.io/port": "16021",
        "traffic.sidecar.istio.io/excludeInboundPorts": "15022,9000",
        "readiness.status.sidecar.istio.io/initialDelaySeconds": "2",
        "readiness.status.sidecar.istio.io/periodSeconds": "9",
        "readiness.status.sidecar.istio.io/failureThreshold": "4",
    });
    let (init, proxy) = containers(&annotations, &json!({}));
    assert_eq!(value(&proxy, api::env::READINESS_PORT), Some("16021"));
    let probe = &proxy["readinessProbe"];
    assert_eq!(probe["httpGet"]["port"], 16021);
    assert_eq!(
        (&probe["initialDelaySeconds"], &probe["periodSeconds"], &probe["failureThreshold"]),
        (&json!(2), &json!(9), &json!(4))
    );
    let args = init.unwrap()["args"].clone();
    assert!(args.as_array().unwrap().contains(&json!("--exclude-inbound-ports=15022,9000,16021")), "{args}");
}

#[test]
fn port_0_takes_the_readiness_probe_out_and_keeps_the_start() {
    let (_, proxy) = containers(&json!({"status.sidecar.istio.io/port": "0"}), &json!({}));
    assert!(proxy.get("readinessProbe").is_none());
    assert_eq!(proxy["startupProbe"]["httpGet"]["port"], 15022);
    assert_eq!(value(&proxy, api::env::READINESS_PORT), None);
}

#[test]
fn without_interception_there_is_no_init_container() {
    let (init, proxy) = containers(&json!({"sidecar.istio.io/interceptionMode": "NONE"}), &json!({}));
    assert!(init.is_none());
    assert_eq!(value(&proxy, api::env::REDIRECT_MODE), Some(api::env::REDIRECT_MODE_NONE));
    assert_eq!(proxy["startupProbe"]["httpGet"]["port"], 15021);
}

#[test]
fn the_legacy_form_waits_by_a_hook_unless_told_otherwise() {
    let (_, proxy) = containers(&json!({"sidecar.istio.io/nativeSidecar": "false"}), &json!({}));
    assert_eq!(proxy["lifecycle"], json!({"postStart": {"exec": {"command": ["/proxy", "wait"]}}}));
    let annotations =
        json!({"sidecar.istio.io/nativeSidecar": "false", "config.linkerd.io/proxy-await": "disabled"});
    assert!(containers(&annotations, &json!({})).1.get("lifecycle").is_none());
}

#[test]
fn the_deadline_follows_the_pods_grace_period() {
    let deadline = |grace: Value| {
        let (_, proxy) = containers(&json!({}), &json!({"terminationGracePeriodSeconds": grace}));
        value(&proxy, api::env::DRAIN_DEADLINE).map(str::to_owned)
    };
    assert_eq!(deadline(json!(30)), None, "what the proxy does by itself");
    assert_eq!(deadline(json!(600)).as_deref(), Some("9m 55s"));
    assert_eq!(deadline(json!(8)).as_deref(), Some("3s"));
}
