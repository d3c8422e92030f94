//! The command line: what was typed, and its translation into [`crate::options::Options`].
//!
//! clap is told of texts only, so that every bad one can be reported at once rather than the first alone.

mod parse;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::options::Flag;

pub use parse::{BadOption, BadOptions};

/// Sends a pod's TCP to its proxy: installs the redirect rules of this network namespace, for IPv4 and IPv6
///
/// Without a subcommand the rules are installed. A second run with the same options changes nothing; with other
/// options it replaces the rules in one step, and open connections live on.
#[derive(Debug, Parser)]
#[command(name = "init-redirect", version)]
#[command(
    after_help = "Lists of ports: 80,8000-8100. Lists of networks: 10.0.0.0/8,2001:db8::/32. Exclusions win over inclusions.\n\n\
Exit codes: 0 done, 10 bad input, 20 no usable backend, 21 a capability is missing, 30 the kernel refused the rules."
)]
pub struct Command {
    /// What to do instead of installing the rules.
    #[command(subcommand)]
    pub action: Option<Subaction>,

    /// Which rules.
    #[command(flatten)]
    pub typed: Typed,

    /// Where a JSON report is written; by default the pod's state directory, where there is one
    #[arg(long = Flag::Report.long(), env = Flag::Report.env(), value_name = "FILE", global = true)]
    pub report: Option<PathBuf>,
}

/// What to do instead of installing the rules.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Subaction {
    /// Print the rules that the options ask for, and touch nothing
    Plan {
        /// How they are printed
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Output {
    /// A table for each chain.
    Text,
    /// For programs.
    Json,
}

/// The options, as typed.
#[derive(Args, Clone, Debug)]
pub struct Typed {
    /// Port on which the proxy accepts what the pod sends
    #[arg(long = Flag::OutboundPort.long(), env = Flag::OutboundPort.env(), value_name = "PORT", global = true,
          default_value_t = api::ports::OUTBOUND.to_string())]
    pub outbound_port: String,

    /// Port on which the proxy accepts what is sent to the pod
    #[arg(long = Flag::InboundPort.long(), env = Flag::InboundPort.env(), value_name = "PORT", global = true,
          default_value_t = api::ports::INBOUND.to_string())]
    pub inbound_port: String,

    /// The proxy's user; what it sends as this user and group is not captured
    #[arg(long = Flag::ProxyUid.long(), env = Flag::ProxyUid.env(), value_name = "UID", global = true,
          default_value_t = api::pod::PROXY_UID.to_string())]
    pub proxy_uid: String,

    /// The proxy's group
    #[arg(long = Flag::ProxyGid.long(), env = Flag::ProxyGid.env(), value_name = "GID", global = true,
          default_value_t = api::pod::PROXY_GID.to_string())]
    pub proxy_gid: String,

    /// Inbound ports to capture: `*` or a list
    #[arg(long = Flag::IncludeInboundPorts.long(), env = Flag::IncludeInboundPorts.env(), value_name = "PORTS",
          default_value = "*", global = true)]
    pub include_inbound_ports: String,

    /// Inbound ports to leave alone, besides those that the proxy serves itself
    #[arg(long = Flag::ExcludeInboundPorts.long(), env = Flag::ExcludeInboundPorts.env(), value_name = "PORTS",
          default_value = "", global = true)]
    pub exclude_inbound_ports: String,

    /// Outbound ports to capture whatever the address
    #[arg(long = Flag::IncludeOutboundPorts.long(), env = Flag::IncludeOutboundPorts.env(), value_name = "PORTS",
          default_value = "", global = true)]
    pub include_outbound_ports: String,

    /// Outbound ports to leave alone
    #[arg(long = Flag::ExcludeOutboundPorts.long(), env = Flag::ExcludeOutboundPorts.env(), value_name = "PORTS",
          default_value = "", global = true)]
    pub exclude_outbound_ports: String,

    /// Outbound addresses to capture: `*` or a list
    #[arg(long = Flag::IncludeOutboundCidrs.long(), env = Flag::IncludeOutboundCidrs.env(), value_name = "CIDRS",
          default_value = "*", global = true)]
    pub include_outbound_cidrs: String,

    /// Outbound addresses to leave alone
    #[arg(long = Flag::ExcludeOutboundCidrs.long(), env = Flag::ExcludeOutboundCidrs.env(), value_name = "CIDRS",
          default_value = "", global = true)]
    pub exclude_outbound_cidrs: String,

    /// How rules are installed: auto or nft
    #[arg(long = Flag::Backend.long(), env = Flag::Backend.env(), value_name = "BACKEND", global = true,
          default_value = "auto")]
    pub backend: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Command, Flag};

    #[test]
    fn every_option_has_a_flag_and_an_environment_variable() {
        let command = Command::command();
        for flag in Flag::ALL {
            let mut arguments = command.get_arguments();
            let argument = arguments.find(|argument| argument.get_long() == Some(flag.long()));
            let env = argument.and_then(|argument| argument.get_env()).map(|env| env.to_os_string());
            assert_eq!(env.as_deref(), Some(flag.env().as_ref()), "{flag}");
        }
    }

    #[test]
    fn clap_finds_no_mistake() {
        Command::command().debug_assert();
    }
}
