//! A set of authorities, as `caBundle` publishes it.
//!
//! Invariant: the same set is always the same text, so that replicas which know the same write the same bytes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{PkiError, Validity};

/// Certificates, by their content.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bundle(BTreeSet<Vec<u8>>);

impl Bundle {
    /// What a PEM text holds; what cannot be read of it is left out.
    pub fn parse(pem: &[u8]) -> Self {
        let certificates = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
        Self(certificates.map(|certificate| certificate.to_vec()).collect())
    }

    /// Of these certificates.
    pub fn of<'a>(certificates: impl IntoIterator<Item = &'a CertificateDer<'static>>) -> Self {
        Self(certificates.into_iter().map(|certificate| certificate.to_vec()).collect())
    }

    pub(super) fn insert(&mut self, certificate: Vec<u8>) {
        self.0.insert(certificate);
    }

    /// RFC 7468.
    pub fn pem(&self) -> String {
        self.0.iter().map(|certificate| pem(certificate)).collect()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this certificate is in it.
    pub fn contains(&self, certificate: &[u8]) -> bool {
        self.0.contains(certificate)
    }

    /// Whether all of these are in it.
    pub fn has_all(&self, others: &Self) -> bool {
        others.0.is_subset(&self.0)
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// Those that are in either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// Those that fulfil the condition.
    #[must_use]
    pub fn only(&self, condition: impl Fn(&[u8]) -> bool) -> Self {
        Self(self.0.iter().filter(|certificate| condition(certificate)).cloned().collect())
    }

    /// Each certificate.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// Whether it verifies a served chain for the name as the API server does, which holds authorities to their time too.
    pub fn verifies(
        &self,
        chain: &[CertificateDer<'_>],
        name: &str,
        now: SystemTime,
    ) -> Result<(), PkiError> {
        let unverified = |reason: String| PkiError::Unverified { name: name.to_owned(), reason };
        let (leaf, others) = chain.split_first().ok_or_else(|| unverified("nothing is served".to_owned()))?;
        let mut roots = RootCertStore::empty();
        let valid = self.only(|authority| validity(authority).is_some_and(|validity| validity.contains(now)));
        roots.add_parsable_certificates(valid.iter().map(CertificateDer::from));
        if roots.is_empty() {
            return Err(unverified("no authority of the bundle is valid now".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerName::try_from(name).map_err(|error| unverified(error.to_string()))?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| unverified(error.to_string()))?
            .verify_server_cert(leaf, others, &server, &[], UnixTime::since_unix_epoch(since))
            .map(drop)
            .map_err(|error| unverified(error.to_string()))
    }
}

fn validity(certificate: &[u8]) -> Option<Validity> {
    X509Certificate::from_der(certificate).ok().map(|(_, parsed)| Validity::of(&parsed))
}

fn pem(certificate: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for (position, character) in text.chars().enumerate() {
        if position > 0 && position % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str("\n-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::Bundle;
    use crate::pki::{Ca, PkiError};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + 20_000 * DAY
    }

    fn ca() -> Ca {
        Ca::generate(now(), 90 * DAY).unwrap()
    }

    #[test]
    fn a_set_has_one_text_whatever_the_order() {
        let (one, two) = (ca(), ca());
        let texts = [
            one.certificate_pem().to_owned() + two.certificate_pem(),
            two.certificate_pem().to_owned() + "garbage\n" + one.certificate_pem() + one.certificate_pem(),
        ];
        let [first, second] = texts.map(|text| Bundle::parse(text.as_bytes()));
        assert_eq!((first.pem(), first.len()), (second.pem(), 2));
        assert_eq!(Bundle::parse(first.pem().as_bytes()), first);
        for pem in [one.certificate_pem(), two.certificate_pem()] {
            assert!(first.pem().contains(pem.replace('\r', "").trim()), "{pem}");
        }
        assert!(Bundle::parse(b"\xff\xfe").is_empty());
    }

    #[test]
    fn a_chain_is_held_to_authority_name_and_time() {
        let (ca, other) = (ca(), ca());
        let (bundle, others) = (Bundle::of([ca.certificate()]), Bundle::of([other.certificate()]));
        let leaf = ca.issue(&["a.b.svc".to_owned()], now(), 200 * DAY).unwrap();
        let verified = |bundle: &Bundle, name, at| bundle.verifies(leaf.chain(), name, at);
        verified(&bundle, "a.b.svc", now()).unwrap();
        verified(&bundle.or(&others), "a.b.svc", now()).unwrap();
        for (bundle, name, at) in [
            (&others, "a.b.svc", now()),
            (&Bundle::default(), "a.b.svc", now()),
            (&bundle, "c.b.svc", now()),
            (&bundle, "not a name", now()),
            (&bundle, "a.b.svc", now() + 90 * DAY),
        ] {
            assert!(matches!(verified(bundle, name, at), Err(PkiError::Unverified { .. })), "{name}");
        }
    }
}
