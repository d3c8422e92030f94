//! Options as the mesh, namespaces and pods say them.

mod readme;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use super::draft::Class;
use super::registry::{self, keys};
use super::{
    Interception, KubernetesVersion, MergeMetrics, Mode, Options, Period, PortSelection, ProbeMode, Quantity,
    problems, read,
};
use crate::inject::pod::Pod;
use crate::inject::{Code, Namespace, NamespaceMetadata, Reason, Settings};

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// What mesh, namespace and pod say.
#[derive(Default)]
struct Said<'a> {
    mesh: Pairs<'a>,
    namespace: Pairs<'a>,
    pod: Pairs<'a>,
    overrides: &'a [&'a str],
}

fn map(pairs: Pairs<'_>) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

impl Said<'_> {
    fn settings(&self) -> Settings {
        Settings {
            defaults: map(self.mesh).into(),
            workload_overrides: self.overrides.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>(),
            ..Settings::default()
        }
    }

    fn read(&self) -> (Result<Options, Vec<Reason>>, Vec<String>) {
        let metadata = NamespaceMetadata { annotations: map(self.namespace), ..NamespaceMetadata::default() };
        let namespace = Namespace { name: "shop", metadata: Some(&metadata) };
        let pod = json!({"metadata": {"annotations": map(self.pod)}, "spec": {}});
        let read = read(Pod::new(&pod).unwrap(), namespace, &self.settings());
        (read.options, read.warnings)
    }
}

fn pod_says(pod: Pairs<'_>) -> (Result<Options, Vec<Reason>>, Vec<String>) {
    Said { pod, ..Said::default() }.read()
}

fn options(pod: Pairs<'_>) -> Options {
    let (options, warnings) = pod_says(pod);
    assert_eq!(warnings, Vec::<String>::new(), "{pod:?}");
    options.unwrap()
}

fn refusal(pod: Pairs<'_>) -> Reason {
    let mut wrong = pod_says(pod).0.unwrap_err();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    wrong.remove(0)
}

fn warning(pod: Pairs<'_>) -> String {
    let (options, mut warnings) = pod_says(pod);
    assert!(options.is_ok() && warnings.len() == 1, "{pod:?}: {warnings:?}");
    warnings.remove(0)
}

#[test]
fn later_layers_win_value_by_value() {
    let said = Said {
        mesh: &[
            ("sidecar.istio.io/proxyCPU", "1"),
            ("sidecar.istio.io/proxyMemory", "1Gi"),
            ("sidecar.istio.io/logLevel", "warning"),
        ],
        namespace: &[("config.linkerd.io/proxy-cpu-request", "2"), ("sidecar.istio.io/proxyCPULimit", "4")],
        pod: &[("sidecar.istio.io/proxyMemory", "2Gi")],
        ..Said::default()
    };
    let (options, warnings) = said.read();
    let options = options.unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    let text = |quantity: &Option<Quantity>| quantity.as_ref().unwrap().to_string();
    assert_eq!(
        text(&options.resources.cpu.request),
        "2",
        "the namespace's, by Linkerd's name, wins over the mesh's"
    );
    assert_eq!(text(&options.resources.cpu.limit), "4");
    assert_eq!(text(&options.resources.memory.request), "2Gi");
    assert_eq!(options.log.filter().as_deref(), Some("warn"));
    assert_eq!(options.resources.memory.request.key(), Some("sidecar.istio.io/proxyMemory"));
}

#[test]
fn of_two_names_in_one_layer_ours_wins_then_istios() {
    for (pod, mode) in [
        (
            [
                ("sidecar.istio.io/nativeSidecar", "false"),
                ("config.linkerd.io/proxy-enable-native-sidecar", "true"),
            ],
            Mode::Legacy,
        ),
        (
            [
                ("config.alpha.linkerd.io/proxy-enable-native-sidecar", "false"),
                ("config.linkerd.io/proxy-enable-native-sidecar", "true"),
            ],
            Mode::Native,
        ),
    ] {
        let (options, warnings) = pod_says(&pod);
        assert_eq!(*options.unwrap().mode, mode);
        assert!(warnings.len() == 1 && warnings[0].contains("disagree"), "{warnings:?}");
    }
    let (options, warnings) =
        pod_says(&[("remora.dev/probes", "off"), ("sidecar.istio.io/rewriteAppHTTPProbers", "true")]);
    assert_eq!(*options.unwrap().probes, ProbeMode::Passthrough);
    assert!(warnings[0].ends_with("remora.dev/probes counts"), "{warnings:?}");
    // The same said twice is no conflict, nor is a notation.
    options_without_conflict(&[
        ("sidecar.istio.io/proxyCPU", "500m"),
        ("config.linkerd.io/proxy-cpu-request", "0.5"),
    ]);
    let pod = [
        ("proxy.istio.io/config", "holdApplicationUntilProxyStarts: false"),
        ("config.linkerd.io/proxy-await", "enabled"),
    ];
    assert!(*pod_says(&pod).0.unwrap().hold, "the configuration blob is the least specific");
}

