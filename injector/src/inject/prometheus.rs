//! Scraping: who scrapes the pod because of its annotations gets the proxy's metrics, and the application's own with them.
//!
//! The annotations are pointed at the proxy, and what they said goes into a variable of the proxy in Istio's format. Where
//! they say what one address cannot say they stay as they are.
//!
//! Invariant: nothing that was scraped before is not scraped afterwards.

use api::annotations as keys;
use serde_json::{Map, Value};

use super::metadata::Annotations;
use super::options::{MergeMetrics, Options};
use super::pod::{Part, Pod};
use super::reason::quoted;

/// What becomes of a pod's scrape annotations.
#[derive(Debug, Default)]
pub(super) struct Scrape {
    pub(super) annotations: Annotations,
    /// Where the application's own metrics are, in Istio's format; absent where it has none.
    pub(super) application: Option<String>,
}

const TRUE: &str = "true";
const HTTP: &str = "http";
const HTTPS: &str = "https";

/// Prometheus' path where nothing is said, and port where there is no other.
const DEFAULT_PATH: &str = "/metrics";
const DEFAULT_PORT: u16 = 80;

/// The kernel takes no variable of more than 128 KiB; no path comes near.
const PATH_LENGTH: usize = 2048;

/// Decides about the pod's scrape annotations.
pub(super) fn plan(pod: Pod<'_>, options: &Options, warnings: &mut Vec<String>) -> Scrape {
    if *options.merge_metrics == MergeMetrics::Off {
        return Scrape::default();
    }
    let scraped = match said(pod, keys::SCRAPE) {
        Said::Nothing => false,
        Said::Once(TRUE) => true,
        Said::Once(_) => return Scrape::default(),
        Said::Differently => return unmerged(keys::SCRAPE, "is there in several spellings", warnings),
    };
    match application(pod, scraped) {
        Ok(application) => pointed_at_proxy(pod, application),
        Err(Unclear::Proxy) => Scrape::default(),
        Err(Unclear::Because(key, why)) => unmerged(key, &why, warnings),
    }
}

fn unmerged(key: &str, why: &str, warnings: &mut Vec<String>) -> Scrape {
    warnings
        .push(format!("annotation {key} {why}: the application's metrics are not merged with the proxy's"));
    Scrape::default()
}

/// Why annotations stay as they are.
enum Unclear {
    /// They point at the proxy already.
    Proxy,
    Because(&'static str, String),
}

/// What the application serves itself, as the proxy is told it.
fn application(pod: Pod<'_>, scraped: bool) -> Result<Option<Map<String, Value>>, Unclear> {
    let value = |key| match said(pod, key) {
        Said::Nothing => Ok(None),
        Said::Once(value) => Ok(Some(value)),
        Said::Differently => Err(Unclear::Because(key, "is there in several spellings".to_owned())),
    };
    let (port, path) = (value(keys::SCRAPE_PORT)?, value(keys::SCRAPE_PATH)?);
    let scheme = value(keys::SCRAPE_SCHEME)?.unwrap_or(HTTP);
    if ![HTTP, HTTPS].contains(&scheme) {
        return Err(Unclear::Because(
            keys::SCRAPE_SCHEME,
            format!("is {}, not http or https", quoted(scheme)),
        ));
    }
    if let Some(path) = path.filter(|path| !is_path(path)) {
        let why = format!("is {}, not a path of at most {PATH_LENGTH} bytes such as /metrics", quoted(path));
        return Err(Unclear::Because(keys::SCRAPE_PATH, why));
    }
    if !scraped && port.is_none() {
        return Ok(None);
    }
    let port =
        match port {
            Some(text) => text.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
                Unclear::Because(keys::SCRAPE_PORT, format!("is {}, not a port", quoted(text)))
            })?,
            None => only_port(pod)?,
        };
    if port == api::ports::METRICS {
        return Err(Unclear::Proxy);
    }
    let mut fields = vec![
        ("scrape", TRUE.to_owned()),
        ("path", path.unwrap_or(DEFAULT_PATH).to_owned()),
        ("port", port.to_string()),
    ];
    if scheme == HTTPS {
        fields.push(("scheme", scheme.to_owned()));
    }
    Ok(Some(fields.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()))
}

