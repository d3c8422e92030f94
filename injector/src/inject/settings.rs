//! What the installation, not the pod, decides about injection.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Options of injection; flatten them into a subcommand's arguments.
#[derive(Args, Clone, Debug)]
pub struct InjectArgs {
    /// Image of the sidecar
    #[arg(long, env = "REMORA_PROXY_IMAGE", default_value = api::pod::PROXY_IMAGE, value_name = "IMAGE", value_parser = NonEmptyStringValueParser::new())]
    pub proxy_image: String,

    /// Image of the init container that installs the redirect rules
    #[arg(long, env = "REMORA_INIT_IMAGE", default_value = api::pod::INIT_IMAGE, value_name = "IMAGE", value_parser = NonEmptyStringValueParser::new())]
    pub init_image: String,
}

/// What [`super::decide`] is configured with.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    pub(super) proxy_image: String,
    pub(super) init_image: String,
    pub(super) own_namespace: String,
    /// Of everything above; pods carry it, so that one can see which were injected with other settings.
    #[serde(skip)]
    pub(super) hash: String,
}

impl Settings {
    /// Settings of an installation whose own namespace is `own_namespace`.
    pub fn new(args: &InjectArgs, own_namespace: &str) -> Self {
        let mut settings = Self {
            proxy_image: args.proxy_image.clone(),
            init_image: args.init_image.clone(),
            own_namespace: own_namespace.to_owned(),
            hash: String::new(),
        };
        // Serializing plain strings cannot fail; if it did, every configuration would have the same hash.
        let text = serde_json::to_vec(&settings).unwrap_or_default();
        settings.hash = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        settings
    }
}

impl Default for Settings {
    /// The settings of the manifests: images and namespace of the contract.
    fn default() -> Self {
        let args = InjectArgs {
            proxy_image: api::pod::PROXY_IMAGE.to_owned(),
            init_image: api::pod::INIT_IMAGE.to_owned(),
        };
        Self::new(&args, api::control::NAMESPACE)
    }
}