fn options_without_conflict(pod: Pairs<'_>) {
    let _ = options(pod);
}

#[test]
fn every_wrong_value_is_told_with_key_value_and_form() {
    let wrong = pod_says(&[
        ("config.linkerd.io/skip-inbound-ports", "http"),
        ("sidecar.istio.io/logLevel", "loud"),
        ("sidecar.istio.io/nativeSidecar", "yes"),
        ("sidecar.istio.io/proxyCPU", "lots"),
    ]);
    let wrong = wrong.0.unwrap_err();
    assert_eq!(wrong.len(), 4, "{wrong:?}");
    for (reason, parts) in wrong.iter().zip([
        ["annotation config.linkerd.io/skip-inbound-ports", "\"http\"", "8000-8100"],
        ["annotation sidecar.istio.io/logLevel", "\"loud\"", "trace"],
        ["annotation sidecar.istio.io/nativeSidecar", "\"yes\"", "\"true\" or \"false\""],
        ["annotation sidecar.istio.io/proxyCPU", "\"lots\"", "500m"],
    ]) {
        assert_eq!(reason.code, Code::InvalidAnnotation);
        for part in parts {
            assert!(reason.text.contains(part), "{part} in {}", reason.text);
        }
    }
}

#[test]
fn a_wrong_value_of_the_namespace_or_the_mesh_names_it() {
    let bad = [("sidecar.istio.io/proxyCPU", "lots")];
    let said = Said { namespace: &bad, pod: &[("sidecar.istio.io/proxyCPU", "1")], ..Said::default() };
    let wrong = said.read().0.unwrap_err();
    assert!(wrong[0].text.starts_with("annotation of namespace shop sidecar.istio.io/proxyCPU"), "{wrong:?}");
    let said = Said { mesh: &bad, ..Said::default() };
    assert!(said.read().0.is_err());
    let told = problems(&said.settings());
    assert!(
        told.len() == 1 && told[0].starts_with("the mesh's default sidecar.istio.io/proxyCPU is \"lots\""),
        "{told:?}"
    );
}

#[test]
fn what_the_configuration_says_in_vain_is_a_problem() {
    let said = Said {
        mesh: &[("sidecar.istio.io/proxyCpu", "1"), ("config.linkerd.io/enable-gateway", "true")],
        overrides: &[
            "config.linkerd.io/proxy-uid",
            "sidecar.istio.io/proxyImag",
            "sidecar.istio.io/proxyImage",
            "sidecar.istio.io/logLevel",
        ],
        ..Said::default()
    };
    let told = problems(&said.settings());
    for part in [
        "did you mean sidecar.istio.io/proxyCPU?",
        "there is no gateway",
        "proxy-uid",
        "did you mean sidecar.istio.io/proxyImage?",
        "logLevel",
    ] {
        assert_eq!(told.iter().filter(|problem| problem.contains(part)).count(), 1, "{part} in {told:?}");
    }
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!(problems(&Settings::default()), Vec::<String>::new());
}

#[test]
fn administrators_keys_are_refused_on_pods_unless_they_are_listed() {
    for key in keys().filter(|key| matches!(key.class, Class::Admin | Class::Operator)) {
        let value = match key.name.rsplit('-').next() {
            Some("uid" | "gid") => "2102",
            Some("policy") => "Always",
            Some("env") => r#"[{"name": "A", "value": "$(B)"}]"#,
            Some(name) if name.contains("userVolume") => "[]",
            _ => "example.com",
        };
        let pod = [(key.name, value)];
        let reason = refusal(&pod);
        assert!(reason.code == Code::AdminOnly && reason.text.contains(key.name), "{reason}");
        let said = Said { namespace: &pod, ..Said::default() };
        assert!(said.read().0.is_ok(), "{}", key.name);
        let listed = Said { pod: &pod, overrides: &[key.name], ..Said::default() }.read().0;
        assert_eq!(listed.is_ok(), key.class == Class::Admin, "{}", key.name);
    }
}