/// What a request can ask for as it is (RFC 3986).
fn is_path(text: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
    text.starts_with('/') && text.len() <= PATH_LENGTH && text.bytes().all(part)
}

/// Without an annotation Prometheus scrapes every port that is declared, or port 80.
fn only_port(pod: Pod<'_>) -> Result<u16, Unclear> {
    let ports = pod.all_containers().filter_map(|container| container.get("ports")?.as_array()).flatten();
    let mut numbers = ports.filter_map(|port| u16::try_from(port.get("containerPort")?.as_u64()?).ok());
    match (numbers.next(), numbers.next()) {
        (None, _) => Ok(DEFAULT_PORT),
        (Some(port), None) => Ok(port),
        (Some(_), Some(_)) => Err(Unclear::Because(
            keys::SCRAPE,
            "is \"true\" without a port, so that every declared port is scraped".to_owned(),
        )),
    }
}

fn pointed_at_proxy(pod: Pod<'_>, application: Option<Map<String, Value>>) -> Scrape {
    let mut annotations = Annotations::default();
    for (key, now) in [
        (keys::SCRAPE, TRUE),
        (keys::SCRAPE_PORT, &api::ports::METRICS.to_string()),
        (keys::SCRAPE_PATH, api::control::MERGED_METRICS_PATH),
        (keys::SCRAPE_SCHEME, HTTP),
    ] {
        let mut spellings = spellings(pod, key).map(|(spelling, _)| spelling).peekable();
        // Plain HTTP is what nothing says.
        if spellings.peek().is_none() && key != keys::SCRAPE_SCHEME {
            annotations.set(pod, key, now);
        }
        spellings.for_each(|spelling| annotations.set(pod, spelling, now));
    }
    // Text serializes.
    Scrape { annotations, application: application.map(|fields| Value::Object(fields).to_string()) }
}

/// What the pod says under a key.
enum Said<'a> {
    Nothing,
    Once(&'a str),
    /// In several spellings, which disagree.
    Differently,
}

fn said<'a>(pod: Pod<'a>, key: &str) -> Said<'a> {
    let mut values = spellings(pod, key).filter_map(|(_, value)| value.as_str());
    let Some(first) = values.next() else { return Said::Nothing };
    if values.all(|other| other == first) { Said::Once(first) } else { Said::Differently }
}

/// Prometheus sees annotations with everything but letters, digits and underscores replaced by underscores, so that
/// `prometheus.io.port` is `prometheus.io/port` too.
fn spellings<'a>(pod: Pod<'a>, key: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let annotations = pod.map(Part::Annotations).into_iter().flatten();
    annotations.map(|(found, value)| (found.as_str(), value)).filter(move |(found, _)| same_label(found, key))
}

