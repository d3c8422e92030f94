//! The command line: what was typed, and its translation into [`Options`](crate::options::Options).
//!
//! clap is told of texts only, so that every bad one can be reported at once rather than the first alone.

mod explain;
mod istio;
mod parse;
mod problem;
mod table;
mod typed;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use crate::options::Flag;

pub use explain::TypedPacket;
pub use problem::{BadOption, BadOptions};
pub use typed::Typed;

/// Sends a pod's TCP to its proxy: installs the redirect rules of this network namespace, for IPv4 and IPv6
///
/// Without a subcommand the rules are installed. A second run with the same options changes nothing; with other
/// options it replaces the rules in one step, and open connections live on.
#[derive(Debug, Parser)]
#[command(name = "init-redirect", version)]
#[command(
    after_help = "Lists of ports: 80,8000-8100. Lists of networks: 10.0.0.0/8,2001:db8::/32. Lists of ids: 1000,2000-2010. Lists of \
interfaces: net1,tap+. Exclusions win over inclusions. Istio's flags and environment variables for its init container are accepted too.\n\n\
Exit codes:
   0  done: proven by packets, as far as the report says
  10  bad input
  20  no usable backend: the message names what the kernel lacks
  21  a capability is missing: the message names it
  22  rules of others would disable ours: the message shows them
  30  the rules could not be installed; everything is as it was
  31  the rules could not be installed, nor could everything be made as it was
  40  a packet landed wrongly; `check` and `diff`: the kernel does not hold these rules"
)]
pub struct Command {
    /// What to do instead of installing the rules.
    #[command(subcommand)]
    pub action: Option<Subaction>,

    /// Which rules.
    #[command(flatten)]
    pub typed: Typed,

    /// Whether packets prove the rules after they are installed
    #[arg(long = Flag::Verify.long(), env = Flag::Verify.env(), value_name = "on|off", global = true,
          default_value = "on", value_parser = BoolishValueParser::new(), action = ArgAction::Set)]
    pub verify: bool,

    /// The same as --verify off
    #[arg(long, global = true)]
    pub no_verify: bool,

    /// Where a JSON report is written; by default the pod's state directory, where there is one
    #[arg(long = Flag::Report.long(), env = Flag::Report.env(), value_name = "FILE", global = true)]
    pub report: Option<PathBuf>,

    /// Where the report is written in at most 4096 bytes, for Kubernetes to show; by default /dev/termination-log, where there
    /// is such a file
    #[arg(long = Flag::TerminationMessage.long(), env = Flag::TerminationMessage.env(), value_name = "FILE", global = true)]
    pub termination_message: Option<PathBuf>,
}

/// What to do instead of installing the rules.
#[derive(Clone, Debug, Subcommand)]
pub enum Subaction {
    /// Print the rules that the options ask for, and touch nothing
    Plan {
        /// How they are printed
        #[arg(long, value_enum, default_value = "text")]
        output: PlanOutput,
    },
    /// Say where a packet would land by the rules that the options ask for, and which rule decides; no packet is sent
    Explain {
        /// Which packet
        #[command(flatten)]
        packet: TypedPacket,
        /// How it is told
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Show what the kernel holds and the options do not ask for, and the other way round, and touch nothing
    Diff {
        /// How it is told
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Tell whether the kernel holds the rules that the options ask for, and touch nothing
    Check {
        /// How it is told
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Remove all rules of ours, whichever backend put them there, and touch nothing else
    Cleanup,
    /// Call an address, and print the number of the error, 0 for none.
    #[command(name = crate::verify::COMMAND, hide = true)]
    Call {
        /// From where.
        source: SocketAddr,
        /// Whom.
        destination: SocketAddr,
    },
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum PlanOutput {
    /// A table for each chain.
    Text,
    /// For programs.
    Json,
    /// For `nft -f`.
    Nft,
    /// For `iptables-restore --noflush` and `ip6tables-restore --noflush`.
    Iptables,
}

/// How something is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Command {
    /// What the process was started with.
    pub fn from_process() -> Result<Self, clap::Error> {
        Self::from_arguments(std::env::args_os())
    }

    /// The same of these arguments, the program's name first. The name of Istio's program may follow it, since pod templates
    /// have it there.
    pub fn from_arguments(
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<Self, clap::Error> {
        let arguments = arguments.into_iter().map(Into::into).enumerate();
        let arguments = arguments.filter(|(index, word)| !(*index == 1 && word == istio::PROGRAM));
        Self::try_parse_from(arguments.map(|(_, word)| word))
    }
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
