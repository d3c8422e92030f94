//! What the installation, not the pod, decides about injection.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
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

    /// Image of the init container for the two iptables backends: the same program, with iptables' own beside it
    #[arg(long, env = "REMORA_INIT_IPTABLES_IMAGE", default_value = api::pod::INIT_IPTABLES_IMAGE, value_name = "IMAGE", value_parser = NonEmptyStringValueParser::new())]
    pub init_iptables_image: String,

    /// How the redirect rules are installed; what this names decides which of the two images is taken
    #[arg(long, env = api::env::REDIRECT_BACKEND, default_value = "auto", value_enum, value_name = "BACKEND")]
    pub redirect_backend: RedirectBackend,
}

/// How the init container installs the redirect rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RedirectBackend {
    /// As the kernel of the node has it. Without iptables' programs in the image that is nf_tables, or a clear error.
    Auto,
    /// nf_tables, by netlink.
    Nft,
    /// iptables' programs, which write nf_tables.
    IptablesNft,
    /// iptables' older programs, for kernels without nf_tables. They need NET_RAW besides NET_ADMIN.
    IptablesLegacy,
}

impl RedirectBackend {
    /// As `init-redirect` takes it; nothing where it decides by itself.
    pub(super) fn argument(self) -> Option<&'static str> {
        match self {
            Self::Auto => None,
            Self::Nft => Some("nft"),
            Self::IptablesNft => Some("iptables-nft"),
            Self::IptablesLegacy => Some("iptables-legacy"),
        }
    }
}

/// What [`super::decide`] is configured with.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    pub(super) proxy_image: String,
    init_image: String,
    init_iptables_image: String,
    pub(super) redirect_backend: RedirectBackend,
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
            init_iptables_image: args.init_iptables_image.clone(),
            redirect_backend: args.redirect_backend,
            own_namespace: own_namespace.to_owned(),
            hash: String::new(),
        };
        // Serializing plain strings cannot fail; if it did, every configuration would have the same hash.
        let text = serde_json::to_vec(&settings).unwrap_or_default();
        settings.hash = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        settings
    }

    /// The image of the init container.
    pub(super) fn redirect_image(&self) -> &str {
        match self.redirect_backend {
            RedirectBackend::Auto | RedirectBackend::Nft => &self.init_image,
            RedirectBackend::IptablesNft | RedirectBackend::IptablesLegacy => &self.init_iptables_image,
        }
    }
}

impl Default for Settings {
    /// The settings of the manifests: images and namespace of the contract.
    fn default() -> Self {
        let args = InjectArgs {
            proxy_image: api::pod::PROXY_IMAGE.to_owned(),
            init_image: api::pod::INIT_IMAGE.to_owned(),
            init_iptables_image: api::pod::INIT_IPTABLES_IMAGE.to_owned(),
            redirect_backend: RedirectBackend::Auto,
        };
        Self::new(&args, api::control::NAMESPACE)
    }
}
