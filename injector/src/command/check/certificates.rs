//! The authority and the bundle by which the API server verifies the webhook: there, in their time, and the same.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use super::super::selection::Entry;
use super::Check;
use super::seen::Seen;

const BUNDLE: &str = "ca-bundle";
const AUTHORITY: &str = "authority";

/// An authority that ends sooner should have been replaced long ago.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

pub(super) fn checks(seen: &Seen) -> Vec<Check> {
    let Ok(Some(configuration)) = seen.configuration() else { return Vec::new() };
    let bundles: Vec<(&str, Vec<u8>)> =
        Entry::all(configuration).map(|entry| (entry.name(), bundle(entry))).collect();
    vec![published(&bundles, seen.now), authority(seen, &bundles)]
}

fn bundle(entry: Entry<'_>) -> Vec<u8> {
    STANDARD.decode(entry.text("/clientConfig/caBundle")).unwrap_or_default()
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

/// When a certificate is valid.
struct Times {
    begin: SystemTime,
    end: SystemTime,
}

impl Times {
    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let time = |time: ASN1Time| SystemTime::from(time.to_datetime());
        Some(Self { begin: time(parsed.validity().not_before), end: time(parsed.validity().not_after) })
    }

    fn contains(&self, now: SystemTime) -> bool {
        self.begin <= now && now < self.end
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = humantime::format_rfc3339_seconds;
        write!(f, "{} until {}", text(self.begin), text(self.end))
    }
}

fn published(bundles: &[(&str, Vec<u8>)], now: SystemTime) -> Check {
    let publish = "see that the injector runs: it publishes the bundle within seconds (kubectl -n remora-system logs deployment/remora-injector)";
    let empty: Vec<&str> =
        bundles.iter().filter(|(_, pem)| certificates(pem).is_empty()).map(|(name, _)| *name).collect();
    if !empty.is_empty() {
        return Check::fail(
            BUNDLE,
            format!("no certificate in caBundle of {}: every call fails", empty.join(", ")),
            publish,
        );
    }
    let Some((first, rest)) = bundles.split_first() else {
        return Check::fail(
            BUNDLE,
            "the webhook configuration has no entries",
            "injector export webhook | kubectl apply -f -",
        );
    };
    if rest.iter().any(|(_, pem)| *pem != first.1) {
        return Check::warn(BUNDLE, "the entries have different bundles", publish);
    }
    let times = certificates(&first.1);
    let valid: Vec<Times> = times.iter().filter_map(Times::of).filter(|times| times.contains(now)).collect();
    match valid.iter().map(|times| times.end).max() {
        Some(end) => {
            let found = format!(
                "valid authorities: {}, the last until {}",
                valid.len(),
                humantime::format_rfc3339_seconds(end)
            );
            if end < now + SOON { Check::warn(BUNDLE, found, publish) } else { Check::ok(BUNDLE, found) }
        }
        None => {
            Check::fail(BUNDLE, "no authority in the bundle is valid now; look at the clocks too", publish)
        }
    }
}

fn authority(seen: &Seen, bundles: &[(&str, Vec<u8>)]) -> Check {
    let name = format!("Secret {}/{}", seen.own, api::control::CA_SECRET);
    let remake = format!(
        "kubectl -n {} delete secret {}, and the injector makes a new one",
        seen.own,
        api::control::CA_SECRET
    );
    let secret = match &seen.secret {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            return Check::warn(
                AUTHORITY,
                format!("{name} does not exist"),
                "certificates may come from files; else see that the injector runs: it makes the Secret",
            );
        }
        Err(error) => return Check::unseen(AUTHORITY, error),
    };
    let pem =
        secret.pointer("/data/tls.crt").and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
    let stored = certificates(&pem.unwrap_or_default());
    let Some((signing, times)) = stored.first().and_then(|first| Some((first, Times::of(first)?))) else {
        return Check::fail(AUTHORITY, format!("{name} has no certificate in tls.crt"), remake);
    };
    if !times.contains(seen.now) {
        return Check::fail(AUTHORITY, format!("not valid now, but from {times}"), remake);
    }
    let missing = bundles.iter().any(|(_, pem)| !certificates(pem).contains(signing));
    if missing {
        return Check::fail(
            AUTHORITY,
            format!("valid from {times}, but not in every published bundle"),
            "see that the injector runs: it publishes its authority within seconds",
        );
    }
    Check::ok(AUTHORITY, format!("valid from {times}, and published"))
}
