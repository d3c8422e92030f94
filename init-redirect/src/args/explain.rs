//! The packet of `explain`, as typed and as a value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::Args;

use super::problem::{BadOption, BadOptions};
use crate::options::{Family, IdRange, Interface, Options, Owner, Port};
use crate::plan::explain::{Packet, Protocol, Sender, State};

const FROM: &str = "app, root, proxy, uid:N, uid:N,gid:M or remote";
const TO: &str = "ADDRESS:PORT, as in 10.0.0.5:443 or [2001:db8::5]:443, or :PORT for the pod itself";

/// The pod's only interface, as nearly every network plugin calls it.
const INTERFACE: &str = "eth0";

/// Addresses of documentation (RFC 5737, RFC 3849) for a pod and for someone else.
const POD: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
const REMOTE: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(198, 51, 100, 1), Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1));

/// A packet, as typed.
#[derive(Args, Clone, Debug)]
pub struct TypedPacket {
    /// Who sends it: app, root, proxy, uid:N, uid:N,gid:M (the pod's processes) or remote (anyone else)
    #[arg(long, value_name = "SENDER")]
    pub from: String,

    /// Where it is sent to: ADDRESS:PORT, or :PORT for the pod itself
    #[arg(long, value_name = "TARGET")]
    pub to: String,

    /// tcp or udp
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp")]
    pub protocol: String,

    /// ipv4 or ipv6, where the target is :PORT
    #[arg(long, value_name = "FAMILY", default_value = "ipv4")]
    pub family: String,

    /// Address of a remote sender
    #[arg(long, value_name = "ADDRESS")]
    pub source: Option<String>,

    /// Interface by which it arrives or leaves [default: lo for the pod itself, otherwise eth0]
    #[arg(long, value_name = "INTERFACE")]
    pub interface: Option<String>,

    /// new (it opens a connection), established (the connection was there before the rules) or invalid (it is of none)
    #[arg(long, value_name = "STATE", default_value = "new")]
    pub state: String,
}

impl TypedPacket {
    /// The packet, or everything that is wrong with it.
    pub fn parse(&self, options: &Options) -> Result<Packet, BadOptions> {
        let mut bad = Bad(Vec::new());
        let protocol = match self.protocol.as_str() {
            "tcp" => Some(Protocol::Tcp),
            "udp" => Some(Protocol::Udp),
            _ => bad.note("--protocol", &self.protocol, "not a protocol with ports", "tcp or udp"),
        };
        let family = match self.family.as_str() {
            "ipv4" => Some(Family::V4),
            "ipv6" => Some(Family::V6),
            _ => bad.note("--family", &self.family, "not an address family", "ipv4 or ipv6"),
        };
        let state = match self.state.as_str() {
            "new" => Some(State::New),
            "established" => Some(State::Established),
            "invalid" => Some(State::Invalid),
            _ => bad.note("--state", &self.state, "not a state", "new, established or invalid"),
        };
        let owner = self.owner(options, &mut bad);
        let target = family.and_then(|family| self.target(family, owner == Some(None), &mut bad));
        let source = target.and_then(|(target, _)| self.source(target, &mut bad));
        let interface = self.interface(owner.flatten().is_some(), target, &mut bad);
        match (protocol, state, owner, target, source, interface) {
            (
                Some(protocol),
                Some(state),
                Some(owner),
                Some((destination, port)),
                Some(source),
                Some(interface),
            ) if bad.0.is_empty() => {
                let sender = match owner {
                    Some(owner) => Sender::Process(owner, interface),
                    None => Sender::Remote(interface),
                };
                let to_pod = destination.is_loopback() || self.to.starts_with(':');
                Ok(Packet { sender, protocol, source, destination, to_pod, port, state })
            }
            _ => Err(BadOptions::new(bad.0)),
        }
    }

    /// A process's owner; for a remote sender nothing within.
    fn owner(&self, options: &Options, bad: &mut Bad) -> Option<Option<Owner>> {
        let id = |text: &str| text.parse::<IdRange>().ok().filter(|ids| ids.first() == ids.last());
        let ids = |text: &str| {
            let (uid, gid) = match text.split_once(',') {
                None => (text, None),
                Some((uid, gid)) => (uid, Some(gid.strip_prefix("gid:")?)),
            };
            let uid = id(uid.strip_prefix("uid:")?)?.first();
            let gid = gid.map_or(Some(uid), |gid| Some(id(gid)?.first()))?;
            Some(Owner { uid, gid })
        };
        let app = [1000, 1001].map(|id| Owner { uid: id, gid: id });
        match self.from.as_str() {
            "remote" => Some(None),
            "proxy" => Some(Some(options.proxy)),
            "root" => Some(Some(Owner { uid: 0, gid: 0 })),
            "app" => Some(app.into_iter().find(|owner| *owner != options.proxy)),
            other => match ids(other) {
                Some(owner) => Some(Some(owner)),
                None => bad.note("--from", other, "not a sender", FROM),
            },
        }
    }

    /// The pod's own address is not known here; to itself a process uses loopback as well as any other.
    fn target(&self, family: Family, remote: bool, bad: &mut Bad) -> Option<(IpAddr, Port)> {
        let own: IpAddr = match (family, remote) {
            (Family::V4, true) => POD.0.into(),
            (Family::V6, true) => POD.1.into(),
            (Family::V4, false) => Ipv4Addr::LOCALHOST.into(),
            (Family::V6, false) => Ipv6Addr::LOCALHOST.into(),
        };
        let target = match self.to.strip_prefix(':') {
            Some(port) => port.parse().ok().map(|port| SocketAddr::new(own, port)),
            None => self.to.parse().ok(),
        };
        let target = target.and_then(|target| Some((target.ip(), Port::new(target.port())?)));
        target.or_else(|| bad.note("--to", &self.to, "not an address and a port", TO))
    }

    fn source(&self, target: IpAddr, bad: &mut Bad) -> Option<IpAddr> {
        let default = if target.is_ipv4() { IpAddr::from(REMOTE.0) } else { REMOTE.1.into() };
        let Some(text) = &self.source else { return Some(default) };
        let source = text.parse().ok().filter(|source: &IpAddr| source.is_ipv4() == target.is_ipv4());
        source.or_else(|| bad.note("--source", text, "no address of the target's family", "an address"))
    }

    fn interface(&self, process: bool, target: Option<(IpAddr, Port)>, bad: &mut Bad) -> Option<String> {
        match self.interface.as_deref() {
            Some("lo") => Some("lo".to_owned()),
            Some(name) => match name.parse::<Interface>() {
                Ok(interface) if !interface.is_prefix() => Some(name.to_owned()),
                Ok(_) | Err(_) => bad.note("--interface", name, "not an interface", "the name of one"),
            },
            None => {
                let local = process && target.is_some_and(|(address, _)| address.is_loopback());
                Some(if local { "lo" } else { INTERFACE }.to_owned())
            }
        }
    }
}

struct Bad(Vec<BadOption>);

impl Bad {
    fn note<T>(&mut self, option: &str, value: &str, problem: &str, allowed: &str) -> Option<T> {
        let [option, value, problem, allowed] = [option, value, problem, allowed].map(str::to_owned);
        self.0.push(BadOption { option, value, problem, allowed });
        None
    }
}
