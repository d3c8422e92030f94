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

use super::{BACKDATED, Leaf, PkiError, Validity};

/// By this name a bundle tells authorities of ours from what somebody else put there.
const COMMON_NAME: &str = "remora-injector-ca";

/// An authority that can sign.
pub struct Ca {
    certificate_pem: String,
    key_pem: String,
    certificate: CertificateDer<'static>,
    validity: Validity,
    ours: bool,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// A new one, ECDSA P-256, that ends after `lifetime`.
    pub fn generate(now: SystemTime, lifetime: Duration) -> Result<Self, PkiError> {
        let key = KeyPair::generate()?;
        let mut params = named(COMMON_NAME);
        params.not_before = (now - BACKDATED).into();
        params.not_after = (now + lifetime).into();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.pem();
        Self::parse(&certificate, &key.serialize_pem())
    }

    /// Reads one back. Its time may be over.
    pub fn parse(certificate_pem: &str, key_pem: &str) -> Result<Self, PkiError> {
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
        Ok(Self {
            certificate_pem: certificate_pem.to_owned(),
            key_pem: key_pem.to_owned(),
            validity: Validity::of(&parsed),
            ours: is_named_ours(&parsed),
            issuer: Issuer::from_ca_cert_der(&certificate, key)?,
            certificate,
        })
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

    /// From when to when it may sign.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// When it was made; only of those that are ours.
    pub(super) fn made(&self) -> SystemTime {
        self.validity.not_before + BACKDATED
    }

    /// For how long it was made.
    pub(super) fn life(&self) -> Duration {
        self.validity.life()
    }

    /// Whether it was made here; any other is for its owner to renew.
    pub fn is_ours(&self) -> bool {
        self.ours
    }

    /// The certificate.
    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Signs a server certificate for `names` with a key of its own, valid for `lifetime` from now.
    pub fn issue(&self, names: &[String], now: SystemTime, lifetime: Duration) -> Result<Leaf, PkiError> {
        self.validity.check(now)?;
        let key = KeyPair::generate()?;
        let not_after = (now + lifetime).min(self.validity.not_after);
        let mut params = named("remora-injector");
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        params.not_before = (now - BACKDATED).into();
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

/// Whether the certificate bears the name of our authorities.
pub(super) fn is_named_ours(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().iter_common_name().any(|name| name.as_str() == Ok(COMMON_NAME))
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

    fn ca() -> Ca {
        Ca::generate(now(), 90 * DAY).unwrap()
    }

    #[test]
    fn an_authority_is_read_back_as_it_was_written() {
        let ca = ca();
        let read = Ca::parse(ca.certificate_pem(), ca.key_pem()).unwrap();
        assert!(read.is(&ca) && read.is_ours());
        assert_eq!((read.made(), read.validity().not_after), (now(), now() + 90 * DAY));
        assert!(!read.is(&self::ca()));
    }

    #[test]
    fn garbage_is_told_apart() {
        let (ca, other) = (ca(), ca());
        let parse = |certificate: &str, key: &str| Ca::parse(certificate, key).err();
        assert!(matches!(
            parse("", ca.key_pem()),
            Some(PkiError::Unreadable { what: "the certificate", .. })
        ));
        assert!(matches!(
            parse(ca.certificate_pem(), "x"),
            Some(PkiError::Unreadable { what: "the private key", .. })
        ));
        assert!(matches!(parse(ca.certificate_pem(), other.key_pem()), Some(PkiError::KeyMismatch)));
    }

    #[test]
    fn a_leaf_ends_no_later_than_its_authority() {
        let ca = ca();
        let names = ["a.b.svc".to_owned()];
        let leaf = ca.issue(&names, now() + 89 * DAY, 30 * DAY).unwrap();
        assert_eq!(leaf.validity().not_after, now() + 90 * DAY);
        let late = ca.issue(&names, now() + 90 * DAY, DAY);
        assert!(matches!(late, Err(PkiError::NotValidNow { .. })));
    }
}
