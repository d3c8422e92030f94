//! The bundle of authorities by which the API server verifies the webhook.
//!
//! Invariant: merging never takes away a valid authority of ours that another replica may still serve from, so replicas
//! that know different authorities do not fight over the field; and merging what is merged changes nothing.

use std::time::SystemTime;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::ca::COMMON_NAME;
use super::{Ca, Validity};

/// What should be published: of what is published all authorities of ours that are still valid, and this one.
pub fn merge<'a>(published: impl IntoIterator<Item = &'a [u8]>, ca: &'a Ca, now: SystemTime) -> String {
    let certificates = |pem: &'a [u8]| CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
    let ours = published.into_iter().flat_map(certificates).filter(|certificate| is_ours(certificate, now));
    // Whoever put an authority of their own into the Secret need not call it by our name.
    let mut authorities: Vec<_> = ours.chain(certificates(ca.certificate_pem().as_bytes())).collect();
    // By content, so that every replica writes the same bytes.
    authorities.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
    authorities.dedup();
    authorities.iter().map(|authority| pem(authority)).collect()
}

fn is_ours(certificate: &CertificateDer<'_>, now: SystemTime) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let named = parsed.subject().iter_common_name().any(|name| name.as_str() == Ok(COMMON_NAME));
    named && parsed.is_ca() && Validity::of(&parsed).contains(now)
}

/// RFC 7468.
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

    use super::{Ca, merge};

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * 24 * 3600)
    }

    #[test]
    fn replicas_with_different_authorities_agree_on_one_bundle() {
        let (one, two) = (Ca::generate(now()).unwrap(), Ca::generate(now()).unwrap());
        let first = merge([], &one, now());
        let second = merge([first.as_bytes()], &two, now());
        let third = merge([second.as_bytes()], &one, now());
        assert_eq!(second, third);
        assert_eq!(second.matches("BEGIN CERTIFICATE").count(), 2);
    }

    #[test]
    fn an_authority_of_another_name_is_published() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        let (own, ca) =
            (Ca::generate(now()).unwrap(), Ca::parse(&certificate, &key.serialize_pem(), now()).unwrap());
        let bundle = merge([own.certificate_pem().as_bytes()], &ca, now());
        for pem in [own.certificate_pem(), ca.certificate_pem()] {
            assert!(bundle.contains(pem.replace('\r', "").trim()), "{pem} in {bundle}");
        }
    }

    #[test]
    fn garbage_foreign_and_ended_certificates_go() {
        let (old, ca) =
            (Ca::generate(now()).unwrap(), Ca::generate(now() + Duration::from_secs(3600)).unwrap());
        let foreign = rcgen::generate_simple_self_signed(vec!["other".to_owned()]).unwrap().cert.pem();
        let later = now() + Duration::from_secs(10 * 365 * 24 * 3600 + 60);
        let published =
            [b"garbage".as_slice(), foreign.as_bytes(), old.certificate_pem().as_bytes(), b"\xff\xfe"];
        assert_eq!(merge(published, &ca, later), merge([], &ca, later));
    }
}
