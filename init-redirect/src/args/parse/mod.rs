//! From texts to checked values. Every text is read before the first is complained about.

use std::io;
use std::net::IpAddr;
use std::str::FromStr;

use super::problem::{BadOption, BadOptions};
use super::typed::{self, Text, Texts, Typed};
use crate::options::{
    BackendChoice, Cidrs, Dns, Families, Filter, Flag, Ids, Inbound, Interfaces, Malformed, Options,
    Outbound, Owner, Port, Ports, Selection,
};

/// The proxy's ports that are neither [`Flag::OutboundPort`] nor [`Flag::InboundPort`] nor [`Flag::DnsPort`].
const TAKEN: [u16; 6] = [
    api::ports::ADMIN,
    api::ports::MESH_TLS,
    api::ports::METRICS,
    api::ports::READINESS,
    api::ports::READINESS_CAPTURED,
    api::ports::ENVOY_PROMETHEUS,
];

/// The value of [`Flag::DnsServers`] that stands for the servers of [`RESOLV_CONF`].
const FROM_RESOLV_CONF: &str = "resolv.conf";
const RESOLV_CONF: &str = "/etc/resolv.conf";

const SERVERS: &str = "resolv.conf, * or addresses, comma separated, as in 10.96.0.10,2001:db8::53";

impl Typed {
    /// The options, or everything that is wrong with them.
    pub fn parse(&self) -> Result<Options, BadOptions> {
        self.parse_with(|| std::fs::read_to_string(RESOLV_CONF))
    }

    /// The same where the resolver's configuration is what `resolv_conf` gives; it is asked only if that matters.
    pub fn parse_with(
        &self,
        resolv_conf: impl FnOnce() -> io::Result<String>,
    ) -> Result<Options, BadOptions> {
        let mut bad = Vec::new();
        let (texts, tunnels) = self.texts(&mut bad);
        let mut read = Reading { texts, bad };
        let families = read.value(Flag::Families, Families::ALLOWED).unwrap_or(Families::Both);
        let proxy = Owner { uid: read.id(Flag::ProxyUid), gid: read.id(Flag::ProxyGid) };
        let [outbound_port, inbound_port, dns_port] = read.listeners();
        let options = Options {
            families,
            proxy,
            interfaces: read.filter(Flag::IncludeInterfaces, Flag::ExcludeInterfaces, Interfaces::ALLOWED),
            virtual_interfaces: read.list(Flag::VirtualInterfaces, Interfaces::ALLOWED),
            inbound: read.inbound(inbound_port, &tunnels),
            outbound: read.outbound(outbound_port),
            dns: read.dns_servers(resolv_conf).map(|servers| Dns { port: dns_port, servers }),
            drop_invalid: read.switch(Flag::DropInvalid),
            capture_established: read.switch(Flag::CaptureEstablished),
            hold_until_ready: read.switch(Flag::HoldUntilReady),
            backend: read.value(Flag::Backend, BackendChoice::ALLOWED).unwrap_or(BackendChoice::Auto),
        };
        if read.bad.is_empty() { Ok(options) } else { Err(BadOptions::new(read.bad)) }
    }
}

/// Reads texts. A bad one is noted, and something harmless takes its place.
struct Reading {
    texts: Texts,
    bad: Vec<BadOption>,
}

impl Reading {
    fn push(&mut self, Text { name: option, value }: Text, problem: String, allowed: &str) {
        self.bad.push(BadOption { option, value, problem, allowed: allowed.to_owned() });
    }

    fn text<T: FromStr<Err = Malformed>>(&mut self, text: Text, allowed: &str) -> Option<T> {
        let parsed = text.value.trim().parse();
        parsed.map_err(|Malformed(problem)| self.push(text, problem, allowed)).ok()
    }

    fn value<T: FromStr<Err = Malformed>>(&mut self, flag: Flag, allowed: &str) -> Option<T> {
        let text = self.texts.get(flag);
        self.text(text, allowed)
    }

    fn list<T: FromStr<Err = Malformed> + Default>(&mut self, flag: Flag, allowed: &str) -> T {
        self.value(flag, allowed).unwrap_or_default()
    }

    fn selection<T: FromStr<Err = Malformed>>(&mut self, flag: Flag, allowed: &str) -> Selection<T> {
        let text = self.texts.get(flag);
        if text.value.trim() == "*" {
            return Selection::All;
        }
        self.text(text, &format!("*, or {allowed}")).map_or(Selection::All, Selection::Only)
    }

    fn filter<T: FromStr<Err = Malformed> + Default>(
        &mut self,
        include: Flag,
        exclude: Flag,
        allowed: &str,
    ) -> Filter<T> {
        Filter { include: self.selection(include, allowed), exclude: self.list(exclude, allowed) }
    }

