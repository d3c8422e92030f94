//! The one field of the MutatingWebhookConfiguration that is ours: `caBundle`. Everything else belongs to whoever applied
//! the manifests, and where the configuration is gone it stays gone.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::ClusterError;

/// Owner of the field in server-side apply.
const FIELD_MANAGER: &str = api::control::INJECTOR;

/// Entries that are always there. A configuration may add others of ours, which are known by how their names end.
const ENTRIES: [&str; 2] = [api::control::WEBHOOK_NAMESPACE_ENTRY, api::control::WEBHOOK_OBJECT_ENTRY];

/// The configuration of a name.
pub struct WebhookConfiguration {
    api: Api<MutatingWebhookConfiguration>,
    name: String,
}

/// Our entries as they were found; at least one.
pub struct Published {
    /// The bundle of each.
    pub bundles: Vec<Vec<u8>>,
    /// Those that should be there and are not.
    pub missing: Vec<&'static str>,
    /// Who else writes bundles there, by the name that the API server knows them by.
    pub other_writer: Option<String>,
    names: Vec<String>,
    metadata: ObjectMeta,
}

impl WebhookConfiguration {
    /// The configuration `name`.
    pub fn new(client: Client, name: &str) -> Self {
        Self { api: Api::all(client), name: name.to_owned() }
    }

    /// What is published. No configuration is an error, and so is one without any entry of ours.
    pub async fn read(&self) -> Result<Published, ClusterError> {
        let found = self.api.get_opt(&self.name).await.map_err(|error| self.call(&error))?;
        let Some(configuration) = found else {
            return Err(ClusterError::NoConfiguration { name: self.name.clone() });
        };
        let is_ours = |entry: &MutatingWebhook| entry.name.ends_with(api::control::WEBHOOK_ENTRY_SUFFIX);
        let entries = configuration.webhooks.unwrap_or_default();
        let ours: Vec<_> = entries.into_iter().filter(is_ours).collect();
        if ours.is_empty() {
            return Err(ClusterError::NoEntry { name: self.name.clone(), entries: ENTRIES.join(" nor ") });
        }
        let is_missing = |name: &&str| ours.iter().all(|entry| entry.name != **name);
        Ok(Published {
            missing: ENTRIES.into_iter().filter(is_missing).collect(),
            other_writer: other_writer(&configuration.metadata),
            names: ours.iter().map(|entry| entry.name.clone()).collect(),
            bundles: ours.into_iter().map(|e| e.client_config.ca_bundle.unwrap_or_default().0).collect(),
            metadata: configuration.metadata,
        })
    }

    /// Publishes a bundle in all entries of ours, and only over what was found: it is a conflict where somebody else wrote
    /// meanwhile, another replica for one, whose authority would be lost.
    pub async fn publish(&self, over: &Published, bundle: &str) -> Result<(), ClusterError> {
        let ca_bundle = ByteString(bundle.as_bytes().to_vec());
        let entry = |name: &String| json!({"name": name, "clientConfig": {"caBundle": ca_bundle}});
        // The uid: an apply to a name that is gone would create an object.
        let applied = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {
                "name": self.name,
                "uid": over.metadata.uid,
                "resourceVersion": over.metadata.resource_version,
            },
            "webhooks": over.names.iter().map(entry).collect::<Vec<_>>(),
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patched = self.api.patch(&self.name, &params, &Patch::Apply(&applied)).await;
        patched.map(drop).map_err(|error| self.call(&error))
    }

    fn call(&self, error: &kube::Error) -> ClusterError {
        ClusterError::call(format!("MutatingWebhookConfiguration {}", self.name), error)
    }
}

/// The last one besides us that owns a `caBundle`.
fn other_writer(metadata: &ObjectMeta) -> Option<String> {
    let others = metadata.managed_fields.iter().flatten().filter(|managed| {
        let fields = managed.fields_v1.as_ref().map(|fields| fields.0.to_string());
        managed.manager.as_deref() != Some(FIELD_MANAGER)
            && fields.is_some_and(|fields| fields.contains("\"f:caBundle\""))
    });
    let last = others.max_by_key(|managed| managed.time.as_ref().map(|time| time.0));
    last.and_then(|managed| managed.manager.clone())
}
