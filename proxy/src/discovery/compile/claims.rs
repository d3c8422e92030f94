//! Which resource a destination belongs to. Two cannot have the same one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use ipnet::IpNet;

use super::Subject;
use crate::discovery::Target;

/// A network, and one of its ports or all.
type Destination = (IpNet, Option<u16>);

/// A snapshot's tables: single ports of single addresses, single addresses, and networks.
type Tables = (HashMap<SocketAddr, Target>, HashMap<IpAddr, Target>, Vec<(IpNet, Option<u16>, Target)>);

/// All destinations that somebody has claimed.
#[derive(Default)]
pub(super) struct Claims(HashMap<Destination, (Target, Subject)>);

impl Claims {
    /// `subject` says what `net` is at `port`; the error is who else does.
    pub(super) fn add(
        &mut self,
        subject: &Subject,
        net: IpNet,
        port: Option<NonZeroU16>,
        target: Target,
    ) -> Result<(), String> {
        match self.0.entry((net, port.map(NonZeroU16::get))) {
            Entry::Occupied(entry) => {
                let (_, Subject { place, name }) = entry.get();
                let at = match port {
                    Some(port) if net.prefix_len() == net.max_prefix_len() => {
                        SocketAddr::new(net.addr(), port.get()).to_string()
                    }
                    Some(port) => format!("port {port} of {net}"),
                    None if net.prefix_len() == net.max_prefix_len() => net.addr().to_string(),
                    None => net.to_string(),
                };
                Err(format!("{at} is already {name}'s ({place}); a destination belongs to one of them"))
            }
            Entry::Vacant(entry) => {
                entry.insert((target, subject.clone()));
                Ok(())
            }
        }
    }

    /// What nobody has claimed becomes `target`; of several such, none.
    pub(super) fn fill(&mut self, weak: HashMap<SocketAddr, Option<(Target, Subject)>>) {
        for (address, found) in weak {
            if let Some(claim) = found {
                self.0.entry((address.ip().into(), Some(address.port()))).or_insert(claim);
            }
        }
    }

    pub(super) fn into_tables(self) -> Tables {
        let (mut ports, mut hosts, mut networks) = (HashMap::new(), HashMap::new(), Vec::new());
        for ((net, port), (target, _)) in self.0 {
            match port {
                _ if net.prefix_len() < net.max_prefix_len() => networks.push((net, port, target)),
                Some(port) => drop(ports.insert(SocketAddr::new(net.addr(), port), target)),
                None => drop(hosts.insert(net.addr(), target)),
            }
        }
        // The families do not meet, and of one network's claims those for a single port do not either.
        networks.sort_by_key(|(net, port, _)| (std::cmp::Reverse(net.prefix_len()), port.is_none()));
        (ports, hosts, networks)
    }
}
