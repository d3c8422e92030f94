//! What the installation, not the pod, decides about injection.

use std::collections::BTreeSet;

use clap::builder::{NonEmptyStringValueParser, PossibleValue};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::options::{self, Defaults, KubernetesVersion};
use super::selection::{NamespaceName, Selection};

/// Options that take the place of what the configuration file says; flatten them into a subcommand's arguments.
#[derive(Args, Clone, Debug, Default)]
pub struct InjectArgs {
    /// Image of the sidecar, in place of the configuration's
    #[arg(long, env = "REMORA_PROXY_IMAGE", value_name = "IMAGE", value_parser = NonEmptyStringValueParser::new())]
    pub proxy_image: Option<String>,

    /// Image of the init container that installs the redirect rules, in place of the configuration's
    #[arg(long, env = "REMORA_INIT_IMAGE", value_name = "IMAGE", value_parser = NonEmptyStringValueParser::new())]
    pub init_image: Option<String>,

    /// Image of the init container for the two iptables backends, in place of the configuration's: the same program, with
    /// iptables' own beside it
    #[arg(long, env = "REMORA_INIT_IPTABLES_IMAGE", value_name = "IMAGE", value_parser = NonEmptyStringValueParser::new())]
    pub init_iptables_image: Option<String>,

    /// How the redirect rules are installed, in place of the configuration's; what this names decides which of the two
    /// images is taken
    #[arg(long, env = api::env::REDIRECT_BACKEND, value_enum, value_name = "BACKEND")]
    pub redirect_backend: Option<RedirectBackend>,
}

impl InjectArgs {
    /// The same as a command line.
    pub fn arguments(&self) -> Vec<String> {
        let backend = self.redirect_backend.and_then(|backend| backend.to_possible_value());
        [
            ("--proxy-image", self.proxy_image.as_deref()),
            ("--init-image", self.init_image.as_deref()),
            ("--init-iptables-image", self.init_iptables_image.as_deref()),
            ("--redirect-backend", backend.as_ref().map(PossibleValue::get_name)),
        ]
        .into_iter()
        .filter_map(|(flag, value)| Some(format!("{flag}={}", value?)))
        .collect()
    }
}

/// How the init container installs the redirect rules.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
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

/// Istio's name of a cluster that has none.
const CLUSTER_NAME: &str = "Kubernetes";

/// As long as the proxy takes one of another cluster.
const LONGEST_CLUSTER_NAME: usize = 253;

/// What [`super::decide`] is configured with: the part of the configuration file that pods see, and where we run.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// Images of the containers that are added.
    pub images: Images,
    /// How redirect rules are installed.
    pub redirect_backend: RedirectBackend,
    /// The cluster's name in metrics.
    pub cluster_name: String,
    /// What pods and namespaces that say nothing get.
    pub defaults: Defaults,
    /// The oldest Kubernetes whose nodes run the pods; below 1.29 the proxy is an ordinary container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_kubernetes_version: Option<KubernetesVersion>,
    /// Keys that only the mesh and namespaces may set, and that pods may set here nevertheless.
    pub workload_overrides: BTreeSet<String>,
    /// Which pods are injected.
    pub selection: Selection,
    /// Whether owners of pods are told by Events what was decided. No pod looks different for it, so it is not in the hash.
    #[serde(skip_serializing)]
    pub events: bool,
    /// The namespace of the mesh itself.
    #[serde(skip_deserializing)]
    pub(super) own_namespace: String,
    /// Of everything above; pods carry it, so that one can see which were injected with other settings.
    #[serde(skip)]
    pub(super) hash: String,
}

/// Images of the containers that are added.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Images {
    /// The sidecar.
    pub proxy: String,
    /// The init container that installs the redirect rules.
    pub init_redirect: String,
    /// The same with iptables' programs, for the two iptables backends.
    pub init_redirect_iptables: String,
    /// Names of the Secrets with which the three are pulled.
    pub pull_secrets: Vec<String>,
}

impl Settings {
    /// Settings of an installation without a configuration file.
    pub fn new(args: &InjectArgs, own_namespace: &str) -> Self {
        Self::default().installed(args, own_namespace)
    }

