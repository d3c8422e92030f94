//! Everything that is known, as tables to look into.
//!
//! Invariant: only `compile` makes one, from resources that it has checked against each other.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use super::Target;
use super::resource::Resources;
use crate::balance::Load;
use crate::detect::Hint;
use crate::telemetry::edge::{Caller, Edge, ServiceName};

/// An immutable state of knowledge.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub(super) generation: u64,
    pub(super) hash: String,
    /// One port of one address.
    pub(super) ports: HashMap<SocketAddr, Target>,
    /// One address, whatever the port.
    pub(super) hosts: HashMap<IpAddr, Target>,
    /// Networks, the smallest first; of one network a single port before all ports.
    pub(super) networks: Vec<(IpNet, Option<u16>, Target)>,
    pub(super) callers: HashMap<IpAddr, Arc<Caller>>,
    /// Everybody else.
    pub(super) strangers: Caller,
    /// As whose this pod is called at its own addresses, in order: few, and looked for at each request.
    pub(super) called_as: Vec<(SocketAddr, CalledAs)>,
    /// Of all endpoints, so that the next snapshot goes on counting.
    pub(super) loads: HashMap<SocketAddr, Arc<Load>>,
    pub(super) resources: Arc<Resources>,
}

/// One of this pod's ports, as Services have it.
#[derive(Debug)]
pub(super) struct CalledAs {
    /// The Service that metrics name.
    pub(super) service: Arc<ServiceName>,
    /// What they declare it to speak, each thing once.
    pub(super) hints: Vec<Hint>,
}

impl Snapshot {
    /// What `to` is; the narrower rule wins.
    pub fn find(&self, to: SocketAddr) -> Target {
        let known = self.ports.get(&to).or_else(|| self.hosts.get(&to.ip())).or_else(|| {
            let holds = |net: &IpNet, port: Option<u16>| {
                port.is_none_or(|port| port == to.port()) && net.contains(&to.ip())
            };
            self.networks.iter().find(|(net, port, _)| holds(net, *port)).map(|(_, _, target)| target)
        });
        known.cloned().unwrap_or(Target::Passthrough)
    }

    /// What metrics call connections of `from` to this pod at its address `to`.
    pub fn inbound(&self, from: IpAddr, to: SocketAddr) -> Arc<Edge> {
        let service = self.called_as(to).map(|called| &called.service);
        self.callers.get(&from).map_or(&self.strangers, AsRef::as_ref).edge(service)
    }

    /// What this pod's port `to` is declared to speak. Services that contradict each other say nothing.
    pub fn declared(&self, to: SocketAddr) -> Option<Hint> {
        match self.called_as(to)?.hints.as_slice() {
            [hint] => Some(*hint),
            hints @ [_, ..] if hints.iter().all(|hint| hint.is_http()) => Some(Hint::Http),
            _ => None,
        }
    }

    fn called_as(&self, to: SocketAddr) -> Option<&CalledAs> {
        let place = self.called_as.binary_search_by_key(&to, |(address, _)| *address).ok()?;
        self.called_as.get(place).map(|(_, called)| called)
    }

    /// How many snapshots there were, with this one.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The hash of the content, the same wherever the content is the same.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    pub(super) fn resources(&self) -> Arc<Resources> {
        Arc::clone(&self.resources)
    }
}
