//! The decisions, row by row.

use super::{Facts, candidates};
use crate::backend::{Backend, Error};
use crate::options::BackendChoice;

/// A kernel and an image that have everything, and a pod that was granted all.
const ALL: Facts = Facts {
    nf_tables: true,
    compat: true,
    nft_programs: true,
    legacy_tables: true,
    legacy_programs: true,
    net_raw: true,
    holder: None,
};

fn chosen(asked: BackendChoice, facts: Facts) -> Result<Vec<Backend>, &'static str> {
    let candidates = candidates(asked, facts).map_err(|error| error.reason())?;
    assert!(candidates.iter().all(|candidate| !candidate.reason.is_empty()));
    Ok(candidates.into_iter().map(|candidate| candidate.backend).collect())
}

#[test]
fn auto_takes_what_the_kernel_can_do_in_this_order() {
    use Backend::{IptablesLegacy, IptablesNft, Nft};
    for (facts, expected) in [
        (ALL, Ok(vec![Nft, IptablesNft, IptablesLegacy])),
        (Facts { nf_tables: false, compat: false, ..ALL }, Ok(vec![IptablesLegacy])),
        (Facts { compat: false, ..ALL }, Ok(vec![Nft, IptablesLegacy])),
        (Facts { nft_programs: false, legacy_programs: false, ..ALL }, Ok(vec![Nft])),
        (Facts { legacy_tables: false, ..ALL }, Ok(vec![Nft, IptablesNft])),
        (Facts { net_raw: false, ..ALL }, Ok(vec![Nft, IptablesNft])),
        (Facts { holder: Some(IptablesLegacy), ..ALL }, Ok(vec![IptablesLegacy, Nft, IptablesNft])),
        (Facts { holder: Some(IptablesNft), ..ALL }, Ok(vec![IptablesNft, Nft, IptablesLegacy])),
        (Facts { holder: Some(IptablesLegacy), net_raw: false, ..ALL }, Ok(vec![Nft, IptablesNft])),
        (Facts { nf_tables: false, net_raw: false, ..ALL }, Err("not-permitted")),
        (Facts { nf_tables: false, legacy_tables: false, ..ALL }, Err("no-backend")),
        (Facts { nf_tables: false, legacy_programs: false, ..ALL }, Err("no-backend")),
    ] {
        assert_eq!(chosen(BackendChoice::Auto, facts), expected, "{facts:?}");
    }
}

#[test]
fn what_is_asked_for_is_taken_or_its_lack_is_named() {
    use BackendChoice::{IptablesLegacy, IptablesNft, Nft};
    for (asked, facts, expected) in [
        (Nft, ALL, Ok(vec![Backend::Nft])),
        (Nft, Facts { nf_tables: false, ..ALL }, Err("module-missing")),
        (IptablesNft, ALL, Ok(vec![Backend::IptablesNft])),
        (IptablesNft, Facts { nf_tables: false, ..ALL }, Err("module-missing")),
        (IptablesNft, Facts { compat: false, ..ALL }, Err("module-missing")),
        (IptablesNft, Facts { nft_programs: false, ..ALL }, Err("program-missing")),
        (IptablesLegacy, ALL, Ok(vec![Backend::IptablesLegacy])),
        (IptablesLegacy, Facts { legacy_tables: false, ..ALL }, Err("module-missing")),
        (IptablesLegacy, Facts { legacy_programs: false, ..ALL }, Err("program-missing")),
        (IptablesLegacy, Facts { net_raw: false, ..ALL }, Err("not-permitted")),
        // Others' rules of ours are a conflict, which is found later.
        (Nft, Facts { holder: Some(Backend::IptablesLegacy), ..ALL }, Ok(vec![Backend::Nft])),
    ] {
        assert_eq!(chosen(asked, facts), expected, "{asked:?} {facts:?}");
    }
}

#[test]
fn where_nothing_works_each_lack_and_each_remedy_is_named() {
    let facts = Facts { nf_tables: false, legacy_programs: false, nft_programs: false, ..ALL };
    let error = candidates(BackendChoice::Auto, facts).expect_err("nothing works");
    assert_eq!(error.exit_code(), 20);
    let text = error.to_string();
    for part in ["nft: ", "iptables-nft: ", "iptables-legacy: ", "modprobe", api::pod::INIT_IPTABLES_IMAGE] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_reason_says_what_was_passed_over() {
    let facts = Facts { nf_tables: false, ..ALL };
    let first = candidates(BackendChoice::Auto, facts).map(|candidates| candidates.into_iter().next());
    let reason = first.ok().flatten().map(|candidate| candidate.reason).unwrap_or_default();
    assert!(
        reason.contains("legacy") && reason.contains("not nft: this kernel has no nf_tables"),
        "{reason}"
    );
    assert_eq!(Error::NetRawMissing.exit_code(), 21);
}
