//! What is to be seen of kernel and image before anything is written: which backends can work, and what others have there.

use super::detect::Facts;
use super::iptables::{Iptables, Variant};
use super::{Backend, Cleaned, Conflict, Error, nft};
use crate::capability;

/// What was seen.
pub(super) struct Seen {
    /// Nothing where the kernel has no nf_tables.
    nf_tables: Option<nft::Survey>,
    /// Nothing where the kernel has no legacy tables, or they cannot be read here.
    legacy: Option<Legacy>,
    facts: Facts,
}

/// What legacy iptables holds.
struct Legacy {
    /// There is not even a table.
    empty: bool,
    conflicts: Vec<Conflict>,
    ours: bool,
}

impl Seen {
    /// What can be seen without a trace.
    pub(super) fn look() -> Result<Self, Error> {
        Self::look_at(false)
    }

    /// The same, and legacy tables although we may not see which there are: reading one makes it, empty, where it is not.
    pub(super) fn look_closely() -> Result<Self, Error> {
        Self::look_at(true)
    }

    fn look_at(closely: bool) -> Result<Self, Error> {
        let nf_tables = match nft::survey() {
            Err(Error::ModuleMissing { .. }) => None,
            other => Some(other?),
        };
        let (by_nft, by_legacy) = (Iptables::new(Variant::Nft), Iptables::new(Variant::Legacy));
        let legacy_tables = by_legacy.kernel_has_legacy();
        let legacy_programs = by_legacy.installed();
        let mut seen = Self { nf_tables, legacy: None, facts: Facts::default() };
        if legacy_tables {
            let readable = legacy_programs && capability::has_net_raw();
            seen.legacy = Legacy::look(&by_legacy, readable, closely)?;
        }
        seen.facts = Facts {
            nf_tables: seen.nf_tables.is_some(),
            compat: seen.nf_tables.is_some() && nft::compat(),
            nft_programs: by_nft.installed(),
            legacy_tables,
            legacy_programs,
            net_raw: capability::has_net_raw(),
            holder: seen.holder(),
        };
        Ok(seen)
    }

    pub(super) fn facts(&self) -> Facts {
        self.facts
    }

    fn holder(&self) -> Option<Backend> {
        self.holders().next()
    }

    /// Every backend that holds rules of ours.
    fn holders(&self) -> impl Iterator<Item = Backend> {
        let nf_tables = self.nf_tables.as_ref();
        let by_nft = nf_tables.filter(|survey| survey.has_our_table()).map(|_| Backend::Nft);
        let by_iptables =
            nf_tables.filter(|survey| survey.has_ours_by_iptables()).map(|_| Backend::IptablesNft);
        let by_legacy = self.legacy.as_ref().filter(|legacy| legacy.ours).map(|_| Backend::IptablesLegacy);
        by_nft.into_iter().chain(by_iptables).chain(by_legacy)
    }

    /// What would disable the rules of a backend. What others have in tables that it shares with them is left to it.
    pub(super) fn conflicts(&self, backend: Backend) -> Vec<Conflict> {
        let mut found: Vec<Conflict> =
            self.holders().filter(|holder| *holder != backend).map(ours_elsewhere).collect();
        let shares = backend == Backend::IptablesNft;
        found.extend(self.nf_tables.iter().flat_map(|survey| survey.conflicts(shares)));
        if let Some(legacy) = self.legacy.as_ref().filter(|_| backend != Backend::IptablesLegacy) {
            found.extend(legacy.conflicts.clone());
        }
        found
    }

    pub(super) fn iptables_nft_is_empty(&self) -> bool {
        self.nf_tables.as_ref().is_some_and(nft::Survey::iptables_is_empty)
    }

    pub(super) fn iptables_legacy_is_empty(&self) -> bool {
        self.legacy.as_ref().is_some_and(|legacy| legacy.empty)
    }

    pub(super) fn clean(&self) -> Cleaned {
        let clean = |holder| match holder {
            Backend::Nft => nft::clean(),
            Backend::IptablesNft => Iptables::new(Variant::Nft).clean(),
            Backend::IptablesLegacy => Iptables::new(Variant::Legacy).clean(),
        };
        self.holders().map(|holder| (holder, clean(holder))).collect()
    }
}

impl Legacy {
    /// Without the programs nothing can be said of tables that exist; rules of ours are not among them, since only these
    /// programs put any there.
    fn look(iptables: &Iptables, readable: bool, closely: bool) -> Result<Option<Self>, Error> {
        match iptables.legacy_is_empty() {
            Some(true) => Ok(Some(Self { empty: true, conflicts: Vec::new(), ours: false })),
            other if readable && (closely || other.is_some()) => {
                let (conflicts, ours) = iptables.survey()?;
                Ok(Some(Self { empty: false, conflicts, ours }))
            }
            _ => Ok(None),
        }
    }
}

fn ours_elsewhere(holder: Backend) -> Conflict {
    Conflict {
        place: holder.to_string(),
        rule: "rules of ours, from an earlier run".to_owned(),
        effect: "whichever came first decides; `init-redirect cleanup` removes them",
    }
}
