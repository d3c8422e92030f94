//! The options as `--help` tells them, and their defaults.

use clap::{Arg, ArgAction};

use crate::options::Flag;

/// An option of ours.
pub(super) struct Row {
    pub(super) flag: Flag,
    value: &'static str,
    default: Default,
    help: &'static str,
}

enum Default {
    Text(&'static str),
    Number(u32),
}

const fn row(flag: Flag, value: &'static str, default: &'static str, help: &'static str) -> Row {
    Row { flag, value, default: Default::Text(default), help }
}

const fn number(flag: Flag, value: &'static str, default: u32, help: &'static str) -> Row {
    Row { flag, value, default: Default::Number(default), help }
}

/// All but the report's.
pub(super) const ROWS: [Row; 27] = [
    number(
        Flag::OutboundPort,
        "PORT",
        api::ports::OUTBOUND as u32,
        "Port on which the proxy accepts what the pod sends",
    ),
    number(
        Flag::InboundPort,
        "PORT",
        api::ports::INBOUND as u32,
        "Port on which the proxy accepts what is sent to the pod",
    ),
    number(
        Flag::ProxyUid,
        "UID",
        api::pod::PROXY_UID,
        "The proxy's user; what it sends as this user and group is not captured",
    ),
    number(Flag::ProxyGid, "GID", api::pod::PROXY_GID, "The proxy's group"),
    row(Flag::Families, "FAMILIES", "ipv4,ipv6", "Address families to capture"),
    row(Flag::IncludeInboundPorts, "PORTS", "*", "Inbound ports to capture: `*` or a list"),
    row(
        Flag::ExcludeInboundPorts,
        "PORTS",
        "",
        "Inbound ports to leave alone, besides those that the proxy serves itself",
    ),
    row(Flag::IncludeInboundCidrs, "CIDRS", "*", "Senders whose connections are captured: `*` or a list"),
    row(Flag::ExcludeInboundCidrs, "CIDRS", "", "Senders whose connections are left alone"),
    row(Flag::IncludeOutboundPorts, "PORTS", "", "Outbound ports to capture whatever the address"),
    row(Flag::ExcludeOutboundPorts, "PORTS", "", "Outbound ports to leave alone"),
    row(Flag::IncludeOutboundCidrs, "CIDRS", "*", "Outbound addresses to capture: `*` or a list"),
    row(Flag::ExcludeOutboundCidrs, "CIDRS", "", "Outbound addresses to leave alone"),
    row(Flag::IncludeUids, "UIDS", "*", "Users whose connections are captured: `*` or a list"),
    row(Flag::ExcludeUids, "UIDS", "", "Users whose connections are left alone"),
    row(Flag::IncludeGids, "GIDS", "*", "Groups whose connections are captured: `*` or a list"),
    row(Flag::ExcludeGids, "GIDS", "", "Groups whose connections are left alone"),
    row(
        Flag::IncludeInterfaces,
        "INTERFACES",
        "*",
        "Interfaces on which connections are captured, both ways: `*` or a list",
    ),
    row(
        Flag::ExcludeInterfaces,
        "INTERFACES",
        "",
        "Interfaces on which connections are left alone, both ways",
    ),
    row(
        Flag::VirtualInterfaces,
        "INTERFACES",
        "",
        "Interfaces behind which the pod's own clients are, such as virtual machines: what arrives there counts as sent \
         by the pod",
    ),
    row(Flag::RedirectDns, "BOOL", "false", "Capture DNS of the pod's processes, over UDP and TCP"),
    row(
        Flag::DnsServers,
        "SERVERS",
        "resolv.conf",
        "The servers whose DNS is captured: `resolv.conf` (those of /etc/resolv.conf), `*` or a list of addresses",
    ),
    number(Flag::DnsPort, "PORT", api::ports::DNS as u32, "Port on which the proxy answers DNS"),
    row(
        Flag::DropInvalid,
        "BOOL",
        "true",
        "Drop packets of no known connection where they would have been captured; the pod would answer with a reset",
    ),
    row(
        Flag::CaptureEstablished,
        "BOOL",
        "false",
        "Capture connections that are open already, too, which resets them",
    ),
    row(
        Flag::HoldUntilReady,
        "BOOL",
        "false",
        "Let connections wait for the proxy's listeners instead of refusing them",
    ),
    row(
        Flag::Backend,
        "BACKEND",
        "auto",
        "How rules are installed: auto, nft, iptables-nft or iptables-legacy",
    ),
];

impl Row {
    /// A switch may be typed without a value, and takes one only after `=`, as in Istio's tool.
    const fn is_switch(&self) -> bool {
        matches!(self.value.as_bytes(), b"BOOL")
    }

    /// What holds where nothing is typed.
    pub(super) fn default(&self) -> String {
        match self.default {
            Default::Text(text) => text.to_owned(),
            Default::Number(number) => number.to_string(),
        }
    }

    /// clap is not told of the default, so that it can say whether something was typed.
    fn help(&self) -> String {
        match self.default().as_str() {
            "" => self.help.to_owned(),
            default => format!("{} [default: {default}]", self.help),
        }
    }

    pub(super) fn arg(&self) -> Arg {
        let arg = Arg::new(self.flag.long())
            .long(self.flag.long())
            .env(self.flag.env())
            .value_name(self.value)
            .help(self.help())
            .action(ArgAction::Set)
            .global(true);
        if self.is_switch() { switch(arg) } else { arg }
    }
}

/// An argument whose value may be left out.
pub(super) fn switch(arg: Arg) -> Arg {
    arg.num_args(0..=1).require_equals(true).default_missing_value("true")
}
