//! Certificates that somebody else makes, cert-manager for one, as files: chain, key and authorities.
//!
//! Pure: bytes in, checked certificates out. Reading the files, again and again, is the business of `bootstrap`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Bundle, Leaf, PkiError, Validity};

/// A file that cannot be used; each message names it.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// It cannot be read at all.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{path}: not the PEM text of {expected}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// The certificate is of another key.
    #[error("{key}: this private key does not belong to the certificate in {certificate}")]
    KeyMismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// The key is of a kind that cannot serve.
    #[error("{path}: the TLS library refuses this private key: {reason}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// Out of its time.
    #[error("{path}: {source}")]
    NotValidNow {
        /// The file.
        path: PathBuf,
        /// Its time.
        source: PkiError,
    },
    /// It is for something else.
    #[error("{path}: the certificate is not for {name}, by which the API server calls the webhook")]
    WrongName {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// No certificate in it may sign others.
    #[error("{path}: holds no certificate authority")]
    NoAuthority {
        /// The file.
        path: PathBuf,
    },
    /// The authorities are others.
    #[error("{certificate}: is not signed by an authority in {authorities}: {source}")]
    Unverified {
        /// The certificate's file.
        certificate: PathBuf,
        /// The authorities' file.
        authorities: PathBuf,
        /// What the verifier said.
        source: PkiError,
    },
}

/// The content of a file, with the name that errors give it.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// The file.
    pub path: &'a Path,
    /// What is in it.
    pub bytes: &'a [u8],
}

/// Certificates from files, checked.
#[derive(Clone, Debug)]
pub struct Provided {
    /// What to serve.
    pub leaf: Leaf,
    /// What verifies it; `None` where no file says so.
    pub authorities: Option<Bundle>,
}

impl Provided {
    /// Checks that all belongs together and can serve `name` now.
    pub fn parse(
        (certificate, key): (Named<'_>, Named<'_>),
        authorities: Option<Named<'_>>,
        name: &str,
        now: SystemTime,
    ) -> Result<Self, FilesError> {
        let leaf = leaf(certificate, key)?;
        let path = || certificate.path.to_owned();
        leaf.validity().check(now).map_err(|source| FilesError::NotValidNow { path: path(), source })?;
        if !is_for(&leaf, name) {
            return Err(FilesError::WrongName { path: path(), name: name.to_owned() });
        }
        let authorities = authorities.map(|file| {
            let bundle = Bundle::parse(file.bytes).only(is_authority);
            if bundle.is_empty() {
                return Err(FilesError::NoAuthority { path: file.path.to_owned() });
            }
            let verified = bundle.verifies(leaf.chain(), name, now);
            verified.map(|()| bundle).map_err(|source| FilesError::Unverified {
                certificate: path(),
                authorities: file.path.to_owned(),
                source,
            })
        });
        Ok(Self { leaf, authorities: authorities.transpose()? })
    }
}

fn leaf(certificate: Named<'_>, key: Named<'_>) -> Result<Leaf, FilesError> {
    let unreadable = |file: Named<'_>, expected, reason: String| FilesError::Unreadable {
        path: file.path.to_owned(),
        expected,
        reason,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.bytes).collect();
    let chain = chain.map_err(|error| unreadable(certificate, "a certificate", error.to_string()))?;
    let first = chain
        .first()
        .ok_or_else(|| unreadable(certificate, "a certificate", "no section BEGIN CERTIFICATE".to_owned()))?;
    let validity = X509Certificate::from_der(first)
        .map(|(_, parsed)| Validity::of(&parsed))
        .map_err(|error| unreadable(certificate, "a certificate", error.to_string()))?;
    let private = PrivateKeyDer::from_pem_slice(key.bytes)
        .map_err(|error| unreadable(key, "a private key", error.to_string()))?;
    let provider = rustls::crypto::ring::default_provider();
    let certified = CertifiedKey::from_der(chain, private, &provider).map_err(|error| {
        let path = key.path.to_owned();
        if matches!(error, rustls::Error::InconsistentKeys(_)) {
            return FilesError::KeyMismatch { key: path, certificate: certificate.path.to_owned() };
        }
        FilesError::Key { path, reason: error.to_string() }
    })?;
    Ok(Leaf::new(Arc::new(certified), validity))
}

fn is_authority(certificate: &[u8]) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, parsed)| parsed.is_ca())
}

/// RFC 6125: only subjectAltName counts, and the API server looks at nothing else.
fn is_for(leaf: &Leaf, name: &str) -> bool {
    let Some(certificate) = leaf.chain().first() else { return false };
    let Ok(server) = ServerName::try_from(name) else { return false };
    ParsedCertificate::try_from(certificate).is_ok_and(|parsed| verify_server_name(&parsed, &server).is_ok())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use rcgen::{CertificateParams, Issuer, KeyPair};

    use super::{FilesError, Named, Provided};
    use crate::pki::Ca;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const NAME: &str = "a.b.svc";

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + 20_000 * DAY
    }

    struct Files {
        certificate: String,
        key: String,
        authorities: String,
    }

    fn files(name: &str) -> Files {
        let ca = Ca::generate(now(), 90 * DAY).unwrap();
        let authority = KeyPair::from_pem(ca.key_pem()).unwrap();
        let issuer = Issuer::from_ca_cert_pem(ca.certificate_pem(), authority).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (now().into(), (now() + DAY).into());
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        Files { certificate, key: key.serialize_pem(), authorities: ca.certificate_pem().to_owned() }
    }

    fn parse(files: &Files, at: SystemTime) -> Result<Provided, FilesError> {
        let pair = (named("tls.crt", &files.certificate), named("tls.key", &files.key));
        Provided::parse(pair, Some(named("ca.crt", &files.authorities)), NAME, at)
    }

    fn named<'a>(path: &'a str, text: &'a str) -> Named<'a> {
        Named { path: Path::new(path), bytes: text.as_bytes() }
    }

    #[test]
    fn what_belongs_together_is_taken() {
        let provided = parse(&files(NAME), now()).unwrap();
        assert_eq!(provided.leaf.validity().not_after, now() + DAY);
        assert_eq!(provided.authorities.unwrap().len(), 1);
    }

    #[test]
    fn each_mistake_names_its_file() {
        let (good, other) = (|| files(NAME), files(NAME));
        let garbage = || "garbage".to_owned();
        let cases = [
            (Files { certificate: garbage(), ..good() }, "tls.crt: not the PEM text of a certificate"),
            (Files { certificate: String::new(), ..good() }, "tls.crt: not the PEM text of a certificate"),
            (Files { key: garbage(), ..good() }, "tls.key: not the PEM text of a private key"),
            (
                Files { key: other.key, ..good() },
                "tls.key: this private key does not belong to the certificate in tls.crt",
            ),
            (files("c.d.svc"), "tls.crt: the certificate is not for a.b.svc"),
            (Files { authorities: garbage(), ..good() }, "ca.crt: holds no certificate authority"),
            (Files { authorities: other.certificate, ..good() }, "ca.crt: holds no certificate authority"),
            (
                Files { authorities: other.authorities, ..good() },
                "tls.crt: is not signed by an authority in ca.crt",
            ),
        ];
        for (files, expected) in cases {
            let error = parse(&files, now()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let late = parse(&good(), now() + DAY).unwrap_err();
        assert!(matches!(late, FilesError::NotValidNow { .. }), "{late}");
    }
}
