//! From texts to checked values. Every text is read before the first is complained about.

use std::fmt;
use std::str::FromStr;

use super::Typed;
use crate::options::{
    BackendChoice, Cidrs, Flag, Inbound, Malformed, Options, Outbound, Owner, Port, Ports, Selection,
};

/// The proxy's ports that are neither [`Flag::OutboundPort`] nor [`Flag::InboundPort`].
const TAKEN: [u16; 7] = [
    api::ports::ADMIN,
    api::ports::MESH_TLS,
    api::ports::METRICS,
    api::ports::READINESS,
    api::ports::READINESS_CAPTURED,
    api::ports::DNS,
    api::ports::ENVOY_PROMETHEUS,
];

/// All options that cannot be used, one a line.
#[derive(Debug, thiserror::Error)]
pub struct BadOptions(Vec<BadOption>);

/// An option that cannot be used.
#[derive(Debug)]
pub struct BadOption {
    /// Which.
    pub flag: Flag,
    /// As typed.
    pub value: String,
    /// What is wrong with it.
    pub problem: String,
    /// What it may be.
    pub allowed: String,
}

impl Typed {
    /// The options, or everything that is wrong with them.
    pub fn parse(&self) -> Result<Options, BadOptions> {
        let mut bad = Problems::default();
        let proxy = Owner {
            uid: bad.id(Flag::ProxyUid, &self.proxy_uid),
            gid: bad.id(Flag::ProxyGid, &self.proxy_gid),
        };
        let inbound = bad.listener(Flag::InboundPort, &self.inbound_port);
        let outbound = bad.listener(Flag::OutboundPort, &self.outbound_port);
        if outbound.is_some() && inbound == outbound {
            let problem = "it is the inbound port too".to_owned();
            bad.push(Flag::OutboundPort, &self.outbound_port, problem, "a port other than the inbound one");
        }
        let include_inbound =
            bad.selection(Flag::IncludeInboundPorts, &self.include_inbound_ports, Ports::ALLOWED);
        let exclude_inbound = bad.ports(Flag::ExcludeInboundPorts, &self.exclude_inbound_ports);
        let include_ports = bad.ports(Flag::IncludeOutboundPorts, &self.include_outbound_ports);
        let exclude_ports = bad.ports(Flag::ExcludeOutboundPorts, &self.exclude_outbound_ports);
        let include_cidrs =
            bad.selection(Flag::IncludeOutboundCidrs, &self.include_outbound_cidrs, Cidrs::ALLOWED);
        let exclude_cidrs =
            bad.value(Flag::ExcludeOutboundCidrs, &self.exclude_outbound_cidrs, Cidrs::ALLOWED);
        let backend = bad.value(Flag::Backend, &self.backend, "auto or nft");
        match (inbound, outbound, backend) {
            (Some(inbound), Some(outbound), Some(backend)) if bad.0.is_empty() => Ok(Options {
                proxy,
                inbound: Inbound { port: inbound, include: include_inbound, exclude: exclude_inbound },
                outbound: Outbound {
                    port: outbound,
                    include_ports,
                    exclude_ports,
                    include_cidrs,
                    exclude_cidrs: exclude_cidrs.unwrap_or_default(),
                },
                backend,
            }),
            _ => Err(BadOptions(bad.0)),
        }
    }
}

#[derive(Default)]
struct Problems(Vec<BadOption>);

impl Problems {
    fn push(&mut self, flag: Flag, value: &str, problem: String, allowed: &str) {
        self.0.push(BadOption { flag, value: value.to_owned(), problem, allowed: allowed.to_owned() });
    }

    /// Nothing, noted, where the text is bad.
    fn value<T: FromStr<Err = Malformed>>(&mut self, flag: Flag, text: &str, allowed: &str) -> Option<T> {
        text.trim().parse().map_err(|Malformed(problem)| self.push(flag, text, problem, allowed)).ok()
    }

    fn ports(&mut self, flag: Flag, text: &str) -> Ports {
        self.value(flag, text, Ports::ALLOWED).unwrap_or_default()
    }

    fn selection<T: FromStr<Err = Malformed>>(
        &mut self,
        flag: Flag,
        text: &str,
        allowed: &str,
    ) -> Selection<T> {
        let selection = if text.trim() == "*" {
            Some(Selection::All)
        } else {
            self.value(flag, text, &format!("*, or {allowed}")).map(Selection::Only)
        };
        selection.unwrap_or(Selection::All)
    }

    /// A port that the proxy listens on.
    fn listener(&mut self, flag: Flag, text: &str) -> Option<Port> {
        let port: Port = self.value(flag, text, Port::ALLOWED)?;
        if TAKEN.contains(&port.get()) {
            let taken = Ports::of(TAKEN);
            let allowed = format!("{} that is none of {taken}", Port::ALLOWED);
            self.push(flag, text, "the proxy uses this port for another purpose".to_owned(), &allowed);
            return None;
        }
        Some(port)
    }

