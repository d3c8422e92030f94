//! How a pod wants to be injected: its annotations, parsed into types. A wrong value refuses the pod and names the
//! annotation, the value and the allowed form; an unknown key of our families is a warning.
//!
//! Invariant: nothing of a value reaches the patch but what its type can hold, so no value can say more than its own field.

mod cidrs;
mod modes;
mod ports;
mod quantity;
mod setting;

use api::annotations as keys;

use super::pod::Pod;
use super::reason::{Code, Reason, quoted};

pub(super) use cidrs::{CidrSelection, Cidrs};
pub(super) use modes::{MergeMetrics, Mode, ProbeMode};
pub(super) use ports::{PortSelection, Ports};
pub(super) use quantity::Quantity;
pub(super) use setting::Setting;

/// Everything that a pod can say about its injection.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) traffic: Traffic,
    pub(super) resources: Resources,
    pub(super) log_level: Option<LogLevel>,
    pub(super) mode: Setting<Mode>,
    /// Whether the application waits for the proxy, also in the legacy form: the proxy is then the first container.
    pub(super) hold: Setting<bool>,
    pub(super) probes: Setting<ProbeMode>,
    pub(super) merge_metrics: Setting<MergeMetrics>,
}

/// What is captured. `None` leaves it to the defaults of `init-redirect`: everything in, everything out.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) include_inbound_ports: Option<PortSelection>,
    pub(super) exclude_inbound_ports: Option<Ports>,
    pub(super) include_outbound_ports: Option<Ports>,
    pub(super) exclude_outbound_ports: Option<Ports>,
    pub(super) include_outbound_cidrs: Option<CidrSelection>,
    pub(super) exclude_outbound_cidrs: Option<Cidrs>,
}

/// The proxy's resources; each overrides its own field only.
#[derive(Debug, Default)]
pub(super) struct Resources {
    pub(super) cpu: Resource,
    pub(super) memory: Resource,
}

/// Request and limit of one resource.
#[derive(Debug, Default)]
pub(super) struct Resource {
    pub(super) request: Option<Quantity>,
    pub(super) limit: Option<Quantity>,
}

/// The proxy's log filter, by Istio's level names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct LogLevel(&'static str);

impl LogLevel {
    pub(super) fn filter(self) -> &'static str {
        self.0
    }
}

/// A value that is not of the allowed form.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Invalid {
    problem: String,
    allowed: &'static str,
}

impl Traffic {
    /// Whether a connection from outside to this port of the pod reaches the proxy.
    pub(super) fn captures_inbound(&self, port: u16) -> bool {
        let none_included = self
            .include_inbound_ports
            .as_ref()
            .is_some_and(|included| included.ports().is_some_and(Ports::is_empty));
        let excluded = self.exclude_inbound_ports.as_ref().is_some_and(|excluded| excluded.contain(port));
        !none_included && !excluded
    }
}

