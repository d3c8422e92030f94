//! The one field of the MutatingWebhookConfiguration that is ours: `caBundle`. Everything else belongs to whoever applied
//! the manifests, and where the configuration is gone it stays gone.

use std::time::SystemTime;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::ClusterError;
use crate::pki::{self, Ca};

/// Owner of the field in server-side apply.
const FIELD_MANAGER: &str = api::control::INJECTOR;

/// Names of the entries whose bundle we keep.
const ENTRIES: [&str; 1] = [api::control::WEBHOOK_NAMESPACE_ENTRY];

/// The configuration of a name.
pub struct WebhookConfiguration {
    api: Api<MutatingWebhookConfiguration>,
    name: String,
}

impl WebhookConfiguration {
    /// The configuration `name`.
    pub fn new(client: Client, name: &str) -> Self {
        Self { api: Api::all(client), name: name.to_owned() }
    }

    /// Makes sure that the published bundle has this authority, and returns the bundle.
    pub async fn publish(&self, ca: &Ca, now: SystemTime) -> Result<String, ClusterError> {
        let found = self.api.get_opt(&self.name).await.map_err(|error| self.call(&error))?;
        let Some(configuration) = found else {
            return Err(ClusterError::NoConfiguration { name: self.name.clone() });
        };
        let is_ours = |entry: &&MutatingWebhook| ENTRIES.contains(&entry.name.as_str());
        let ours: Vec<_> = configuration.webhooks.iter().flatten().filter(is_ours).collect();
        if let Some(entry) = ENTRIES.iter().find(|name| ours.iter().all(|entry| entry.name != **name)) {
            return Err(ClusterError::NoEntry { name: self.name.clone(), entry });
        }
        let bundle = |entry: &MutatingWebhook| entry.client_config.ca_bundle.clone().unwrap_or_default().0;
        let published: Vec<Vec<u8>> = ours.iter().map(|entry| bundle(entry)).collect();
        let wanted = pki::merge(published.iter().map(Vec::as_slice), ca, now);
        if published.iter().all(|bundle| bundle == wanted.as_bytes()) {
            return Ok(wanted);
        }
        self.apply(&configuration, &ours, &wanted).await?;
        tracing::info!(configuration = self.name, "caBundle published");
        Ok(wanted)
    }

    async fn apply(
        &self,
        configuration: &MutatingWebhookConfiguration,
        entries: &[&MutatingWebhook],
        bundle: &str,
    ) -> Result<(), ClusterError> {
        let ca_bundle = ByteString(bundle.as_bytes().to_vec());
        let entry =
            |entry: &&MutatingWebhook| json!({"name": entry.name, "clientConfig": {"caBundle": ca_bundle}});
        // The uid: an apply to a name that is gone would create an object.
        let applied = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": self.name, "uid": configuration.metadata.uid},
            "webhooks": entries.iter().map(entry).collect::<Vec<_>>(),
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patched = self.api.patch(&self.name, &params, &Patch::Apply(&applied)).await;
        patched.map(drop).map_err(|error| self.call(&error))
    }

    fn call(&self, error: &kube::Error) -> ClusterError {
        ClusterError::call(format!("MutatingWebhookConfiguration {}", self.name), error)
    }
}
