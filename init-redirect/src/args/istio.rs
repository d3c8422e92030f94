//! Istio's names for our options: its long and short flags and its environment variables, so that a pod template written for
//! its init container works with ours. What Istio has and we cannot do is refused with the reason; what only steers how Istio
//! works is taken without effect.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::table;
use crate::options::Flag;

/// What an argument of Istio's means to us.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    /// Our option of the same meaning.
    Is(Flag),
    /// A switch that gives our option this value where it is on.
    On(Flag, &'static str),
    /// A further inbound port that is left alone.
    Tunnel,
    /// How packets are brought to the proxy.
    Mode,
    /// The name of a user that is the proxy's.
    User,
    /// `nft` or `legacy`.
    Binary,
    /// Nothing: it does not change which rules there are.
    Nothing,
    /// Not to be had, unless it is off; the remedy.
    Never(&'static str),
}

/// An argument of Istio's.
pub(super) struct Alias {
    pub(super) meaning: Meaning,
    short: Option<char>,
    long: &'static str,
    env: &'static str,
    switch: bool,
}

const fn valued(short: Option<char>, long: &'static str, env: &'static str, meaning: Meaning) -> Alias {
    Alias { meaning, short, long, env, switch: false }
}

const fn switch(short: Option<char>, long: &'static str, env: &'static str, meaning: Meaning) -> Alias {
    Alias { meaning, short, long, env, switch: true }
}

/// Where Istio's long name is ours already the alias has none.
pub(super) const ALIASES: [Alias; 43] = [
    valued(Some('p'), "envoy-port", "ENVOY_PORT", Meaning::Is(Flag::OutboundPort)),
    valued(Some('z'), "inbound-capture-port", "INBOUND_CAPTURE_PORT", Meaning::Is(Flag::InboundPort)),
    valued(Some('e'), "inbound-tunnel-port", "INBOUND_TUNNEL_PORT", Meaning::Tunnel),
    valued(Some('u'), "", "PROXY_UID", Meaning::Is(Flag::ProxyUid)),
    valued(Some('g'), "", "PROXY_GID", Meaning::Is(Flag::ProxyGid)),
    valued(Some('m'), "istio-inbound-interception-mode", "ISTIO_INBOUND_INTERCEPTION_MODE", Meaning::Mode),
    valued(Some('b'), "istio-inbound-ports", "ISTIO_INBOUND_PORTS", Meaning::Is(Flag::IncludeInboundPorts)),
    valued(
        Some('d'),
        "istio-local-exclude-ports",
        "ISTIO_LOCAL_EXCLUDE_PORTS",
        Meaning::Is(Flag::ExcludeInboundPorts),
    ),
    valued(
        Some('c'),
        "istio-exclude-interfaces",
        "ISTIO_EXCLUDE_INTERFACES",
        Meaning::Is(Flag::ExcludeInterfaces),
    ),
    valued(Some('i'), "istio-service-cidr", "ISTIO_SERVICE_CIDR", Meaning::Is(Flag::IncludeOutboundCidrs)),
    valued(
        Some('x'),
        "istio-service-exclude-cidr",
        "ISTIO_SERVICE_EXCLUDE_CIDR",
        Meaning::Is(Flag::ExcludeOutboundCidrs),
    ),
    valued(
        Some('q'),
        "istio-outbound-ports",
        "ISTIO_OUTBOUND_PORTS",
        Meaning::Is(Flag::IncludeOutboundPorts),
    ),
    valued(
        Some('o'),
        "istio-local-outbound-ports-exclude",
        "ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE",
        Meaning::Is(Flag::ExcludeOutboundPorts),
    ),
    valued(Some('k'), "kube-virt-interfaces", "KUBE_VIRT_INTERFACES", Meaning::Is(Flag::VirtualInterfaces)),
    valued(
        None,
        "istio-outbound-owner-groups",
        "ISTIO_OUTBOUND_OWNER_GROUPS",
        Meaning::Is(Flag::IncludeGids),
    ),
    valued(
        None,
        "istio-outbound-owner-groups-exclude",
        "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE",
        Meaning::Is(Flag::ExcludeGids),
    ),
    switch(None, "istio-redirect-dns", "REDIRECT_DNS", Meaning::Is(Flag::RedirectDns)),
    switch(None, "istio-meta-dns-capture", "ISTIO_META_DNS_CAPTURE", Meaning::Is(Flag::RedirectDns)),
    switch(None, "capture-all-dns", "CAPTURE_ALL_DNS", Meaning::On(Flag::DnsServers, "*")),
    switch(None, "istio-drop-invalid", "DROP_INVALID", Meaning::Is(Flag::DropInvalid)),
    switch(None, "invalid-drop", "INVALID_DROP", Meaning::Is(Flag::DropInvalid)),
    switch(None, "native-nftables", "NATIVE_NFTABLES", Meaning::On(Flag::Backend, "nft")),
    valued(None, "force-iptables-binary", "FORCE_IPTABLES_BINARY", Meaning::Binary),
    valued(None, "envoy-user", "ENVOY_USER", Meaning::User),
    switch(
        None,
        "skip-rule-apply",
        "SKIP_RULE_APPLY",
        Meaning::Never("`init-redirect check` verifies rules that are there"),
    ),
    switch(None, "cleanup-only", "CLEANUP_ONLY", Meaning::Never("`init-redirect cleanup` removes the rules")),
    switch(Some('n'), "dry-run", "DRY_RUN", Meaning::Never("`init-redirect plan` prints the rules")),
    switch(
        None,
        "cni-mode",
        "CNI_MODE",
        Meaning::Never("it runs in the pod: leave the container out where a CNI plugin installs the rules"),
    ),
    valued(
        None,
        "network-namespace",
        "NETWORK_NAMESPACE",
        Meaning::Never(
            "it changes the network namespace that it runs in: start it there, for example by nsenter",
        ),
    ),
    valued(Some('t'), "istio-inbound-tproxy-mark", "ISTIO_INBOUND_TPROXY_MARK", Meaning::Nothing),
    valued(
        Some('r'),
        "istio-inbound-tproxy-route-table",
        "ISTIO_INBOUND_TPROXY_ROUTE_TABLE",
        Meaning::Nothing,
    ),
    valued(None, "istio-outbound-ipv4-loopback-cidr", "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", Meaning::Nothing),
    switch(None, "dual-stack", "DUAL_STACK", Meaning::Nothing),
    switch(None, "istio-dual-stack", "ISTIO_DUAL_STACK", Meaning::Nothing),
    switch(None, "run-validation", "RUN_VALIDATION", Meaning::Nothing),
    valued(None, "iptables-probe-port", "IPTABLES_PROBE_PORT", Meaning::Nothing),
    valued(None, "probe-timeout", "PROBE_TIMEOUT", Meaning::Nothing),
    switch(None, "reconcile", "RECONCILE", Meaning::Nothing),
    switch(None, "force-apply", "FORCE_APPLY", Meaning::Nothing),
    switch(None, "iptables-trace-logging", "IPTABLES_TRACE_LOGGING", Meaning::Nothing),
    switch(Some('f'), "restore-format", "RESTORE_FORMAT", Meaning::Nothing),
    switch(None, "host-nsenter-exec", "HOST_NSENTER_EXEC", Meaning::Nothing),
    valued(None, "log_output_level", "LOG_OUTPUT_LEVEL", Meaning::Nothing),
];

/// The word before its arguments in Istio's pod template: its image holds several programs in one.
pub(super) const PROGRAM: &str = "istio-iptables";

impl Alias {
    fn arg(&self) -> Arg {
        let mut arg = Arg::new(self.env).env(self.env).action(ArgAction::Set).value_name("VALUE");
        if !self.long.is_empty() {
            arg = arg.long(self.long);
        }
        if let Some(short) = self.short {
            arg = arg.short(short);
        }
        arg = arg.hide(true);
        if self.switch { table::switch(arg) } else { arg }
    }

    /// What was typed for it. To Istio an empty variable is none, and so is an empty flag of what is no list.
    pub(super) fn typed(&self, matches: &ArgMatches) -> Option<String> {
        let variable = matches.value_source(self.env) == Some(ValueSource::EnvVariable);
        let list = matches!(self.meaning, Meaning::Is(flag) if !Self::SINGLE.contains(&flag));
        matches
            .get_one::<String>(self.env)
            .filter(|text| !text.trim().is_empty() || list && !variable)
            .cloned()
    }

    const SINGLE: [Flag; 4] = [Flag::OutboundPort, Flag::InboundPort, Flag::ProxyUid, Flag::ProxyGid];

    /// Flags and variable, as a person would look for them.
    pub(super) fn name(&self) -> String {
        let long = (!self.long.is_empty()).then(|| format!("--{}", self.long));
        let short = self.short.map(|short| format!("-{short}"));
        let flags: Vec<String> = short.into_iter().chain(long).collect();
        format!("{} ({})", flags.join(", "), self.env)
    }
}

/// The command with Istio's arguments.
pub(super) fn augment(command: Command) -> Command {
    command.args(ALIASES.iter().map(Alias::arg))
}