    /// The settings of a configuration file as an installation in `own_namespace` runs them: options win.
    pub fn installed(mut self, args: &InjectArgs, own_namespace: &str) -> Self {
        let replace = |image: &mut String, by: &Option<String>| {
            if let Some(by) = by {
                image.clone_from(by);
            }
        };
        replace(&mut self.images.proxy, &args.proxy_image);
        replace(&mut self.images.init_redirect, &args.init_image);
        replace(&mut self.images.init_redirect_iptables, &args.init_iptables_image);
        self.redirect_backend = args.redirect_backend.unwrap_or(self.redirect_backend);
        own_namespace.clone_into(&mut self.own_namespace);
        self.hashed()
    }

    /// Tells apart whatever pods would see of two configurations.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    fn unhashed(own_namespace: &str) -> Self {
        Self {
            images: Images::default(),
            redirect_backend: RedirectBackend::Auto,
            cluster_name: CLUSTER_NAME.to_owned(),
            defaults: Defaults::default(),
            minimum_kubernetes_version: None,
            workload_overrides: BTreeSet::new(),
            selection: Selection::default(),
            events: false,
            own_namespace: own_namespace.to_owned(),
            hash: String::new(),
        }
    }

    /// The same, with its hash.
    fn hashed(mut self) -> Self {
        // Serializing plain strings cannot fail; if it did, every configuration would have the same hash.
        let text = serde_json::to_vec(&self).unwrap_or_default();
        self.hash = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        self
    }

    /// Whether the pods of this namespace are left alone whatever labels say.
    pub(super) fn never_injects(&self, namespace: &str) -> bool {
        namespace == self.own_namespace
            || api::control::NEVER_INJECTED.contains(&namespace)
            || self.selection.ignored_namespaces.contains(namespace)
    }

    /// All of them, each once, the cluster's first.
    pub(super) fn never_injected_namespaces(&self) -> Vec<String> {
        let ignored = self.selection.ignored_namespaces.iter().map(NamespaceName::as_str);
        let mut names = api::control::NEVER_INJECTED.map(str::to_owned).to_vec();
        for name in std::iter::once(self.own_namespace.as_str()).chain(ignored) {
            if names.iter().all(|known| known != name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// The namespace of the mesh itself.
    pub fn own_namespace(&self) -> &str {
        &self.own_namespace
    }

    /// Everything that is wrong; empty where it can be used.
    pub fn problems(&self) -> Vec<String> {
        let images = self.images.problems().into_iter();
        images.chain(self.cluster_name_problem()).chain(options::problems(self)).collect()
    }

    /// The proxy tells it in each of its series.
    fn cluster_name_problem(&self) -> Option<String> {
        let name = &self.cluster_name;
        let good = (1..=LONGEST_CLUSTER_NAME).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic());
        let allowed = format!(
            "allowed are 1 to {LONGEST_CLUSTER_NAME} visible characters of ASCII, such as Kubernetes"
        );
        (!good).then(|| format!("clusterName is {name:?}; {allowed}"))
    }

    /// The image of the init container.
    pub(super) fn redirect_image(&self) -> &str {
        match self.redirect_backend {
            RedirectBackend::Auto | RedirectBackend::Nft => &self.images.init_redirect,
            RedirectBackend::IptablesNft | RedirectBackend::IptablesLegacy => {
                &self.images.init_redirect_iptables
            }
        }
    }
}

impl Default for Settings {
    /// The settings of the manifests: images and namespace of the contract.
    fn default() -> Self {
        Self::unhashed(api::control::NAMESPACE).hashed()
    }
}

impl Images {
    /// A pod with an image of no name would be refused by the API server, and so would all pods.
    fn problems(&self) -> Vec<String> {
        let named = [
            ("proxy", &self.proxy),
            ("initRedirect", &self.init_redirect),
            ("initRedirectIptables", &self.init_redirect_iptables),
        ];
        let bad = |image: &str| image.is_empty() || image.contains(char::is_whitespace);
        let images = named.into_iter().filter(|(_, image)| bad(image)).map(|(field, image)| {
            let allowed = "allowed is the name of an image, such as registry.example.com/proxy:1.0";
            format!("images.{field} is {image:?}; {allowed}")
        });
        let secrets = self
            .pull_secrets
            .iter()
            .filter(|name| bad(name))
            .map(|name| format!("images.pullSecrets has {name:?}; allowed are names of Secrets"));
        images.chain(secrets).collect()
    }
}

impl Default for Images {
    fn default() -> Self {
        Self {
            proxy: api::pod::PROXY_IMAGE.to_owned(),
            init_redirect: api::pod::INIT_IMAGE.to_owned(),
            init_redirect_iptables: api::pod::INIT_IPTABLES_IMAGE.to_owned(),
            pull_secrets: Vec::new(),
        }
    }
}
