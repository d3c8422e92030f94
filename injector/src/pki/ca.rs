//! The certificate authority: made, written as PEM, read back, and asked for leaves.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{CLOCK_SKEW, Leaf, PkiError, Validity};

/// By this name a bundle tells authorities of ours from what somebody else put there.
pub(super) const COMMON_NAME: &str = "remora-injector-ca";

const LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// An authority that can sign.
pub struct Ca {
    certificate_pem: String,
    key_pem: String,
    certificate: CertificateDer<'static>,
    validity: Validity,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// A new one, ECDSA P-256.
    pub fn generate(now: SystemTime) -> Result<Self, PkiError> {
        let key = KeyPair::generate()?;
        let mut params = named(COMMON_NAME);
        params.not_before = (now - CLOCK_SKEW).into();
        params.not_after = (now + LIFETIME).into();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.pem();
        Self::parse(&certificate, &key.serialize_pem(), now)
    }

    /// Reads one back, and checks that it can be used now.
    pub fn parse(certificate_pem: &str, key_pem: &str, now: SystemTime) -> Result<Self, PkiError> {
        let unreadable = |what| move |reason: String| PkiError::Unreadable { what, reason };
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|error| unreadable("the certificate")(error.to_string()))?;
        let key =
            KeyPair::from_pem(key_pem).map_err(|error| unreadable("the private key")(error.to_string()))?;
        let (_, parsed) = X509Certificate::from_der(&certificate)
            .map_err(|error| unreadable("the certificate")(error.to_string()))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(PkiError::KeyMismatch);
        }
        if !parsed.is_ca() {
            return Err(PkiError::NotAnAuthority);
        }
        let ca = Self {
            certificate_pem: certificate_pem.to_owned(),
            key_pem: key_pem.to_owned(),
            validity: Validity::of(&parsed),
            issuer: Issuer::from_ca_cert_der(&certificate, key)?,
            certificate,
        };
        ca.valid_at(now)?;
        Ok(ca)
    }

    /// The certificate as it is stored and published.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key as it is stored.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Whether the other is the same authority.
    pub fn is(&self, other: &Self) -> bool {
        self.certificate == other.certificate
    }

    fn valid_at(&self, now: SystemTime) -> Result<(), PkiError> {
        let Validity { not_before, not_after } = self.validity;
        let text = |time| humantime::format_rfc3339_seconds(time).to_string();
        if self.validity.contains(now) {
            return Ok(());
        }
        Err(PkiError::NotValidNow { not_before: text(not_before), not_after: text(not_after) })
    }

    /// Signs a server certificate for `names` with a key of its own, valid for `lifetime` from now.
    pub fn issue(&self, names: &[String], now: SystemTime, lifetime: Duration) -> Result<Leaf, PkiError> {
        self.valid_at(now)?;
        let key = KeyPair::generate()?;
        let not_after = (now + lifetime).min(self.validity.not_after);
        let mut params = named("remora-injector");
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        params.not_before = (now - CLOCK_SKEW).into();
        params.not_after = not_after.into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        let provider = rustls::crypto::ring::default_provider();
        let certified = CertifiedKey::from_der(chain, private, &provider)?;
        Ok(Leaf::new(Arc::new(certified), Validity { not_before: now, not_after }))
    }
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::Ca;
    use crate::pki::PkiError;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + 20_000 * DAY
    }

    #[test]
    fn an_authority_is_read_back_as_it_was_written() {
        let ca = Ca::generate(now()).unwrap();
        let read = Ca::parse(ca.certificate_pem(), ca.key_pem(), now() + 3600 * DAY).unwrap();
        assert!(read.is(&ca));
        assert!(!read.is(&Ca::generate(now()).unwrap()));
    }

    #[test]
    fn garbage_is_told_apart() {
        let (ca, other) = (Ca::generate(now()).unwrap(), Ca::generate(now()).unwrap());
        let parse = |certificate: &str, key: &str, at| Ca::parse(certificate, key, at).err();
        assert!(matches!(
            parse("", ca.key_pem(), now()),
            Some(PkiError::Unreadable { what: "the certificate", .. })
        ));
        assert!(matches!(
            parse(ca.certificate_pem(), "x", now()),
            Some(PkiError::Unreadable { what: "the private key", .. })
        ));
        assert!(matches!(parse(ca.certificate_pem(), other.key_pem(), now()), Some(PkiError::KeyMismatch)));
        assert!(matches!(
            parse(ca.certificate_pem(), ca.key_pem(), now() + 3700 * DAY),
            Some(PkiError::NotValidNow { .. })
        ));
    }

    #[test]
    fn a_leaf_ends_no_later_than_its_authority() {
        let ca = Ca::generate(now()).unwrap();
        let late = now() + 3649 * DAY;
        let leaf = ca.issue(&["a.b.svc".to_owned()], late, 30 * DAY).unwrap();
        assert_eq!(leaf.validity().not_after, now() + 3650 * DAY);
    }
}
