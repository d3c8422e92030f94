//! Everything that is known, as tables to look into.
//!
//! Invariant: only `compile` makes one, from resources that it has checked against each other.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use super::resource::Resources;
use super::{Peer, Target};
use crate::balance::Load;

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
    pub(super) peers: HashMap<IpAddr, Arc<Peer>>,
    /// Of all endpoints, so that the next snapshot goes on counting.
    pub(super) loads: HashMap<SocketAddr, Arc<Load>>,
    pub(super) resources: Arc<Resources>,
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

    /// The workload with this address.
    pub fn peer(&self, ip: IpAddr) -> Option<Arc<Peer>> {
        self.peers.get(&ip).cloned()
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