    /// A numeric user or group; the highest number means "no one" to the kernel.
    fn id(&mut self, flag: Flag, text: &str) -> u32 {
        let id = text.trim().parse().ok().filter(|id| *id != u32::MAX);
        id.unwrap_or_else(|| {
            self.push(flag, text, "not a numeric id".to_owned(), "a number from 0 to 4294967294");
            0
        })
    }
}

impl FromStr for BackendChoice {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "auto" => Ok(Self::Auto),
            "nft" => Ok(Self::Nft),
            _ => Err(Malformed("not a backend".to_owned())),
        }
    }
}

impl fmt::Display for BadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, BadOption { flag, value, problem, allowed }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{flag} ({}) {value:?}: {problem}; allowed: {allowed}", flag.env())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::args::Command;
    use crate::options::{BackendChoice, Cidrs, Options, Owner, Ports, Selection};

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let command = Command::try_parse_from([&["init-redirect"], arguments].concat());
        let command = command.map_err(|error| error.to_string())?;
        command.typed.parse().map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_the_contracts() {
        let options = parse(&[]).expect("defaults");
        assert_eq!(options.proxy, Owner { uid: api::pod::PROXY_UID, gid: api::pod::PROXY_GID });
        assert_eq!(options.inbound.port.get(), api::ports::INBOUND);
        assert_eq!(options.outbound.port.get(), api::ports::OUTBOUND);
        assert_eq!((options.inbound.include, options.inbound.exclude), (Selection::All, Ports::default()));
        assert_eq!(options.outbound.include_cidrs, Selection::All);
        assert_eq!(options.outbound.exclude_cidrs, Cidrs::default());
        assert_eq!(options.backend, BackendChoice::Auto);
    }

    #[test]
    fn an_empty_list_of_included_means_none() {
        let options = parse(&["--include-inbound-ports=", "--include-outbound-cidrs="]).expect("empty lists");
        assert_eq!(options.inbound.include, Selection::Only(Ports::default()));
        assert_eq!(options.outbound.include_cidrs, Selection::Only(Cidrs::default()));
    }

    #[test]
    fn all_bad_options_are_named_at_once_a_line_each() {
        let error = parse(&[
            "--outbound-port=0",
            "--inbound-port=15021",
            "--proxy-uid=root",
            "--proxy-gid=4294967295",
            "--include-inbound-ports=*,80",
            "--exclude-inbound-ports=90-80",
            "--include-outbound-ports=http",
            "--exclude-outbound-ports=65536",
            "--include-outbound-cidrs=10.0.0.0/33",
            "--exclude-outbound-cidrs=example.com",
            "--backend=ebpf",
        ])
        .expect_err("eleven bad options");
        let expected = [
            ("--outbound-port (REMORA_OUTBOUND_PORT) \"0\"", "from 1 to 65535"),
            ("--inbound-port (REMORA_INBOUND_PORT) \"15021\"", "none of"),
            ("--proxy-uid (REMORA_PROXY_UID) \"root\"", "from 0 to 4294967294"),
            ("--proxy-gid (REMORA_PROXY_GID) \"4294967295\"", "from 0 to 4294967294"),
            ("--include-inbound-ports (REMORA_INCLUDE_INBOUND_PORTS) \"*,80\"", "allowed: *, or ports"),
            ("--exclude-inbound-ports (REMORA_EXCLUDE_INBOUND_PORTS) \"90-80\"", "ends before it begins"),
            ("--include-outbound-ports (REMORA_INCLUDE_OUTBOUND_PORTS) \"http\"", "as in 80,8000-8100"),
            ("--exclude-outbound-ports (REMORA_EXCLUDE_OUTBOUND_PORTS) \"65536\"", "\"65536\" is not a port"),
            (
                "--include-outbound-cidrs (REMORA_INCLUDE_OUTBOUND_CIDRS) \"10.0.0.0/33\"",
                "allowed: *, or IPv4",
            ),
            ("--exclude-outbound-cidrs (REMORA_EXCLUDE_OUTBOUND_CIDRS) \"example.com\"", "not a network"),
            ("--backend (REMORA_REDIRECT_BACKEND) \"ebpf\"", "auto or nft"),
        ];
        assert_eq!(error.lines().count(), expected.len(), "{error}");
        for (beginning, part) in expected {
            let found = error.lines().any(|line| line.starts_with(beginning) && line.contains(part));
            assert!(found, "{beginning} ... {part}\nin\n{error}");
        }
    }

    #[test]
    fn the_two_ports_differ() {
        let error = parse(&["--outbound-port=15006"]).expect_err("the same port");
        assert!(error.contains("it is the inbound port too"), "{error}");
    }
}
