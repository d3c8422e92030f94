//! `proxy.istio.io/config`: YAML with many values at once. Every scalar in it is a value of its own, with its own row, as if
//! it were an annotation; what Istio knows and has no effect here is told, and so is what nobody knows.

use serde_json::{Map, Value};

use super::draft::{Class, Draft, Key};
use super::forms;
use super::modes::{number, port, switch};
use super::shared;
use super::spans::Collector;
use super::suggestion::suggestion;
use super::{Parsed, Period, malformed, quoted};

/// The annotation.
pub(super) const NAME: &str = "proxy.istio.io/config";

pub(super) const FORM: &str = "YAML with fields of Istio's ProxyConfig";

/// More is no configuration of one proxy.
const MOST_FIELDS: usize = 512;

/// What a row's name has before the path of its field.
const BEFORE_PATH: &str = "proxy.istio.io/config ";

/// The fields that are read.
pub(super) const FIELDS: &[Key] = &[
    Key {
        name: "proxy.istio.io/config holdApplicationUntilProxyStarts",
        form: forms::SWITCH,
        effect: "false: in the legacy form the application does not wait for the proxy",
        set: |draft, text| draft.put(|o| &mut o.hold, switch(text)?),
        ..FIELD
    },
    Key {
        name: "proxy.istio.io/config terminationDrainDuration",
        form: forms::DURATION,
        effect: "how long connections may last after SIGTERM; by default 5s less than the pod's grace period",
        set: |draft, text| draft.give(|o| &mut o.drain.deadline, Period::parse(text)?),
        ..FIELD
    },
    Key {
        name: "proxy.istio.io/config concurrency",
        form: forms::WORKERS,
        effect: "threads of the proxy; by default as many as its CPU limit, or one",
        set: |draft, text| match number(text, 1)?.try_into() {
            Ok(workers) if workers <= MOST_WORKERS => draft.give(|o| &mut o.workers, workers),
            Ok(_) | Err(_) => malformed("more threads than the proxy has"),
        },
        ..FIELD
    },
    Key {
        name: "proxy.istio.io/config interceptionMode",
        form: "REDIRECT or NONE",
        effect: "as sidecar.istio.io/interceptionMode",
        set: shared::interception,
        ..FIELD
    },
    Key {
        name: "proxy.istio.io/config statusPort",
        form: forms::READINESS_PORT,
        effect: "as status.sidecar.istio.io/port",
        set: |draft, text| draft.give(|o| &mut o.readiness.port, port(text)?),
        ..FIELD
    },
    Key {
        name: "proxy.istio.io/config readinessProbe.initialDelaySeconds",
        form: forms::DELAY,
        effect: "seconds before the proxy is first asked whether it is ready; 0 by default",
        set: |draft, text| draft.give(|o| &mut o.readiness.initial_delay, number(text, 0)?),
        ..FIELD
    },
    Key {
        name: "proxy.istio.io/config readinessProbe.periodSeconds",
        form: forms::COUNT,
        effect: "seconds between two such questions; 5 by default",
        set: |draft, text| draft.give(|o| &mut o.readiness.period, number(text, 1)?),
        ..FIELD
    },
    Key {
        name: "proxy.istio.io/config readinessProbe.timeoutSeconds",
        form: forms::COUNT,
        effect: "seconds in which the proxy has to answer; 3 by default",
        set: |draft, text| draft.give(|o| &mut o.readiness.timeout, number(text, 1)?),
        ..FIELD
    },
    Key {
        name: "proxy.istio.io/config readinessProbe.failureThreshold",
        form: forms::COUNT,
        effect: "failures after which the proxy is not ready; 3 by default",
        set: |draft, text| draft.give(|o| &mut o.readiness.failures, number(text, 1)?),
        ..FIELD
    },
    Key {
        name: "proxy.istio.io/config tracing.sampling",
        form: forms::PERCENTAGE,
        effect: "as remora.dev/trace-sampling",
        set: shared::sampling,
        ..FIELD
    },
    Key {
        name: "proxy.istio.io/config tracing.zipkin.address",
        form: forms::AUTHORITY,
        effect: "as remora.dev/trace-collector, of one that speaks zipkin; port 9411 where there is none",
        set: |draft, text| draft.give(|o| &mut o.spans.collector, Collector::zipkin(text)?),
        ..FIELD
    },
    Key {
        name: "proxy.istio.io/config proxyMetadata.MINIMUM_DRAIN_DURATION",
        form: forms::DURATION,
        effect: "how long the proxy still accepts when the pod ends; 20s by default",
        set: |draft, text| draft.give(|o| &mut o.drain.delay, Period::parse(text)?),
        ..FIELD
    },
    Key {
        name: "proxy.istio.io/config proxyMetadata.EXIT_ON_ZERO_ACTIVE_CONNECTIONS",
        form: forms::SWITCH,
        effect: "true is what the proxy always does: it ends with the last connection",
        set: |draft, text| {
            if !switch(text)? {
                draft.note("the proxy ends with the last connection all the same");
            }
            Ok(())
        },
        ..FIELD
    },
    Key {
        name: "proxy.istio.io/config proxyMetadata.ISTIO_META_DNS_CAPTURE",
        form: forms::SWITCH,
        effect: "true is refused until the proxy answers DNS",
        set: shared::dns_capture,
        ..FIELD
    },
];

