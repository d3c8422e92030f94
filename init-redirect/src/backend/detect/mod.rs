//! Which backend: a table of decisions over what was seen of kernel and image. Pure.
//!
//! What the kernel answers counts, not which programs an image happens to have: rules that go to a part of the kernel that
//! nothing else uses are rules all the same.

use super::{Backend, Error};
use crate::options::BackendChoice;

/// What was seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Facts {
    /// The kernel answers for nf_tables.
    pub(super) nf_tables: bool,
    /// Its nf_tables takes iptables' matches and targets.
    pub(super) compat: bool,
    /// The programs of iptables-nft are installed.
    pub(super) nft_programs: bool,
    /// The kernel has legacy iptables.
    pub(super) legacy_tables: bool,
    /// The legacy programs are installed.
    pub(super) legacy_programs: bool,
    /// NET_RAW was granted.
    pub(super) net_raw: bool,
    /// Where rules of ours are.
    pub(super) holder: Option<Backend>,
}

/// A backend that can be tried, and why it is this one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Candidate {
    pub(super) backend: Backend,
    pub(super) reason: String,
}

/// The backends to try, in order; the next only where the kernel lacks something that one needs.
pub(super) fn candidates(asked: BackendChoice, facts: Facts) -> Result<Vec<Candidate>, Error> {
    let asked = match asked {
        BackendChoice::Auto => return automatic(facts),
        BackendChoice::Nft => Backend::Nft,
        BackendChoice::IptablesNft => Backend::IptablesNft,
        BackendChoice::IptablesLegacy => Backend::IptablesLegacy,
    };
    facts.usable(asked)?;
    Ok(vec![Candidate { backend: asked, reason: "it was asked for".to_owned() }])
}

fn automatic(facts: Facts) -> Result<Vec<Candidate>, Error> {
    let (mut found, mut passed_over) = (Vec::new(), Vec::new());
    let order = [Backend::Nft, Backend::IptablesNft, Backend::IptablesLegacy];
    let rest = order.into_iter().filter(|backend| Some(*backend) != facts.holder);
    for backend in facts.holder.into_iter().chain(rest) {
        match facts.usable(backend) {
            Ok(()) => {
                let because =
                    if facts.holder == Some(backend) { "it holds our rules" } else { backend.probed() };
                let instead = passed_over.iter().map(|(backend, error)| format!("; not {backend}: {error}"));
                let reason = because.to_owned() + &instead.collect::<String>();
                found.push(Candidate { backend, reason });
            }
            Err(error) => passed_over.push((backend, error)),
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    // What a pod's author can grant is worth more than the list.
    if passed_over.iter().any(|(_, error)| *error == Error::NetRawMissing) {
        return Err(Error::NetRawMissing);
    }
    let reasons = passed_over.iter().map(|(backend, error)| format!("{backend}: {error}"));
    Err(Error::NoBackend { reasons: reasons.collect::<Vec<_>>().join("; ") })
}

impl Facts {
    /// Whether a backend can work here, or what it lacks.
    fn usable(self, backend: Backend) -> Result<(), Error> {
        let module = |modules: &str| Err(Error::ModuleMissing { modules: modules.to_owned() });
        let program = |program: &str| Err(Error::ProgramMissing { program: program.to_owned() });
        match backend {
            Backend::Nft | Backend::IptablesNft if !self.nf_tables => module("nf_tables"),
            Backend::IptablesNft if !self.compat => module("nft_compat"),
            Backend::IptablesNft if !self.nft_programs => program("iptables-nft-restore"),
            Backend::IptablesLegacy if !self.legacy_tables => module("ip_tables ip6_tables"),
            Backend::IptablesLegacy if !self.legacy_programs => program("iptables-legacy-restore"),
            Backend::IptablesLegacy if !self.net_raw => Err(Error::NetRawMissing),
            Backend::Nft | Backend::IptablesNft | Backend::IptablesLegacy => Ok(()),
        }
    }
}

impl Backend {
    const fn probed(self) -> &'static str {
        match self {
            Self::Nft => "the kernel answers for nf_tables",
            Self::IptablesNft => "the kernel's nf_tables takes iptables' rules",
            Self::IptablesLegacy => "the kernel has legacy iptables",
        }
    }
}

#[cfg(test)]
mod tests;
