//! The keys: every annotation that is read, with who may set it, its allowed form, what it does and how it is parsed. Parsing,
//! warnings, the README's table and `explain` derive from these tables, so a key is in all of them or in none.
//!
//! It also knows the keys of Istio and Linkerd that have no effect here, with the reason, so that nobody waits for one.

mod istio;
mod linkerd;
mod own;

use std::sync::LazyLock;

use super::draft::Key;
use super::suggestion::suggestion;
use super::{proxy_config, quoted};

/// All keys, in the order of the README.
pub(super) fn keys() -> impl Iterator<Item = &'static Key> {
    [istio::KEYS, own::KEYS, linkerd::KEYS].into_iter().flatten()
}

/// Every name, sorted.
static NAMES: LazyLock<Vec<(&'static str, &'static Key)>> = LazyLock::new(|| {
    let mut names: Vec<_> = keys()
        .flat_map(|key| {
            std::iter::once(key.name).chain(key.also.iter().copied()).map(move |name| (name, key))
        })
        .collect();
    names.sort_unstable_by_key(|(name, _)| *name);
    names
});

/// Prefixes under which every key is known, or told to be unknown.
const FAMILIES: [&str; 11] = [
    "traffic.sidecar.istio.io/",
    "sidecar.istio.io/",
    "status.sidecar.istio.io/",
    "readiness.status.sidecar.istio.io/",
    "proxy.istio.io/",
    "prometheus.istio.io/",
    "inject.istio.io/",
    "config.linkerd.io/",
    "config.alpha.linkerd.io/",
    "config.beta.linkerd.io/",
    api::annotations::OWN_PREFIX,
];

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    let place = NAMES.binary_search_by_key(&name, |(known, _)| known).ok()?;
    NAMES.get(place).map(|(_, key)| *key)
}

/// Whether a name that is no key looks as if it were one.
pub(super) fn is_ours(name: &str) -> bool {
    FAMILIES.iter().any(|family| name.starts_with(family))
}

/// Who wins where two keys of one source say the same thing: ours, then Istio's, then Linkerd's, then the fields of Istio's
/// proxy configuration, which are the least specific.
pub(super) fn rank(name: &str) -> u8 {
    if name.starts_with(api::annotations::OWN_PREFIX) {
        4
    } else if name.starts_with(proxy_config::NAME) {
        1
    } else if name.contains("linkerd.io/") {
        2
    } else {
        3
    }
}

/// What is said about a name that is no key: what was meant, where that can be guessed.
pub(super) fn unknown(name: &str) -> String {
    let meant = suggestion(name, NAMES.iter().map(|(known, _)| *known));
    let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    format!("{} is not known to this version and has no effect{meant}", quoted(name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::draft::Class;
    use super::{NAMES, find, is_ours, keys, suggestion, unknown};

    #[test]
    fn every_name_is_there_once_and_belongs_to_a_family() {
        let names: BTreeSet<_> = NAMES.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), NAMES.len());
        for (name, key) in NAMES.iter() {
            assert!(find(name).is_some_and(|found| found.name == key.name), "{name}");
            let special = name.starts_with("istio.io/");
            assert!(special || is_ours(name), "{name}");
        }
    }

    #[test]
    fn every_key_says_what_it_takes_and_does() {
        for key in keys() {
            assert!(!key.effect.is_empty() && !key.effect.ends_with('.'), "{}", key.name);
            let takes = !matches!(key.class, Class::WithoutEffect | Class::Selection | Class::Written);
            assert_eq!(takes, !key.form.is_empty(), "{}", key.name);
        }
    }

    #[test]
    fn slips_are_recognized() {
        for (slip, meant) in [
            ("sidecar.istio.io/proxyCpu", "sidecar.istio.io/proxyCPU"),
            ("sidecar.istio.io/proxyMemoryLimits", "sidecar.istio.io/proxyMemoryLimit"),
            ("sidecar.istio.io/excludeOutboundPorts", "traffic.sidecar.istio.io/excludeOutboundPorts"),
            (
                "traffic.sidecar.istio.io/excludeOutboundIpRange",
                "traffic.sidecar.istio.io/excludeOutboundIPRanges",
            ),
            ("config.linkerd.io/skip-outbound-port", "config.linkerd.io/skip-outbound-ports"),
            ("config.linkerd.io/proxy-cpu-requests", "config.linkerd.io/proxy-cpu-request"),
            ("remora.dev/dnscapture", "remora.dev/dns-capture"),
        ] {
            assert!(find(slip).is_none() && is_ours(slip), "{slip}");
            assert!(unknown(slip).ends_with(&format!("did you mean {meant}?")), "{}", unknown(slip));
        }
    }

    #[test]
    fn what_resembles_nothing_is_only_told() {
        let names = || NAMES.iter().map(|(name, _)| *name);
        let long = format!("remora.dev/{}", "x".repeat(70_000));
        for name in ["remora.dev/colour", "remora.dev/", "", "/", &long] {
            assert_eq!(suggestion(name, names()), None, "{:.40}", name);
        }
        let told = unknown("remora.dev/a\nb");
        assert!(!told.contains('\n') && told.contains("no effect"), "{told}");
    }
}
