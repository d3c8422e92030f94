//! The authority's Secret. Whoever comes first makes it, everybody else reads it, so no leader is needed.

use std::collections::BTreeMap;
use std::time::SystemTime;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};

use super::ClusterError;
use crate::pki::{Ca, PkiError};

/// Keys of a Secret of type `kubernetes.io/tls`.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Where the authority is stored.
pub struct AuthorityStore {
    api: Api<Secret>,
    namespace: String,
    name: String,
}

impl AuthorityStore {
    /// The Secret `name` in `namespace`.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The stored authority. Where there is none, `held` is put back, so that a deleted Secret changes nothing for those
    /// who serve from it; a replica that holds none, or one whose time is over, makes a new one.
    pub async fn load_or_create(&self, held: Option<&Ca>, now: SystemTime) -> Result<Ca, ClusterError> {
        if let Some(secret) = self.read().await? {
            return self.parse(&secret, now);
        }
        let held = held.and_then(|ca| Ca::parse(ca.certificate_pem(), ca.key_pem(), now).ok());
        let ca = held.map_or_else(|| Ca::generate(now), Ok).map_err(ClusterError::Authority)?;
        match self.api.create(&PostParams::default(), &self.secret(&ca)).await {
            Ok(_) => {
                tracing::info!(
                    namespace = self.namespace,
                    secret = self.name,
                    "certificate authority stored"
                );
                Ok(ca)
            }
            // Another replica was faster: its authority is everybody's.
            Err(kube::Error::Api(status)) if status.code == 409 => match self.read().await? {
                Some(secret) => self.parse(&secret, now),
                None => Err(ClusterError::Call {
                    what: self.what(),
                    reason: "made and deleted at once".to_owned(),
                }),
            },
            Err(error) => Err(ClusterError::call(self.what(), &error)),
        }
    }

    async fn read(&self) -> Result<Option<Secret>, ClusterError> {
        self.api.get_opt(&self.name).await.map_err(|error| ClusterError::call(self.what(), &error))
    }

    fn parse(&self, secret: &Secret, now: SystemTime) -> Result<Ca, ClusterError> {
        let text = |key: &'static str| {
            let bytes = secret.data.as_ref().and_then(|data| data.get(key));
            let bytes =
                bytes.ok_or(PkiError::Unreadable { what: key, reason: "it is missing".to_owned() })?;
            std::str::from_utf8(&bytes.0)
                .map_err(|error| PkiError::Unreadable { what: key, reason: error.to_string() })
        };
        text(CERTIFICATE).and_then(|certificate| Ca::parse(certificate, text(KEY)?, now)).map_err(|source| {
            ClusterError::BadSecret { namespace: self.namespace.clone(), name: self.name.clone(), source }
        })
    }

    fn secret(&self, ca: &Ca) -> Secret {
        let bytes = |pem: &str| ByteString(pem.as_bytes().to_vec());
        Secret {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(BTreeMap::from([
                (CERTIFICATE.to_owned(), bytes(ca.certificate_pem())),
                (KEY.to_owned(), bytes(ca.key_pem())),
            ])),
            ..Secret::default()
        }
    }

    fn what(&self) -> String {
        format!("Secret {}/{}", self.namespace, self.name)
    }
}
