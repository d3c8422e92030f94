//! From resources to a snapshot: what each of them says is looked at beside what the others say.
//!
//! Invariant: a snapshot comes out only if nothing is wrong; and what is wrong is told all at once, each with its document
//! and its field.

mod claims;
mod hosts;
mod services;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use claims::Claims;

use super::resource::{Place, Resources};
use super::snapshot::{CalledAs, Snapshot};
use crate::balance::Load;
use crate::telemetry::edge::Caller;
use crate::telemetry::workload::Workload;

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Problem {
    /// File and document.
    place: String,
    /// The resource and its field, or the line.
    field: String,
    text: String,
}

impl Problem {
    pub(super) fn new(place: &Place, field: impl Into<String>, text: impl Into<String>) -> Self {
        Self { place: place.to_string(), field: field.into(), text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.field, self.text)
    }
}

/// A resource, as problems name it.
#[derive(Clone, Debug)]
struct Subject {
    place: Place,
    /// Kind, namespace and name.
    name: String,
}

/// What is being compiled.
struct Compiler<'a> {
    /// This pod's addresses.
    own: &'a [IpAddr],
    previous: Option<&'a Snapshot>,
    problems: Vec<Problem>,
    claims: Claims,
    /// This pod's zone.
    zone: Option<Arc<str>>,
    /// Workloads by namespace and name.
    workloads: HashMap<(Arc<str>, Arc<str>), Member>,
    callers: HashMap<IpAddr, Arc<Caller>>,
    /// As whose this pod is called, by its own addresses.
    called_as: BTreeMap<SocketAddr, CalledAs>,
    loads: HashMap<SocketAddr, Arc<Load>>,
}

/// A workload that a Service can have as an endpoint.
#[derive(Clone)]
struct Member {
    labels: Option<Arc<Workload>>,
    addresses: Vec<IpAddr>,
    zone: Option<Arc<str>>,
}

/// Checks `resources`, of which `hash` is the content's hash, for a pod that has the addresses `own`.
pub(super) fn compile(
    resources: Resources,
    hash: String,
    own: &[IpAddr],
    previous: Option<&Snapshot>,
) -> Result<Snapshot, Vec<Problem>> {
    let mut compiler = Compiler {
        own,
        previous,
        problems: Vec::new(),
        claims: Claims::default(),
        zone: None,
        workloads: HashMap::new(),
        callers: HashMap::new(),
        called_as: BTreeMap::new(),
        loads: HashMap::new(),
    };
    compiler.workloads(&resources.workloads);
    compiler.services(&resources.services);
    compiler.externals(&resources.externals);
    compiler.forbidden(&resources.forbidden);
    let Compiler { problems, claims, callers, called_as, loads, .. } = compiler;
    if !problems.is_empty() {
        return Err(problems);
    }
    let generation = previous.map_or(0, Snapshot::generation) + 1;
    let (ports, hosts, networks) = claims.into_tables();
    let resources = Arc::new(resources);
    Ok(Snapshot {
        generation,
        hash,
        ports,
        hosts,
        networks,
        callers,
        strangers: Caller::default(),
        called_as: called_as.into_iter().collect(),
        loads,
        resources,
    })
}

impl Compiler<'_> {
    fn wrong(&mut self, subject: &Subject, field: impl fmt::Display, text: impl Into<String>) {
        self.problems.push(Problem::new(&subject.place, format!("{}: {field}", subject.name), text));
    }

    /// Whether `addresses` can be those of one host: at most one of each family, and none that means something else.
    fn check_host(&mut self, subject: &Subject, field: &str, addresses: &[IpAddr]) {
        if addresses.is_empty() {
            self.wrong(subject, field, "there is none; write at least one address");
        }
        for family in [IpAddr::is_ipv4, IpAddr::is_ipv6] {
            if addresses.iter().filter(|address| family(address)).count() > 1 {
                self.wrong(
                    subject,
                    field,
                    "there is more than one of a family; write one IPv4 and one IPv6 address",
                );
            }
        }
        self.check_addresses(subject, field, addresses);
    }

    fn check_addresses(&mut self, subject: &Subject, field: &str, addresses: &[IpAddr]) {
        for (index, address) in addresses.iter().enumerate() {
            if address.is_unspecified() || address.is_multicast() {
                self.wrong(
                    subject,
                    format_args!("{field}[{index}]"),
                    format!("{address} is no host's address"),
                );
            }
            if address.to_canonical() != *address {
                let text = format!("{address} is an IPv4 address; write {}", address.to_canonical());
                self.wrong(subject, format_args!("{field}[{index}]"), text);
            }
        }
    }
}
