//! TLS of the webhook: what is offered in a handshake, and the probe that makes one with our own port to see what the API
//! server would see.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::clients::ClientAuthority;

/// The port does not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No connection or no handshake.
    #[error("no TLS handshake with {address}: {source}")]
    Handshake {
        /// The port.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// It serves what the bundle does not verify.
    #[error("the published bundle does not verify what is served: {reason}")]
    Certificate {
        /// What the verifier said.
        reason: String,
    },
    /// It does not answer at all.
    #[error("no answer from {address} within {} s", PROBE_TIMEOUT.as_secs())]
    Timeout {
        /// The port.
        address: SocketAddr,
    },
    /// The bundle or the name is unusable.
    #[error("the published bundle or the name {name:?} is unusable: {reason}")]
    Unusable {
        /// The name of the certificate.
        name: String,
        /// Why.
        reason: String,
    },
}

impl ProbeError {
    /// Whether asking again would be answered alike.
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Certificate { .. } | Self::Unusable { .. } => true,
            Self::Handshake { .. } | Self::Timeout { .. } => false,
        }
    }
}

const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// TLS 1.3 and 1.2, HTTP/1.1. The API server spreads its calls over connections of HTTP/1.1; over one HTTP/2 connection a
/// lost peer would hold all of them.
pub fn server_config(
    certificate: Arc<dyn ResolvesServerCert>,
    clients: Option<ClientAuthority>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    let mut config = match clients {
        None => builder.with_no_client_auth().with_cert_resolver(certificate),
        Some(clients) => {
            let mut config =
                builder.with_client_cert_verifier(Arc::new(clients)).with_cert_resolver(certificate);
            // A resumed session would not ask the authority of today.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Whether the port answers a handshake with a chain that the bundle verifies for the name at the clock's time.
pub async fn probe(
    address: SocketAddr,
    name: &str,
    bundle_pem: &str,
    clock: Arc<dyn TimeProvider>,
) -> Result<(), ProbeError> {
    let unusable = |reason: String| ProbeError::Unusable { name: name.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(bundle_pem.as_bytes()).filter_map(Result::ok);
    roots.add_parsable_certificates(certificates);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_details(provider, clock)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerName::try_from(name.to_owned()).map_err(|error| unusable(error.to_string()))?;
    let handshake = async {
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect(server, stream).await
    };
    match tokio::time::timeout(PROBE_TIMEOUT, handshake).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(source)) => Err(refused(address, source)),
        Err(_) => Err(ProbeError::Timeout { address }),
    }
}

fn refused(address: SocketAddr, source: std::io::Error) -> ProbeError {
    let tls = source.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match tls {
        Some(error @ rustls::Error::InvalidCertificate(_)) => {
            ProbeError::Certificate { reason: error.to_string() }
        }
        Some(_) | None => ProbeError::Handshake { address, source },
    }
}
