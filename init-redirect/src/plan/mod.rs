//! The plan: every rule that a pod gets, as data, with its reason and the options that caused it.
//!
//! It is a pure function of the [`Options`] and knows no backend: what nftables or iptables make of a rule is theirs. Rules
//! are tried in order and the first that matches decides; where none matches the packet is left alone.

pub mod diff;
mod dns;
pub mod explain;
mod guard;
mod inbound;
mod outbound;
mod print;
mod rule;
mod select;

use std::net::Ipv6Addr;

use serde::Serialize;

use crate::options::{Families, Family, Flag, Options};

pub(crate) use print::conditions;
pub use rule::{Action, Chain, ChainName, Hook, Match, Point, Purpose, Rule};

/// What is to be in the kernel.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Plan {
    /// The chains, each hooked into the kernel by itself.
    pub chains: Vec<Chain>,
    /// The addresses that lo gets, from which the proxy calls the application over IPv6.
    pub sources: Vec<Ipv6Addr>,
}

impl Plan {
    /// The rules that these options ask for.
    pub fn new(options: &Options) -> Self {
        let mut chains = vec![inbound::chain(options), outbound::chain(options), guard::chain(options)];
        if options.hold_until_ready {
            chains.push(guard::hold(options));
        }
        chains.extend(dns::zones(options));
        if let Families::Only(family) = options.families {
            chains.iter_mut().for_each(|chain| chain.rules.insert(0, left_alone(family)));
        }
        let sources = options.families.contains(Family::V6).then(Self::all_sources);
        Self { chains, sources: sources.unwrap_or_default() }
    }

    /// The addresses that lo may get.
    pub fn all_sources() -> Vec<Ipv6Addr> {
        api::pod::INBOUND_SOURCES.map(|last| Ipv6Addr::from(u128::from(last))).collect()
    }

    /// How many rules it has.
    pub fn rules(&self) -> usize {
        self.chains.iter().map(|chain| chain.rules.len()).sum()
    }
}

/// A table has both families: where one is captured the other is passed over.
fn left_alone(captured: Family) -> Rule {
    let other = match captured {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    };
    Rule::always(vec![Match::Family(other)], Action::Leave, "a family that is not captured")
        .because_of(&[Flag::Families])
}
