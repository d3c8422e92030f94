//! Who may ask: with `--client-ca`, only clients whose certificate that authority signed, and with `--client-name` only one
//! of that name. The file is read again when it changes.
//!
//! Invariant: what does not verify is refused in the handshake, before a byte of a request is read; and a file that turns
//! bad, or away, leaves the last good authority in force.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use clap::Args;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Who may ask; flatten it into a subcommand's arguments.
#[derive(Args, Clone, Debug, Default)]
pub struct ClientArgs {
    /// Certificate authority (PEM) of the API server's client certificate; without it whoever reaches the port may ask.
    /// The API server shows one where its AdmissionConfiguration names a kubeconfig for this webhook
    #[arg(long, env = "REMORA_CLIENT_CA", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,

    /// Common name or DNS name that the client certificate must have; without it every certificate of that authority does
    #[arg(long, env = "REMORA_CLIENT_NAME", value_name = "NAME", requires = "client_ca")]
    pub client_name: Option<String>,
}

/// An authority that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientAuthorityError {
    /// The file.
    #[error("--client-ca {file}: {source}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// Its content.
    #[error("--client-ca {file}: {reason}; it must be certificates of authorities, in PEM")]
    Bad {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

const INTERVAL: Duration = Duration::from_secs(2);

/// Verifies clients; clones share the authority.
#[derive(Clone, Debug)]
pub struct ClientAuthority {
    file: PathBuf,
    name: Option<String>,
    verifier: Arc<ArcSwap<Verifier>>,
}

#[derive(Debug)]
struct Verifier {
    pem: Vec<u8>,
    inner: Arc<dyn ClientCertVerifier>,
}

impl ClientArgs {
    /// The authority, where one is named.
    pub fn authority(&self) -> Result<Option<ClientAuthority>, ClientAuthorityError> {
        let Some(file) = &self.client_ca else { return Ok(None) };
        let pem = read(file)?;
        let verifier = Arc::new(ArcSwap::from_pointee(verifier(file, pem)?));
        Ok(Some(ClientAuthority { file: file.to_owned(), name: self.client_name.clone(), verifier }))
    }
}

impl ClientAuthority {
    /// Follows the file until the future is dropped.
    pub async fn watch(self) {
        let mut tick = tokio::time::interval(INTERVAL);
        let mut told = None;
        loop {
            tick.tick().await;
            match self.look() {
                Ok(changed) => {
                    told = None;
                    if changed {
                        tracing::info!(file = %self.file.display(), "another client authority is in force");
                    }
                }
                Err(error) => {
                    let text = error.to_string();
                    if told.as_ref() != Some(&text) {
                        tracing::warn!(%error, "the last good client authority is kept");
                        told = Some(text);
                    }
                }
            }
        }
    }

    fn look(&self) -> Result<bool, ClientAuthorityError> {
        let pem = read(&self.file)?;
        let changed = self.verifier.load().pem != pem;
        if changed {
            self.verifier.store(Arc::new(verifier(&self.file, pem)?));
        }
        Ok(changed)
    }

    fn is_named(&self, certificate: &CertificateDer<'_>) -> bool {
        let Some(name) = self.name.as_deref() else { return true };
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
        let common = certificate.subject().iter_common_name().any(|found| found.as_str() == Ok(name));
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        let dns = |found: &GeneralName<'_>| matches!(found, GeneralName::DNSName(found) if *found == name);
        common || alternatives.is_some_and(|names| names.value.general_names.iter().any(dns))
    }

    fn inner(&self) -> Arc<dyn ClientCertVerifier> {
        self.verifier.load().inner.clone()
    }
}

fn read(file: &Path) -> Result<Vec<u8>, ClientAuthorityError> {
    std::fs::read(file).map_err(|source| ClientAuthorityError::Unreadable { file: file.to_owned(), source })
}

fn verifier(file: &Path, pem: Vec<u8>) -> Result<Verifier, ClientAuthorityError> {
    let bad = |reason: String| ClientAuthorityError::Bad { file: file.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("there is no certificate in it".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    Ok(Verifier { pem, inner: inner.map_err(|error| bad(error.to_string()))? })
}

impl ClientCertVerifier for ClientAuthority {
    /// None are told: the client has one certificate for us, and which authorities there are may change.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner().verify_client_cert(end_entity, intermediates, now)?;
        if self.is_named(end_entity) {
            return Ok(verified);
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner().supported_verify_schemes()
    }
}