/// Parses all annotations of a pod; on failure every wrong one is told.
pub(super) fn parse(pod: Pod<'_>) -> Result<Options, Vec<Reason>> {
    let mut reader = Reader { pod, wrong: Vec::new() };
    let resource = |reader: &mut Reader<'_>, request, limit| Resource {
        request: reader.read(request, Quantity::parse),
        limit: reader.read(limit, Quantity::parse),
    };
    let options = Options {
        traffic: Traffic {
            include_inbound_ports: reader.read(keys::INCLUDE_INBOUND_PORTS, PortSelection::parse),
            exclude_inbound_ports: reader.read(keys::EXCLUDE_INBOUND_PORTS, Ports::parse),
            include_outbound_ports: reader.read(keys::INCLUDE_OUTBOUND_PORTS, Ports::parse),
            exclude_outbound_ports: reader.read(keys::EXCLUDE_OUTBOUND_PORTS, Ports::parse),
            include_outbound_cidrs: reader.read(keys::INCLUDE_OUTBOUND_IP_RANGES, CidrSelection::parse),
            exclude_outbound_cidrs: reader.read(keys::EXCLUDE_OUTBOUND_IP_RANGES, Cidrs::parse),
        },
        resources: Resources {
            cpu: resource(&mut reader, keys::PROXY_CPU, keys::PROXY_CPU_LIMIT),
            memory: resource(&mut reader, keys::PROXY_MEMORY, keys::PROXY_MEMORY_LIMIT),
        },
        log_level: reader.read(keys::LOG_LEVEL, log_level),
        mode: Setting::built_in(reader.read(keys::NATIVE_SIDECAR, mode).unwrap_or_default()),
        hold: Setting::built_in(true),
        probes: Setting::default(),
        merge_metrics: Setting::default(),
    };
    // Names would stop resolving: the rules exist, but nobody answers on the port to which they would lead.
    if reader.read(keys::DNS_CAPTURE, switch) == Some(true) {
        let text = format!(
            "annotation {} is \"true\", and the proxy does not answer DNS yet; take it off",
            keys::DNS_CAPTURE
        );
        reader.wrong.push(Reason::new(Code::DnsNotServed, text));
    }
    if reader.wrong.is_empty() { Ok(options) } else { Err(reader.wrong) }
}

struct Reader<'a> {
    pod: Pod<'a>,
    wrong: Vec<Reason>,
}

impl Reader<'_> {
    fn read<T>(&mut self, key: &str, parse: fn(&str) -> Result<T, Invalid>) -> Option<T> {
        let value = self.pod.annotation(key)?;
        match parse(value) {
            Ok(parsed) => Some(parsed),
            Err(Invalid { problem, allowed }) => {
                let text = format!("annotation {key} is {}: {problem}; allowed is {allowed}", quoted(value));
                self.wrong.push(Reason::new(Code::InvalidAnnotation, text));
                None
            }
        }
    }
}

fn mode(value: &str) -> Result<Mode, Invalid> {
    switch(value).map(|native| if native { Mode::Native } else { Mode::Legacy })
}

fn switch(value: &str) -> Result<bool, Invalid> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Invalid { problem: "not one of the two".to_owned(), allowed: "\"true\" or \"false\"" }),
    }
}

fn log_level(value: &str) -> Result<LogLevel, Invalid> {
    const LEVELS: [(&str, &str); 8] = [
        ("trace", "trace"),
        ("debug", "debug"),
        ("info", "info"),
        ("warning", "warn"),
        ("warn", "warn"),
        ("error", "error"),
        ("critical", "error"),
        ("off", "off"),
    ];
    let level = LEVELS.iter().find(|(name, _)| *name == value);
    level.map(|(_, filter)| LogLevel(filter)).ok_or_else(|| Invalid {
        problem: "not a level".to_owned(),
        allowed: "one of trace, debug, info, warning, error, critical, off",
    })
}

/// Keys that are understood, or written by ourselves.
const KNOWN: [&str; 14] = [
    keys::DNS_CAPTURE,
    keys::STATUS,
    keys::INCLUDE_INBOUND_PORTS,
    keys::EXCLUDE_INBOUND_PORTS,
    keys::INCLUDE_OUTBOUND_PORTS,
    keys::EXCLUDE_OUTBOUND_PORTS,
    keys::INCLUDE_OUTBOUND_IP_RANGES,
    keys::EXCLUDE_OUTBOUND_IP_RANGES,
    keys::PROXY_CPU,
    keys::PROXY_CPU_LIMIT,
    keys::PROXY_MEMORY,
    keys::PROXY_MEMORY_LIMIT,
    keys::LOG_LEVEL,
    keys::NATIVE_SIDECAR,
];

const FAMILIES: [&str; 3] = [keys::TRAFFIC_PREFIX, keys::SIDECAR_PREFIX, keys::OWN_PREFIX];