    fn inbound(&mut self, port: Port, tunnels: &[Text]) -> Inbound {
        let mut ports: Filter<Ports> =
            self.filter(Flag::IncludeInboundPorts, Flag::ExcludeInboundPorts, Ports::ALLOWED);
        for tunnel in tunnels {
            let tunnel: Option<Port> = self.text(tunnel.clone(), Port::ALLOWED);
            let left_alone = |port: &Port| api::ports::INBOUND_LEFT_ALONE.contains(&port.get());
            if let Some(tunnel) = tunnel.filter(|port| !left_alone(port)) {
                ports.exclude = ports.exclude.union(&Ports::of([tunnel.get()]));
            }
        }
        let cidrs = self.filter(Flag::IncludeInboundCidrs, Flag::ExcludeInboundCidrs, Cidrs::ALLOWED);
        Inbound { port, ports, cidrs }
    }

    fn outbound(&mut self, port: Port) -> Outbound {
        Outbound {
            port,
            include_ports: self.list(Flag::IncludeOutboundPorts, Ports::ALLOWED),
            exclude_ports: self.list(Flag::ExcludeOutboundPorts, Ports::ALLOWED),
            cidrs: self.filter(Flag::IncludeOutboundCidrs, Flag::ExcludeOutboundCidrs, Cidrs::ALLOWED),
            uids: self.filter(Flag::IncludeUids, Flag::ExcludeUids, Ids::ALLOWED),
            gids: self.filter(Flag::IncludeGids, Flag::ExcludeGids, Ids::ALLOWED),
        }
    }

    /// The proxy's ports for outbound, inbound and DNS: all different.
    fn listeners(&mut self) -> [Port; 3] {
        let flags = [Flag::OutboundPort, Flag::InboundPort, Flag::DnsPort];
        let ports = flags.map(|flag| self.listener(flag));
        let [outbound, inbound, dns] = ports;
        for (flag, port, other, of) in [
            (Flag::OutboundPort, outbound, inbound, "inbound"),
            (Flag::DnsPort, dns, inbound, "inbound"),
            (Flag::DnsPort, dns, outbound, "outbound"),
        ] {
            if port.is_some() && port == other {
                let text = self.texts.get(flag);
                self.push(
                    text,
                    format!("it is the {of} port too"),
                    &format!("a port other than the {of} one"),
                );
            }
        }
        ports.map(|port| port.unwrap_or(Port::HIGHEST))
    }

    /// A port that the proxy listens on.
    fn listener(&mut self, flag: Flag) -> Option<Port> {
        let port: Port = self.value(flag, Port::ALLOWED)?;
        if TAKEN.contains(&port.get()) {
            let allowed = format!("{} that is none of {}", Port::ALLOWED, Ports::of(TAKEN));
            let text = self.texts.get(flag);
            self.push(text, "the proxy uses this port for another purpose".to_owned(), &allowed);
            return None;
        }
        Some(port)
    }

    /// A numeric user or group; the highest number means "no one" to the kernel.
    fn id(&mut self, flag: Flag) -> u32 {
        let text = self.texts.get(flag);
        let id = text.value.trim().parse().ok().filter(|id| *id != u32::MAX);
        id.unwrap_or_else(|| {
            self.push(text, "not a numeric id".to_owned(), "a number from 0 to 4294967294");
            0
        })
    }

    fn switch(&mut self, flag: Flag) -> bool {
        let text = self.texts.get(flag);
        typed::switch(text.value.trim()).unwrap_or_else(|| {
            self.push(text, "neither on nor off".to_owned(), "true or false");
            false
        })
    }

    /// Nothing where DNS is not captured; the servers are looked at nevertheless.
    fn dns_servers(&mut self, resolv_conf: impl FnOnce() -> io::Result<String>) -> Option<Selection<Cidrs>> {
        let wanted = self.switch(Flag::RedirectDns);
        let text = self.texts.get(Flag::DnsServers);
        if text.value.trim() != FROM_RESOLV_CONF {
            let servers = self.selection(Flag::DnsServers, SERVERS);
            return Some(servers).filter(|_| wanted);
        }
        if !wanted {
            return None;
        }
        let servers = match resolv_conf() {
            Ok(text) => nameservers(&text),
            Err(error) => {
                self.push(text, format!("{RESOLV_CONF}: {error}"), SERVERS);
                return None;
            }
        };
        if servers == Cidrs::default() {
            self.push(text, format!("{RESOLV_CONF} names no server"), SERVERS);
        }
        Some(Selection::Only(servers))
    }
}

/// The addresses of `nameserver` lines (resolv.conf(5)); a zone says through which interface, which does not matter here.
fn nameservers(resolv_conf: &str) -> Cidrs {
    let server = |line: &str| -> Option<IpAddr> {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        address.split('%').next()?.parse().ok()
    };
    resolv_conf.lines().filter_map(server).map(ipnet::IpNet::from).collect()
}

impl BackendChoice {
    /// What the texts of a backend have to be.
    pub(super) const ALLOWED: &'static str = "auto, nft, iptables-nft or iptables-legacy";
}

impl FromStr for BackendChoice {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "auto" => Ok(Self::Auto),
            "nft" => Ok(Self::Nft),
            "iptables-nft" => Ok(Self::IptablesNft),
            "iptables-legacy" => Ok(Self::IptablesLegacy),
            _ => Err(Malformed("not a backend".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests;