const FIELD: Key =
    Key { name: "", also: &[], class: Class::Workload, form: "", effect: "", set: |_, _| Ok(()) };

const MOST_WORKERS: u16 = 128;

/// Fields that Istio knows and that have no effect here, by their beginning.
const WITHOUT_EFFECT: &[&str] = &[
    "availabilityZone",
    "binaryPath",
    "caCertificatesPem",
    "configPath",
    "controlPlaneAuthPolicy",
    "customConfigFile",
    "discoveryAddress",
    "drainDuration",
    "envoyAccessLogService",
    "envoyMetricsService",
    "envoyMetricsServiceAddress",
    "extraStatTags",
    "fileFlushInterval",
    "fileFlushMinSizeKb",
    "gatewayTopology",
    "image",
    "meshId",
    "parentShutdownDuration",
    "privateKeyProvider",
    "proxyAdminPort",
    "proxyBootstrapTemplatePath",
    "proxyHeaders",
    "proxyMetadata",
    "proxyStatsMatcher",
    "readinessProbe",
    "runtimeValues",
    "sds",
    "serviceCluster",
    "statNameLength",
    "statsEvictionInterval",
    "statsdUdpAddress",
    "tracing",
    "tracingServiceName",
    "zipkinAddress",
];

/// Reads the annotation.
pub(super) fn set(draft: &mut Draft<'_>, text: &str) -> Parsed<()> {
    let fields: Option<Map<String, Value>> = match serde_saphyr::from_str(text) {
        Ok(fields) => fields,
        Err(error) => return malformed(quoted(error.to_string().lines().next().unwrap_or_default())),
    };
    let mut leaves = Vec::new();
    for (name, value) in fields.iter().flatten() {
        leaves_of(name, value, &mut leaves)?;
    }
    for (path, value) in leaves {
        field(draft, &path, value);
    }
    Ok(())
}

/// The values in `value` that have no parts, each with its path.
fn leaves_of<'v>(path: &str, value: &'v Value, leaves: &mut Vec<(String, &'v Value)>) -> Parsed<()> {
    if leaves.len() == MOST_FIELDS {
        return malformed(format!("it has more than {MOST_FIELDS} fields"));
    }
    match value {
        Value::Object(parts) => {
            parts.iter().try_for_each(|(name, part)| leaves_of(&format!("{path}.{name}"), part, leaves))
        }
        Value::Null => Ok(()),
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            leaves.push((path.to_owned(), value));
            Ok(())
        }
    }
}

fn field(draft: &mut Draft<'_>, path: &str, value: &Value) {
    let paths = || FIELDS.iter().filter_map(|key| Some((key.name.strip_prefix(BEFORE_PATH)?, key)));
    if let Some((_, key)) = paths().find(|(known, _)| *known == path) {
        let text = scalar(value).unwrap_or_else(|| value.to_string());
        draft.within(key.name, |draft| draft.set(key, &text));
        return;
    }
    let begins = |known: &str, path: &str| {
        path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if let Some((_, key)) = paths().find(|(known, _)| begins(known, path)) {
        // `concurrency: {a: 1}`: a value that has parts where none are expected.
        draft.within(key.name, |draft| draft.set(key, &format!("{path}: {value}")));
    } else if WITHOUT_EFFECT.iter().any(|known| begins(known, path)) {
        draft.note(&format!("field {} has no effect here", quoted(path)));
    } else {
        let known = paths().map(|(known, _)| known).chain(WITHOUT_EFFECT.iter().copied());
        let meant = suggestion(path, known);
        let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        draft.note(&format!("field {} is not known and has no effect{meant}", quoted(path)));
    }
}

/// A scalar as text, as its author wrote it in YAML; nothing for what has parts.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