#[test]
fn what_this_version_does_not_do_is_refused_with_the_reason() {
    for (key, value, part) in [
        ("sidecar.istio.io/interceptionMode", "TPROXY", "use REDIRECT"),
        ("config.linkerd.io/default-inbound-policy", "deny", "nothing would enforce it"),
        ("config.linkerd.io/proxy-require-identity-inbound-ports", "80", "nothing would enforce it"),
        ("remora.dev/dns-capture", "true", "does not answer DNS"),
        ("proxy.istio.io/config", "proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}", "does not answer DNS"),
        ("proxy.istio.io/config", "interceptionMode: TPROXY", "use REDIRECT"),
    ] {
        let reason = refusal(&[(key, value)]);
        assert!([Code::NotOffered, Code::DnsNotServed].contains(&reason.code), "{reason}");
        assert!(reason.text.contains(part) && reason.text.contains(key), "{reason}");
    }
    options(&[
        ("config.linkerd.io/default-inbound-policy", "all-unauthenticated"),
        ("remora.dev/dns-capture", "false"),
    ]);
}

#[test]
fn the_proxy_configuration_is_read_field_by_field() {
    let yaml = "concurrency: 2\nholdApplicationUntilProxyStarts: false\nterminationDrainDuration: 45s\nstatusPort: 16021\n\
                readinessProbe: {periodSeconds: 7, timeoutSeconds: 2}\nproxyMetadata:\n  MINIMUM_DRAIN_DURATION: 7s\n  \
                EXIT_ON_ZERO_ACTIVE_CONNECTIONS: 'true'\n";
    let options = options(&[("proxy.istio.io/config", yaml)]);
    assert_eq!((*options.workers, *options.hold, options.readiness_port()), (Some(2), false, 16021));
    assert_eq!((*options.readiness.period, *options.readiness.timeout), (Some(7), Some(2)));
    let seconds = |period: &Option<Period>| period.map(|period| period.get().as_secs());
    assert_eq!((seconds(&options.drain.deadline), seconds(&options.drain.delay)), (Some(45), Some(7)));
    assert_eq!(options.workers.key(), Some("proxy.istio.io/config concurrency"));
}

#[test]
fn what_the_proxy_configuration_says_in_vain_is_told() {
    for (yaml, part) in [
        ("drainDuration: 5s", "\"drainDuration\" has no effect"),
        ("tracing: {maxPathTagLength: 1}", "\"tracing.maxPathTagLength\" has no effect"),
        ("holdApplicationUntilProxyStart: true", "did you mean holdApplicationUntilProxyStarts?"),
        ("proxyMetadata: {EXIT_ON_ZERO_ACTIVE_CONNECTIONS: 'false'}", "all the same"),
        ("\"a\\nb\": 1", "\"a\\nb\" is not known"),
    ] {
        let told = warning(&[("proxy.istio.io/config", yaml)]);
        assert!(told.contains(part) && !told.contains('\n'), "{told}");
    }
    for empty in ["", "{}", "null", "concurrency:"] {
        options(&[("proxy.istio.io/config", empty)]);
    }
    for (yaml, part) in [
        ("[1, 2]", "allowed is YAML"),
        ("a: b: c", "allowed is YAML"),
        ("concurrency: 0", "concurrency is \"0\""),
        ("concurrency: 129", "more threads"),
        ("concurrency: {a: 1}", "concurrency is"),
        ("concurrency: [1]", "concurrency is \"[1]\""),
        ("statusPort: 15001", "uses that port otherwise"),
        ("tracing: {sampling: 101}", "not a percentage"),
        ("tracing: {zipkin: {address: 'http://zipkin:9411'}}", "not a host"),
        (
            "a: &a [x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b]\nd: [*c, *c, *c, *c, *c, *c, *c, *c]\nconcurrency: x",
            "concurrency",
        ),
    ] {
        let reason = refusal(&[("proxy.istio.io/config", yaml)]);
        assert!(reason.text.contains(part) && !reason.text.contains('\n'), "{reason}");
    }
}

