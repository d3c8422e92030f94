//! The plan: every rule that a pod gets, as data, with its reason and the options that caused it.
//!
//! It is a pure function of the [`Options`] and knows no backend: what nftables or iptables make of a rule is theirs. Rules
//! are tried in order and the first that matches decides; where none matches the packet is left alone.

mod guard;
mod inbound;
mod outbound;
mod print;
mod rule;

use serde::Serialize;

use crate::options::Options;

pub use rule::{Action, Chain, ChainName, Hook, Match, Point, Purpose, Rule};

/// What is to be in the kernel.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Plan {
    /// The chains, each hooked into the kernel by itself.
    pub chains: Vec<Chain>,
}

impl Plan {
    /// The rules that these options ask for, for IPv4 and IPv6 alike.
    pub fn new(options: &Options) -> Self {
        Self { chains: vec![inbound::chain(options), outbound::chain(options), guard::chain(options)] }
    }

    /// How many rules it has.
    pub fn rules(&self) -> usize {
        self.chains.iter().map(|chain| chain.rules.len()).sum()
    }
}