fn same_label(one: &str, other: &str) -> bool {
    let sanitized = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'_' };
    one.len() == other.len() && one.bytes().map(sanitized).eq(other.bytes().map(sanitized))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::inject::{Matched, Namespace, Request, Settings, apply, decide};

    /// The annotations of `prometheus.io` after injection, what the proxy is told, and the warnings.
    fn scraped(annotations: &Value, ports: &Value) -> (Value, Option<String>, Vec<String>) {
        let containers = json!([{"name": "app", "ports": ports}]);
        let mut pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers}});
        let request = Request {
            pod: &pod,
            matched: Matched::Namespace,
            namespace: Namespace { name: "shop", metadata: None },
            requester: None,
            workload: None,
        };
        let decision = decide(&request, &Settings::default());
        apply(&mut pod, &decision.operations).unwrap();
        let mut now = pod["metadata"]["annotations"].clone();
        now.as_object_mut().unwrap().retain(|key, _| key.starts_with("prometheus"));
        let variables = pod["spec"]["initContainers"][1]["env"].as_array().unwrap();
        let told = variables.iter().find(|variable| variable["name"] == "ISTIO_PROMETHEUS_ANNOTATIONS");
        let told = told.map(|told| told["value"].as_str().unwrap().to_owned());
        (now, told, decision.warnings)
    }

    fn proxys() -> Value {
        json!({"prometheus.io/scrape": "true", "prometheus.io/port": "15020", "prometheus.io/path": "/stats/prometheus"})
    }

    #[test]
    fn a_scraped_application_is_scraped_through_the_proxy() {
        for (said, ports, told) in [
            (
                json!({"prometheus.io/scrape": "true", "prometheus.io/port": "8080", "prometheus.io/path": "/m"}),
                json!([]),
                r#"{"path":"/m","port":"8080","scrape":"true"}"#,
            ),
            (
                json!({"prometheus.io/scrape": "true"}),
                json!([{"containerPort": 9100}]),
                r#"{"path":"/metrics","port":"9100","scrape":"true"}"#,
            ),
            (
                json!({"prometheus.io/scrape": "true"}),
                json!([]),
                r#"{"path":"/metrics","port":"80","scrape":"true"}"#,
            ),
            (
                json!({"prometheus.io/port": "1"}),
                json!([]),
                r#"{"path":"/metrics","port":"1","scrape":"true"}"#,
            ),
        ] {
            let (now, found, warnings) = scraped(&said, &ports);
            assert_eq!((now, found.as_deref()), (proxys(), Some(told)), "{said}");
            assert!(warnings.is_empty(), "{warnings:?}");
        }
        let https = json!({"prometheus.io/scrape": "true", "prometheus.io/port": "8443", "prometheus.io/scheme": "https"});
        let (now, found, _) = scraped(&https, &json!([]));
        assert_eq!(now["prometheus.io/scheme"], "http", "as the proxy is asked");
        assert_eq!(found.unwrap(), r#"{"path":"/metrics","port":"8443","scheme":"https","scrape":"true"}"#);
    }

    #[test]
    fn every_spelling_of_an_annotation_is_the_same_to_prometheus() {
        let said =
            json!({"prometheus.io/scrape": "true", "prometheus.io.port": "8080", "prometheus_io_path": "/m"});
        let (now, told, _) = scraped(&said, &json!([]));
        assert_eq!(told.unwrap(), r#"{"path":"/m","port":"8080","scrape":"true"}"#);
        assert_eq!(
            now,
            json!({"prometheus.io/scrape": "true", "prometheus.io.port": "15020", "prometheus_io_path": "/stats/prometheus"})
        );
    }

    #[test]
    fn a_pod_that_says_nothing_shows_the_proxys_metrics() {
        for said in [json!({}), json!(null), json!({"other": "x"})] {
            let (now, told, warnings) = scraped(&said, &json!([{"containerPort": 1}, {"containerPort": 2}]));
            assert_eq!((now, told, warnings), (proxys(), None, Vec::new()));
        }
    }

    #[test]
    fn what_is_not_to_be_scraped_or_merged_stays() {
        for said in [
            json!({"prometheus.io/scrape": "false", "prometheus.io/port": "1"}),
            json!({"prometheus.io/scrape": "yes"}),
            json!({"prometheus.io/scrape": "true", "prometheus.io/port": "15020", "prometheus.io/path": "/x"}),
            json!({
                "prometheus.io/scrape": "true", "prometheus.io/port": "1",
                "prometheus.istio.io/merge-metrics": "false",
            }),
        ] {
            let (now, told, warnings) = scraped(&said, &json!([]));
            assert_eq!((now, told, warnings), (said, None, Vec::new()));
        }
    }

    #[test]
    fn what_one_address_cannot_say_stays_with_a_warning() {
        let two = json!([{"containerPort": 1}, {"containerPort": 2}]);
        for (said, part) in [
            (json!({"prometheus.io/scrape": "true"}), "every declared port"),
            (json!({"prometheus.io/scrape": "true", "prometheus.io/port": "http"}), "\"http\""),
            (json!({"prometheus.io/scrape": "true", "prometheus.io/port": "0"}), "\"0\""),
            (json!({"prometheus.io/port": "1,2"}), "\"1,2\""),
            (json!({"prometheus.io/scheme": "ftp"}), "\"ftp\""),
            (json!({"prometheus.io/port": "1", "prometheus_io_port": "2"}), "several spellings"),
            (json!({"prometheus.io/port": "1", "prometheus.io/path": "/".repeat(5000)}), "not a path"),
            (json!({"prometheus.io/path": "/a\n- b: c"}), "not a path"),
            (json!({"prometheus.io/path": "metrics"}), "not a path"),
        ] {
            let (now, told, warnings) = scraped(&said, &two);
            assert_eq!((&now, told), (&said, None));
            assert!(warnings.len() == 1 && warnings[0].contains(part), "{said}: {warnings:?}");
        }
    }
}