#[test]
fn names_that_mean_nothing_here_are_told_and_no_more_than_a_few() {
    let told = warning(&[("sidecar.istio.io/proxyCpu", "1")]);
    assert!(told.contains("did you mean sidecar.istio.io/proxyCPU?"), "{told}");
    let told = warning(&[("config.linkerd.io/proxy-cpu-ratio-limit", "0.1")]);
    assert!(told.contains("has no effect") && told.contains("concurrency"), "{told}");
    options(&[("example.com/other", "1"), ("sidecar.istio.io/status", "{}"), ("istio.io/rev", "default")]);
    let many: Vec<String> = (0..2000).map(|number| format!("remora.dev/nothing-{number}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "")).collect();
    let warnings = pod_says(&many).1;
    assert_eq!((warnings.len(), warnings.last().map(String::as_str)), (17, Some("and 1984 more")));
}

/// Every key, with values that mean something to YAML, JSON, a shell, a template or a terminal: it is refused or taken as
/// what its type can hold, and what is said about it is one short line.
#[test]
fn hostile_values_stay_within_their_field() {
    let long = "x".repeat(65_536);
    let list = "1,".repeat(32_768);
    let hostile = [
        "a\n- name: evil",
        "\"}],\"x\":[{",
        "{{ .Values }}",
        "$(id)",
        "-->",
        "a\0b",
        "\u{202e}1",
        "--uid=0",
        &long,
        &list,
        "1\n",
        " ",
        "\u{1b}[2J",
    ];
    for key in
        keys().filter(|key| !matches!(key.class, Class::WithoutEffect | Class::Selection | Class::Written))
    {
        for value in hostile {
            let said = Said { namespace: &[(key.name, value)], ..Said::default() };
            let (options, warnings) = said.read();
            let reasons = options.err().into_iter().flatten().map(|reason| reason.text);
            for text in reasons.chain(warnings) {
                assert!(text.len() < 700 && !text.contains(char::is_control), "{}: {text}", key.name);
            }
        }
    }
}

#[test]
fn capture_of_a_port_follows_what_may_leave_it_alone() {
    for (key, value, captured) in [
        ("traffic.sidecar.istio.io/includeInboundPorts", "*", true),
        // A list that omits the port changes nothing: init-redirect captures it nevertheless.
        ("traffic.sidecar.istio.io/includeInboundPorts", "80", true),
        ("traffic.sidecar.istio.io/includeInboundPorts", "", false),
        ("config.linkerd.io/skip-inbound-ports", "15000-15100", false),
        ("remora.dev/include-inbound-ip-ranges", "*", true),
        ("remora.dev/include-inbound-ip-ranges", "10.0.0.0/8", false),
        ("config.linkerd.io/skip-subnets", "10.0.0.0/8", false),
        ("config.linkerd.io/skip-subnets", "", true),
        ("traffic.sidecar.istio.io/excludeInterfaces", "net1", false),
        ("sidecar.istio.io/interceptionMode", "NONE", false),
        ("sidecar.istio.io/interceptionMode", "REDIRECT", true),
    ] {
        assert_eq!(options(&[(key, value)]).traffic.captures_inbound(15022), captured, "{key}: {value}");
    }
}

#[test]
fn a_pod_without_annotations_has_the_defaults() {
    let options = options(&[]);
    assert_eq!((*options.mode, *options.hold), (Mode::Native, true));
    assert_eq!((*options.probes, *options.merge_metrics), (ProbeMode::Auto, MergeMetrics::On));
    assert_eq!(*options.traffic.interception, Interception::Redirect);
    assert_eq!(*options.traffic.include_inbound_ports, None::<PortSelection>);
    for (grace, deadline) in [(30, 25), (600, 595), (10, 5), (3, 1), (0, 1)] {
        let found = options.drain_deadline(Duration::from_secs(grace)).get();
        assert_eq!(found, Duration::from_secs(deadline), "{grace}");
    }
}

#[test]
fn a_cluster_without_native_sidecars_has_the_legacy_form() {
    let version = |text: &str| serde_json::from_value::<KubernetesVersion>(json!(text));
    for (text, mode) in
        [("1.28", Mode::Legacy), ("v1.29.3", Mode::Native), ("1.34", Mode::Native), ("2.0", Mode::Native)]
    {
        let settings =
            Settings { minimum_kubernetes_version: Some(version(text).unwrap()), ..Settings::default() };
        assert_eq!(*super::layers::of_mesh(&settings).mode, mode, "{text}");
    }
    for bad in ["", "1", "1.x", "1.29.0.1", "-1.29", "1.29-gke"] {
        let error = version(bad).unwrap_err().to_string();
        assert!(error.contains("write for example"), "{error}");
    }
    assert!(serde_json::from_value::<KubernetesVersion>(json!(1.3)).is_err(), "1.30 of YAML");
}

#[test]
fn the_contracts_names_are_keys() {
    use api::annotations as names;
    for name in
        [names::DNS_CAPTURE, names::STATUS, names::PROBES, names::REWRITE_PROBERS, names::MERGE_METRICS]
    {
        assert!(registry::find(name).is_some(), "{name}");
    }
}
