//! The form in which knowledge is written down: YAML documents of four kinds. The control plane serves the same ones.
//!
//! Invariant: a value that was read has the form of its type, and no field is unknown. Whether the resources agree with
//! each other is looked at by `compile`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use ipnet::IpNet;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize, Serializer};

/// What all documents say of themselves.
pub(super) const API_VERSION: &str = "remora.dev/v1alpha1";

/// All resources, by kind.
#[derive(Debug, Default, Serialize)]
pub(super) struct Resources {
    pub(super) services: Vec<Located<Service>>,
    pub(super) workloads: Vec<Located<Workload>>,
    pub(super) externals: Vec<Located<External>>,
    pub(super) forbidden: Vec<Located<Forbidden>>,
}

/// A resource and where it stands.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Located<T> {
    #[serde(skip)]
    pub(super) place: Place,
    #[serde(flatten)]
    pub(super) value: T,
}

/// A document.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) file: Arc<str>,
    /// From 1.
    pub(super) document: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, document {}", self.file, self.document)
    }
}

/// A Service: addresses at which it is called, and endpoints among which connections are divided. One without addresses is
/// called at its endpoints' own.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Service {
    #[serde(rename = "apiVersion", skip_serializing)]
    _api_version: IgnoredAny,
    #[serde(rename = "kind", skip_serializing)]
    _kind: IgnoredAny,
    pub(super) name: Name,
    pub(super) namespace: Name,
    /// The whole host name, by default the one of Kubernetes' DNS.
    pub(super) host: Option<Name>,
    #[serde(default)]
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ports: Vec<ServicePort>,
    #[serde(default)]
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) traffic_distribution: Option<TrafficDistribution>,
}

/// A port of a Service.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ServicePort {
    pub(super) port: NonZeroU16,
    /// Needed where there are several.
    pub(super) name: Option<Name>,
    pub(super) app_protocol: Option<Text>,
    /// The endpoints' port, by default the same.
    pub(super) target_port: Option<NonZeroU16>,
}

/// An endpoint: a workload of the Service's namespace, or addresses alone.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Endpoint {
    pub(super) workload: Option<Name>,
    #[serde(default)]
    pub(super) addresses: Vec<IpAddr>,
    /// Ports that differ from the Service's, by the name of the Service's port.
    #[serde(default)]
    pub(super) ports: BTreeMap<Name, NonZeroU16>,
    #[serde(default = "yes")]
    pub(super) ready: bool,
}

fn yes() -> bool {
    true
}

/// Kubernetes' field of the same name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum TrafficDistribution {
    /// Endpoints in this pod's zone are chosen as long as there are some.
    PreferSameZone,
}

/// A pod, or a machine: who has an address.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Workload {
    #[serde(rename = "apiVersion", skip_serializing)]
    _api_version: IgnoredAny,
    #[serde(rename = "kind", skip_serializing)]
    _kind: IgnoredAny,
    /// The pod's name.
    pub(super) name: Name,
    pub(super) namespace: Name,
    pub(super) addresses: Vec<IpAddr>,
    /// The name of the Deployment or the like, by default the pod's.
    pub(super) workload: Option<Name>,
    pub(super) canonical_service: Option<Text>,
    pub(super) canonical_revision: Option<Text>,
    /// The label `app`.
    pub(super) app: Option<Text>,
    /// The label `version`.
    pub(super) version: Option<Text>,
    /// The cluster's name, by default this pod's.
    pub(super) cluster: Option<Text>,
    /// Its identity, which mutual TLS will ask it to prove.
    pub(super) principal: Option<Text>,
    pub(super) node: Option<Text>,
    pub(super) zone: Option<Text>,
}

/// A host outside of the mesh.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct External {
    #[serde(rename = "apiVersion", skip_serializing)]
    _api_version: IgnoredAny,
    #[serde(rename = "kind", skip_serializing)]
    _kind: IgnoredAny,
    pub(super) name: Name,
    pub(super) namespace: Name,
    pub(super) host: Name,
    pub(super) addresses: Vec<Network>,
    /// All ports, where none is listed.
    #[serde(default)]
    pub(super) ports: Vec<ExternalPort>,
}

/// A port of a host outside of the mesh.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ExternalPort {
    pub(super) port: NonZeroU16,
    pub(super) name: Option<Name>,
    pub(super) app_protocol: Option<Text>,
}

/// Destinations to which nobody in this pod may connect.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Forbidden {
    #[serde(rename = "apiVersion", skip_serializing)]
    _api_version: IgnoredAny,
    #[serde(rename = "kind", skip_serializing)]
    _kind: IgnoredAny,
    pub(super) name: Name,
    pub(super) addresses: Vec<Network>,
    /// All ports, where none is listed.
    #[serde(default)]
    pub(super) ports: Vec<NonZeroU16>,
}

/// A name as Kubernetes' objects have it: an RFC 1123 subdomain.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[serde(try_from = "String")]
pub(super) struct Name(pub(super) Arc<str>);

/// A line of text that is not empty, as values of labels are.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub(super) struct Text(pub(super) Arc<str>);

/// An address, or all addresses with the same beginning: `192.0.2.1` or `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Network(pub(super) IpNet);

/// What a host name may have at most.
const LONGEST_NAME: usize = 253;

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_label = |label: &str| {
            let bytes = label.as_bytes();
            let edges = [bytes.first(), bytes.last()];
            edges.iter().all(|edge| edge.is_some_and(|byte| inner(*byte)))
                && bytes.iter().all(|byte| inner(*byte) || *byte == b'-')
        };
        if text.len() <= LONGEST_NAME && text.split('.').all(is_label) {
            return Ok(Self(text.into()));
        }
        Err(format!(
            "{text:?} is no name; it has lower-case letters, digits, '-' and '.', and at most {LONGEST_NAME} of them"
        ))
    }
}

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.is_empty() && text.len() <= LONGEST_NAME && !text.contains(char::is_control) {
            return Ok(Self(text.into()));
        }
        Err(format!("{text:?} must be a line of 1 to {LONGEST_NAME} bytes"))
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let net = text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>());
        let net = net.map_err(|_| {
            format!("{text:?} is neither an address nor a network; write 192.0.2.1 or 192.0.2.0/24")
        })?;
        if net.trunc() != net {
            return Err(format!("{text:?} has bits beyond its prefix; write {}", net.trunc()));
        }
        Ok(Self(net))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