/// What has no effect although its author may think so.
pub(super) fn warnings(pod: Pod<'_>) -> Vec<String> {
    let ours = |key: &&str| FAMILIES.iter().any(|family| key.starts_with(family));
    pod.annotation_keys()
        .filter(ours)
        .filter(|key| !KNOWN.contains(key))
        .map(|key| {
            if key == api::labels::POD_INJECT {
                format!(
                    "annotation {key} has no effect: selectors cannot see annotations; use the label {key}"
                )
            } else {
                format!("annotation {} is not known to this version and has no effect", quoted(key))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Mode, Options, Pod, parse, warnings};

    fn pod(annotations: &Value) -> Value {
        json!({"metadata": {"annotations": annotations}, "spec": {}})
    }

    fn options(annotations: &Value) -> Result<Options, Vec<String>> {
        let pod = pod(annotations);
        parse(Pod::new(&pod).unwrap()).map_err(|wrong| wrong.into_iter().map(|reason| reason.text).collect())
    }

    #[test]
    fn every_wrong_value_is_told_with_key_value_and_form() {
        let wrong = options(&json!({
            "traffic.sidecar.istio.io/includeInboundPorts": "http",
            "sidecar.istio.io/proxyCPU": "lots",
            "sidecar.istio.io/logLevel": "loud",
            "sidecar.istio.io/nativeSidecar": "yes",
        }))
        .unwrap_err();
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        for (text, parts) in wrong.iter().zip([
            ["includeInboundPorts", "\"http\"", "8000-8100"],
            ["proxyCPU", "\"lots\"", "500m"],
            ["logLevel", "\"loud\"", "trace"],
            ["nativeSidecar", "\"yes\"", "\"true\" or \"false\""],
        ]) {
            for part in parts {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
    }

    #[test]
    fn hostile_values_are_escaped_and_cut() {
        let value = format!("a\n- name: evil{}", "x".repeat(65536));
        let wrong = options(&json!({"sidecar.istio.io/proxyMemory": value})).unwrap_err();
        assert!(
            wrong[0].len() < 300 && wrong[0].contains("a\\n- name") && !wrong[0].contains('\n'),
            "{wrong:?}"
        );
    }

    #[test]
    fn capture_of_a_port_follows_inclusion_and_exclusion() {
        for (annotations, captured) in [
            (json!({}), true),
            (json!({"traffic.sidecar.istio.io/includeInboundPorts": "*"}), true),
            (json!({"traffic.sidecar.istio.io/includeInboundPorts": "80"}), true),
            (json!({"traffic.sidecar.istio.io/includeInboundPorts": ""}), false),
            (json!({"traffic.sidecar.istio.io/excludeInboundPorts": "15000-15100"}), false),
        ] {
            let options = options(&annotations).unwrap();
            // A list that omits the port changes nothing: init-redirect captures it nevertheless.
            assert_eq!(options.traffic.captures_inbound(15022), captured, "{annotations}");
        }
    }

    #[test]
    fn dns_capture_is_refused_until_somebody_answers() {
        let wrong = options(&json!({"remora.dev/dns-capture": "true"})).unwrap_err();
        assert!(wrong.len() == 1 && wrong[0].contains("does not answer DNS"), "{wrong:?}");
        assert!(options(&json!({"remora.dev/dns-capture": "false"})).is_ok());
        let wrong = options(&json!({"remora.dev/dns-capture": "on"})).unwrap_err();
        assert!(wrong[0].contains("\"true\" or \"false\""), "{wrong:?}");
    }

    #[test]
    fn a_pod_without_annotations_has_the_defaults() {
        let options = options(&Value::Null).unwrap();
        assert_eq!(*options.mode, Mode::Native);
        assert!(options.log_level.is_none() && options.resources.cpu.request.is_none());
    }

    #[test]
    fn unknown_keys_of_our_families_are_warned_about() {
        let pod = pod(&json!({
            "sidecar.istio.io/proxyCpu": "1",
            "sidecar.istio.io/inject": "true",
            "remora.dev/nope": "1",
            "example.com/other": "1",
            "sidecar.istio.io/logLevel": "info",
        }));
        let warnings = warnings(Pod::new(&pod).unwrap());
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings.iter().any(|warning| warning.contains("use the label")), "{warnings:?}");
    }
}
