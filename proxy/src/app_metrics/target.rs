//! Where the application's metrics are, as the injector found it in the pod's scrape annotations: Istio's JSON,
//! `{"scrape":"true","path":"/metrics","port":"8080"}`, with `scheme` besides.

use std::str::FromStr;

use hyper::HeaderMap;
use serde::Deserialize;

use crate::application::{Answer, CallError, Client, Get, Host, Origin, target};

/// The application's metrics, if it has any.
#[derive(Clone, Debug, Default)]
pub struct Scraped(Option<Endpoint>);

#[derive(Clone, Debug)]
struct Endpoint {
    origin: Origin,
    path: String,
}

/// A description that is not one.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Not JSON, or not of the shape.
    #[error("{env} does not say where metrics are: {0}", env = api::env::PROMETHEUS_ANNOTATIONS)]
    Json(#[from] serde_json::Error),
    /// One field.
    #[error("{env}: {field} {value:?} is not {allowed}", env = api::env::PROMETHEUS_ANNOTATIONS)]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    scrape: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    port: String,
    #[serde(default)]
    scheme: String,
}

/// What Istio assumes where the annotations say nothing.
const PORT: &str = "80";
const PATH: &str = "/metrics";

impl FromStr for Scraped {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let raw: Raw = serde_json::from_str(text)?;
        if raw.scrape != "true" {
            return Ok(Self::default());
        }
        let or = |value: String, other: &str| if value.is_empty() { other.to_owned() } else { value };
        let (port, path) = (or(raw.port, PORT), or(raw.path, PATH));
        let tls = match raw.scheme.as_str() {
            "" | "http" => false,
            "https" => true,
            _ => return Err(field("scheme", raw.scheme, "http or https")),
        };
        let number = port.parse().ok().filter(|number| *number != 0);
        let Some(number) = number else { return Err(field("port", port, "a number from 1 to 65535")) };
        if number == api::ports::METRICS {
            // It would ask itself for ever.
            return Err(field("port", port, "a port of the application, but the proxy's own"));
        }
        if target(&path).is_err() {
            return Err(field("path", path, "a path that can be asked for"));
        }
        Ok(Self(Some(Endpoint { origin: Origin { tls, host: Host::Pod, port: number }, path })))
    }
}

fn field(field: &'static str, value: String, allowed: &'static str) -> TargetError {
    TargetError::Field { field, value, allowed }
}

impl Scraped {
    pub(super) fn is_any(&self) -> bool {
        self.0.is_some()
    }

    /// For messages.
    pub(super) fn name(&self, client: &Client) -> String {
        let name = |endpoint: &Endpoint| format!("{}{}", client.name(&endpoint.origin), endpoint.path);
        self.0.as_ref().map_or_else(String::new, name)
    }

    /// Asks at the pod's address, as the scraper would have, and at loopback where nobody listens there, as Istio does.
    /// A scraper's parameters are the application's.
    pub(super) async fn ask(
        &self,
        client: &Client,
        query: Option<&str>,
        headers: HeaderMap,
    ) -> Result<Answer, CallError> {
        let Some(Endpoint { origin, path }) = &self.0 else {
            return Err(CallError::Connect(std::io::ErrorKind::AddrNotAvailable.into()));
        };
        let path = match query {
            Some(query) if path.contains('?') => format!("{path}&{query}"),
            Some(query) => format!("{path}?{query}"),
            None => path.clone(),
        };
        let path = target(&path).map_err(|error| CallError::Http(error.to_string()))?;
        let get = Get { path, host: None, headers };
        match client.get(origin, &get).await {
            Err(CallError::Connect(_)) => {
                client.get(&Origin { host: Host::Localhost, ..origin.clone() }, &get).await
            }
            answered => answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, Host, Scraped};

    fn endpoint(json: &str) -> Option<Endpoint> {
        json.parse::<Scraped>().unwrap().0
    }

    #[test]
    fn istios_format_is_understood() {
        let full =
            endpoint(r#"{"scrape":"true","path":"/m","port":"8443","scheme":"https","extra":1}"#).unwrap();
        assert!(
            full.origin.tls && full.origin.port == 8443 && full.origin.host == Host::Pod && full.path == "/m"
        );
        let bare = endpoint(r#"{"scrape":"true"}"#).unwrap();
        assert!(!bare.origin.tls && bare.origin.port == 80 && bare.path == "/metrics");
        for nothing in ["", " ", r#"{"scrape":"false","port":"x"}"#, r#"{"port":"80"}"#] {
            assert!(endpoint(nothing).is_none(), "{nothing}");
        }
    }

    #[test]
    fn what_says_nothing_is_named_with_variable_and_field() {
        for (bad, part) in [
            ("7", "does not say"),
            ("{", "does not say"),
            (r#"{"scrape":"true","port":"http"}"#, "port \"http\""),
            (r#"{"scrape":"true","port":"0"}"#, "port \"0\""),
            (r#"{"scrape":"true","port":"15020"}"#, "the proxy's own"),
            (r#"{"scrape":"true","scheme":"ftp"}"#, "scheme \"ftp\""),
        ] {
            let error = bad.parse::<Scraped>().unwrap_err().to_string();
            assert!(error.contains("ISTIO_PROMETHEUS_ANNOTATIONS") && error.contains(part), "{bad}: {error}");
        }
    }
}
