//! The Secret that the replicas share. Whoever comes first writes it, by a create that fails where it is there and a
//! replacement that fails where it changed; everybody else reads it. So no leader is needed.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};

use super::ClusterError;
use crate::pki::{Authorities, PkiError};

/// Where the authorities are stored.
pub struct AuthorityStore {
    api: Api<Secret>,
    namespace: String,
    name: String,
}

/// What was found stored, with the object that it was found in.
pub struct Stored {
    /// The authorities.
    pub authorities: Authorities,
    secret: Secret,
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

    /// What is stored, if anything is.
    pub async fn read(&self) -> Result<Option<Stored>, ClusterError> {
        let found = self.api.get_opt(&self.name).await;
        let Some(secret) = found.map_err(|error| ClusterError::call(self.what(), &error))? else {
            return Ok(None);
        };
        let authorities = Authorities::parse(&data(&secret)).map_err(|source| self.unusable(source))?;
        Ok(Some(Stored { authorities, secret }))
    }

    /// Writes authorities over what was found, and only over that: it is a conflict where another replica was faster.
    pub async fn write(&self, found: Option<Stored>, authorities: &Authorities) -> Result<(), ClusterError> {
        let (mut secret, is_new) = match found {
            Some(found) => (found.secret, false),
            None => (self.empty(), true),
        };
        let mut data = data(&secret);
        authorities.write(&mut data);
        secret.data = Some(data.into_iter().map(|(key, value)| (key, ByteString(value))).collect());
        let params = PostParams::default();
        let written = if is_new {
            self.api.create(&params, &secret).await
        } else {
            // With the resourceVersion that was read.
            self.api.replace(&self.name, &params, &secret).await
        };
        written.map(drop).map_err(|error| {
            let is_gone = matches!(&error, kube::Error::Api(status) if status.code == 404);
            // Deleted meanwhile.
            if is_gone && !is_new {
                return ClusterError::Conflict { what: self.what() };
            }
            ClusterError::call(self.what(), &error)
        })
    }

    /// The error for a Secret whose authority is of no use.
    pub fn unusable(&self, source: PkiError) -> ClusterError {
        ClusterError::BadSecret { namespace: self.namespace.clone(), name: self.name.clone(), source }
    }

    fn empty(&self) -> Secret {
        Secret {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            type_: Some("kubernetes.io/tls".to_owned()),
            ..Secret::default()
        }
    }

    fn what(&self) -> String {
        format!("Secret {}/{}", self.namespace, self.name)
    }
}

fn data(secret: &Secret) -> BTreeMap<String, Vec<u8>> {
    let data = secret.data.iter().flatten();
    data.map(|(key, value)| (key.clone(), value.0.clone())).collect()
}
