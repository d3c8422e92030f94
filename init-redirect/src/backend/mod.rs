//! What puts a plan into the kernel. A backend makes the plan true as a whole or leaves everything as it was, writes nothing
//! where the plan is true already, and touches nothing but what is ours.

//!
//! [`apply`] looks at kernel and image, chooses one, and refuses to work where rules of others would disable ours.

mod detect;
mod error;
mod exec;
mod iptables;
mod lock;
mod nft;
mod seen;
mod sources;

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use self::iptables::{Iptables, Variant};
use self::lock::Lock;
use self::seen::Seen;
use crate::options::{BackendChoice, Family};
use crate::plan::Plan;
use crate::plan::diff::Diff;

pub use error::{Conflict, Error};

/// A way into the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// nftables over netlink.
    Nft,
    /// iptables' programs that speak to nf_tables.
    IptablesNft,
    /// iptables' legacy programs.
    IptablesLegacy,
}

/// A plan that is in the kernel: only [`apply`] makes one.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Who did it.
    pub backend: Backend,
    /// Why this one.
    pub reason: String,
    /// Whether anything was written; false when the kernel held the plan already.
    pub changed: bool,
    /// The address families that the rules hold for. IPv6 is missing only where the kernel has none of it.
    pub families: Vec<Family>,
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

/// How cleaning up went in each backend that held rules of ours.
pub type Cleaned = Vec<(Backend, Result<(), Error>)>;

/// What a backend itself knows of its work.
struct Written {
    changed: bool,
    counts: Counts,
    steps: Vec<(&'static str, Duration)>,
}

/// Makes the plan true, by the backend that is asked for or fits best.
pub fn apply(asked: BackendChoice, plan: &Plan) -> Result<Applied, Error> {
    let _lock = Lock::take()?;
    let begun = Instant::now();
    let placed = sources::put(plan)?;
    let step = ("addresses", begun.elapsed());
    let mut applied = install(asked, plan).inspect_err(|_| {
        // An address that stays does nobody harm; the error is what counts.
        let _ = if placed { sources::remove() } else { Ok(false) };
    })?;
    applied.changed |= placed;
    applied.steps.insert(0, step);
    Ok(applied)
}

fn install(asked: BackendChoice, plan: &Plan) -> Result<Applied, Error> {
    let seen = Seen::look()?;
    let mut lacking = String::new();
    let mut failed = None;
    for detect::Candidate { backend, reason } in detect::candidates(asked, seen.facts())? {
        let conflicts = seen.conflicts(backend);
        if !conflicts.is_empty() {
            return Err(Error::Conflict(conflicts));
        }
        match backend.write(plan, &seen) {
            Ok(Written { changed, counts, steps }) => {
                let reason = reason + &lacking;
                let families = iptables::families(plan);
                return Ok(Applied { backend, reason, changed, families, counts, steps });
            }
            // Probing tells of the great parts alone; a kernel may lack a small one.
            Err(error @ Error::ModuleMissing { .. }) => {
                lacking.push_str(&format!("; not {backend}: {error}"));
                failed = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(failed.unwrap_or(Error::NoBackend { reasons: "none was found".to_owned() }))
}

/// The backend that holds rules of ours.
pub fn holder() -> Result<Option<Backend>, Error> {
    match Seen::look()?.facts().holder {
        None => Ok(Seen::look_closely()?.facts().holder),
        found => Ok(found),
    }
}

/// What has to change in the kernel so that the plan is true, and the backend that holds rules of ours. Where none does,
/// everything is missing, in nft's terms.
pub fn compare(plan: &Plan) -> Result<(Option<Backend>, Diff), Error> {
    let holder = holder()?;
    let [mut held, mut planned] = match holder {
        None | Some(Backend::Nft) => nft::compare(plan)?,
        Some(Backend::IptablesNft) => Iptables::new(Variant::Nft).compare(plan)?,
        Some(Backend::IptablesLegacy) => Iptables::new(Variant::Legacy).compare(plan)?,
    };
    let [held_sources, planned_sources] = sources::compare(plan)?;
    held.extend(held_sources);
    planned.extend(planned_sources);
    Ok((holder, Diff::new(&held, &planned)))
}

/// Takes everything of ours out of every backend that holds some, and goes on past errors.
pub fn clean() -> Result<Cleaned, Error> {
    let _lock = Lock::take()?;
    let removed = sources::remove();
    let cleaned = Seen::look_closely()?.clean();
    removed.map(|_| cleaned)
}

impl Backend {
    /// Whether the plan is in the kernel as it would be written.
    pub fn holds(self, plan: &Plan) -> Result<bool, Error> {
        Ok(sources::hold(plan)? && self.holds_rules(plan)?)
    }

    fn holds_rules(self, plan: &Plan) -> Result<bool, Error> {
        match self {
            Self::Nft => nft::holds(plan),
            Self::IptablesNft => Iptables::new(Variant::Nft).holds(plan),
            Self::IptablesLegacy => Iptables::new(Variant::Legacy).holds(plan),
        }
    }

    fn write(self, plan: &Plan, seen: &Seen) -> Result<Written, Error> {
        match self {
            Self::Nft => nft::apply(plan),
            Self::IptablesNft => Iptables::new(Variant::Nft).apply(plan, seen.iptables_nft_is_empty()),
            Self::IptablesLegacy => {
                Iptables::new(Variant::Legacy).apply(plan, seen.iptables_legacy_is_empty())
            }
        }
    }
}

impl Plan {
    /// The plan as a text for `nft -f`.
    pub fn to_nft(&self) -> String {
        nft::text(self)
    }

    /// The plan as a text for `iptables-restore --noflush` and `ip6tables-restore --noflush`.
    pub fn to_iptables(&self) -> String {
        iptables::text(self)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nft => "nft",
            Self::IptablesNft => "iptables-nft",
            Self::IptablesLegacy => "iptables-legacy",
        })
    }
}
