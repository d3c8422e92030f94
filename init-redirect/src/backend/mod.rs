//! What puts a plan into the kernel. A backend makes the plan true as a whole or leaves everything as it was, writes nothing
//! where the plan is true already, and touches nothing but what is ours.

mod error;
mod nft;

use std::time::Duration;

use serde::Serialize;

use crate::options::BackendChoice;
use crate::plan::Plan;

pub use error::Error;

/// A way into the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// nftables over netlink.
    Nft,
}

/// A plan that is in the kernel: only [`Backend::apply`] makes one.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Who did it.
    pub backend: Backend,
    /// Whether anything was written; false when the kernel held the plan already.
    pub changed: bool,
    /// How much there is.
    pub counts: Counts,
    /// What took how long, in order.
    pub steps: Vec<(&'static str, Duration)>,
}

/// How much is in the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// Chains.
    pub chains: usize,
    /// Rules of all chains.
    pub rules: usize,
    /// Sets of ports or addresses.
    pub sets: usize,
    /// Ranges of ports or addresses in all sets.
    pub intervals: usize,
}

impl Backend {
    /// The backend that the option asks for. With one backend there is nothing to probe: where the kernel cannot do it,
    /// applying says so.
    pub fn choose(choice: BackendChoice) -> Self {
        match choice {
            BackendChoice::Auto | BackendChoice::Nft => Self::Nft,
        }
    }

    /// Makes the plan true.
    pub fn apply(self, plan: &Plan) -> Result<Applied, Error> {
        match self {
            Self::Nft => nft::apply(plan),
        }
    }
}
