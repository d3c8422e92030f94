//! The table of probes as the injector writes it, in Istio's format: a JSON object from path to `httpGet`, `tcpSocket` or
//! `grpc`, with `timeoutSeconds`. Parsed before anything runs, so that a probe cannot fail for what the table says.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use crate::application::{Get, Host, Origin, OriginError, target};

/// Kubernetes' default for probes; lifecycle handlers have no limit but the pod's own.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The parsed table.
#[derive(Clone, Debug, Default)]
pub struct Probers(BTreeMap<String, Prober>);

/// What is done for one path.
#[derive(Clone, Debug)]
pub(super) struct Prober {
    pub(super) action: Action,
    pub(super) timeout: Option<Duration>,
}

/// A call of the application.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Http(Origin, Get),
    Tcp(Origin),
    Grpc(Origin, String),
}

/// A table that is not one.
#[derive(Debug, thiserror::Error)]
pub enum ProbersError {
    /// Not JSON, or not of the shape.
    #[error("{env} is not a table of probes: {0}", env = api::env::APP_PROBERS)]
    Json(#[from] serde_json::Error),
    /// One entry.
    #[error("{env}, {path}: {problem}", env = api::env::APP_PROBERS)]
    Entry {
        /// The key of the entry.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawProber {
    http_get: Option<RawHttp>,
    tcp_socket: Option<RawTcp>,
    grpc: Option<RawGrpc>,
    timeout_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHttp {
    #[serde(default)]
    path: String,
    port: RawPort,
    #[serde(default)]
    host: String,
    #[serde(default)]
    scheme: String,
    #[serde(default)]
    http_headers: Vec<RawHeader>,
}

#[derive(Deserialize)]
struct RawHeader {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct RawTcp {
    port: RawPort,
    #[serde(default)]
    host: String,
}

#[derive(Deserialize)]
struct RawGrpc {
    port: RawPort,
    /// Kubernetes writes null where it is absent.
    service: Option<String>,
}

/// Names were resolved by the injector, but a number may be written as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawPort {
    Number(u32),
    Text(String),
}

impl Probers {
    pub(super) fn table(&self) -> &BTreeMap<String, Prober> {
        &self.0
    }
}

impl FromStr for Probers {
    type Err = ProbersError;

    fn from_str(text: &str) -> Result<Self, ProbersError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let raw: BTreeMap<String, RawProber> = serde_json::from_str(text)?;
        let entry = |(path, raw): (String, RawProber)| match raw.prober(&path) {
            Ok(prober) => Ok((path, prober)),
            Err(problem) => Err(ProbersError::Entry { path, problem }),
        };
        raw.into_iter().map(entry).collect::<Result<_, _>>().map(Self)
    }
}

impl RawProber {
    fn prober(self, path: &str) -> Result<Prober, String> {
        let handler = known_path(path)?;
        let action = match (self.http_get, self.tcp_socket, self.grpc) {
            (Some(http), None, None) => http.action()?,
            (None, Some(tcp), None) => Action::Tcp(origin(false, &tcp.host, tcp.port)?),
            (None, None, Some(grpc)) => {
                Action::Grpc(origin(false, "", grpc.port)?, grpc.service.unwrap_or_default())
            }
            _ => return Err("exactly one of httpGet, tcpSocket and grpc is needed".to_owned()),
        };
        // 0 is Go's way to leave it out.
        let timeout = self.timeout_seconds.filter(|seconds| *seconds > 0);
        let timeout = timeout.map(|seconds| Duration::from_secs(seconds.into()));
        Ok(Prober { action, timeout: timeout.or((!handler).then_some(TIMEOUT)) })
    }
}

impl RawHttp {
    fn action(self) -> Result<Action, String> {
        let tls = match self.scheme.to_ascii_uppercase().as_str() {
            "" | "HTTP" => false,
            "HTTPS" => true,
            _ => return Err(format!("scheme {:?} is neither HTTP nor HTTPS", self.scheme)),
        };
        let origin = origin(tls, &self.host, self.port)?;
        let (mut host, mut headers) = (None, HeaderMap::new());
        for RawHeader { name, value } in self.http_headers {
            let parsed_name = HeaderName::from_str(&name);
            let (Ok(parsed), Ok(value)) = (parsed_name, HeaderValue::from_bytes(value.as_bytes())) else {
                return Err(format!("header {name:?} cannot be sent"));
            };
            match parsed {
                HOST => host = Some(value),
                _ => drop(headers.append(parsed, value)),
            }
        }
        let path = target(&self.path).map_err(text)?;
        Ok(Action::Http(origin, Get { path, host, headers }))
    }
}

/// Whether a path is a lifecycle handler's.
fn known_path(path: &str) -> Result<bool, String> {
    let below = |prefix| path.strip_prefix(prefix)?.strip_prefix('/')?.split_once('/');
    let is = |prefix, kinds: &[&str]| {
        below(prefix).is_some_and(|(container, kind)| !container.is_empty() && kinds.contains(&kind))
    };
    match (
        is(api::control::APP_HEALTH_PATH, &["readyz", "livez", "startupz"]),
        is(api::control::APP_LIFECYCLE_PATH, &["prestopz", "poststartz"]),
    ) {
        (true, _) => Ok(false),
        (_, true) => Ok(true),
        (false, false) => Err("the path is none of /app-health/CONTAINER/{readyz,livez,startupz} and \
                               /app-lifecycle/CONTAINER/{prestopz,poststartz}"
            .to_owned()),
    }
}

fn origin(tls: bool, host: &str, port: RawPort) -> Result<Origin, String> {
    let number = match &port {
        RawPort::Number(number) => u16::try_from(*number).ok(),
        RawPort::Text(text) => text.parse().ok(),
    };
    let Some(port) = number.filter(|port| *port != 0) else {
        let given = match port {
            RawPort::Number(number) => number.to_string(),
            RawPort::Text(text) => format!("{text:?}"),
        };
        return Err(format!("port {given} is not a number from 1 to 65535"));
    };
    Ok(Origin { tls, host: Host::parse(host).map_err(text)?, port })
}

fn text(error: OriginError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::{Action, Duration, HeaderValue, Host, Probers};

    #[test]
    fn istios_format_is_understood() {
        let table: Probers = r#"{
            "/app-health/app/readyz": {"httpGet": {"path": "healthz", "port": 8080, "host": "localhost", "scheme": "HTTPS",
                "httpHeaders": [{"name": "host", "value": "a.example"}, {"name": "X-A", "value": "ü"}]}, "timeoutSeconds": 5},
            "/app-health/app/livez": {"tcpSocket": {"port": "8080"}, "timeoutSeconds": 0},
            "/app-health/app/startupz": {"grpc": {"port": 9, "service": null}},
            "/app-lifecycle/app/prestopz": {"httpGet": {"port": 1}}
        }"#
        .parse()
        .unwrap();
        let ready = &table.table()["/app-health/app/readyz"];
        let Action::Http(origin, get) = &ready.action else { panic!("{ready:?}") };
        assert!(origin.tls && origin.host == Host::Localhost && origin.port == 8080);
        assert_eq!(
            (get.path.as_str(), get.host.as_ref().unwrap().as_bytes()),
            ("/healthz", &b"a.example"[..])
        );
        assert_eq!(
            (get.headers.len(), &get.headers["x-a"]),
            (1, &HeaderValue::from_bytes("ü".as_bytes()).unwrap())
        );
        assert_eq!(ready.timeout, Some(Duration::from_secs(5)));
        assert_eq!(table.table()["/app-health/app/livez"].timeout, Some(Duration::from_secs(1)));
        assert!(
            matches!(&table.table()["/app-health/app/startupz"].action, Action::Grpc(_, service) if service.is_empty())
        );
        assert_eq!(table.table()["/app-lifecycle/app/prestopz"].timeout, None);
        assert!("".parse::<Probers>().unwrap().table().is_empty());
    }

    #[test]
    fn what_is_no_table_is_named_with_variable_path_and_problem() {
        for (bad, part) in [
            ("[]", "table of probes"),
            ("{", "table of probes"),
            (r#"{"/app-health/app/readyz": {}}"#, "exactly one of"),
            (
                r#"{"/app-health/app/readyz": {"tcpSocket": {"port": 1}, "grpc": {"port": 1}}}"#,
                "exactly one of",
            ),
            (r#"{"/app-health/app/readyz": {"tcpSocket": {"port": 0}}}"#, "port 0"),
            (r#"{"/app-health/app/readyz": {"tcpSocket": {"port": 65536}}}"#, "port 65536"),
            (r#"{"/app-health/app/readyz": {"tcpSocket": {"port": "http"}}}"#, "port \"http\""),
            (r#"{"/app-health/app/readyz": {"tcpSocket": {"port": 1, "host": "a.b"}}}"#, "\"a.b\""),
            (r#"{"/app-health/app/readyz": {"httpGet": {"port": 1, "scheme": "FTP"}}}"#, "FTP"),
            (
                r#"{"/app-health/app/readyz": {"httpGet": {"port": 1, "httpHeaders": [{"name": "a b"}]}}}"#,
                "a b",
            ),
            (
                r#"{"/app-health/app/readyz": {"httpGet": {"port": 1, "httpHeaders": [{"name": "a", "value": "b\n"}]}}}"#,
                "\"a\"",
            ),
            (r#"{"/app-health/app/prestopz": {"tcpSocket": {"port": 1}}}"#, "none of"),
            (r#"{"/app-lifecycle/app/readyz": {"tcpSocket": {"port": 1}}}"#, "none of"),
            (r#"{"/app-health//readyz": {"tcpSocket": {"port": 1}}}"#, "none of"),
            (r#"{"/metrics": {"tcpSocket": {"port": 1}}}"#, "none of"),
        ] {
            let error = bad.parse::<Probers>().unwrap_err().to_string();
            assert!(error.contains("ISTIO_KUBE_APP_PROBERS") && error.contains(part), "{bad}: {error}");
        }
    }
}
