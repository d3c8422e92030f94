//! The init container that installs the redirect rules.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ResourceRequirements, SeccompProfile, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::options::Traffic;
use super::settings::RedirectBackend;
use super::{Settings, volumes};

/// It runs for milliseconds and alone, so its requests never raise what the pod reserves; they are there because a quota
/// refuses pods with a container that has none.
const REQUESTS: [(&str, &str); 2] = [("cpu", "10m"), ("memory", "16Mi")];

/// Its log becomes the termination message when it fails, which `kubectl describe` shows.
pub(super) const TERMINATION_MESSAGE: &str = "FallbackToLogsOnError";

pub(super) const PULL_POLICY: &str = "IfNotPresent";

pub(super) fn container(traffic: &Traffic, settings: &Settings) -> Container {
    Container {
        name: api::pod::INIT_CONTAINER.to_owned(),
        image: Some(settings.redirect_image().to_owned()),
        image_pull_policy: Some(PULL_POLICY.to_owned()),
        command: Some(vec![api::pod::INIT_BINARY.to_owned()]),
        args: Some(args(traffic, settings.redirect_backend)),
        resources: Some(ResourceRequirements {
            requests: Some(quantities(REQUESTS)),
            ..ResourceRequirements::default()
        }),
        security_context: Some(security_context(
            (api::pod::INIT_UID, api::pod::INIT_GID),
            capabilities(settings.redirect_backend),
        )),
        termination_message_policy: Some(TERMINATION_MESSAGE.to_owned()),
        volume_mounts: Some(volumes::init_mounts()),
        ..Container::default()
    }
}

/// The legacy programs open a raw socket to speak to the kernel.
fn capabilities(backend: RedirectBackend) -> &'static [&'static str] {
    match backend {
        RedirectBackend::Auto | RedirectBackend::Nft | RedirectBackend::IptablesNft => {
            &[api::pod::INIT_GRANTED_CAPABILITY]
        }
        RedirectBackend::IptablesLegacy => {
            &[api::pod::INIT_GRANTED_CAPABILITY, api::pod::INIT_LEGACY_CAPABILITY]
        }
    }
}

/// What the two containers have to agree on is always said; the rest only where an annotation says it.
fn args(traffic: &Traffic, backend: RedirectBackend) -> Vec<String> {
    let mut args = vec![
        format!("--outbound-port={}", api::ports::OUTBOUND),
        format!("--inbound-port={}", api::ports::INBOUND),
        format!("--proxy-uid={}", api::pod::PROXY_UID),
        format!("--proxy-gid={}", api::pod::PROXY_GID),
    ];
    let mut say = |flag: &str, value: Option<String>| {
        args.extend(value.map(|value| format!("--{flag}={value}")));
    };
    say("backend", backend.argument().map(ToOwned::to_owned));
    say("include-inbound-ports", traffic.include_inbound_ports.as_ref().map(ToString::to_string));
    say("exclude-inbound-ports", traffic.exclude_inbound_ports.as_ref().map(ToString::to_string));
    say("include-outbound-ports", traffic.include_outbound_ports.as_ref().map(ToString::to_string));
    say("exclude-outbound-ports", traffic.exclude_outbound_ports.as_ref().map(ToString::to_string));
    say("include-outbound-cidrs", traffic.include_outbound_cidrs.as_ref().map(ToString::to_string));
    say("exclude-outbound-cidrs", traffic.exclude_outbound_cidrs.as_ref().map(ToString::to_string));
    args
}

/// Everything explicit, at the container, so that nothing is inherited from the pod: a pod-level `runAsUser` would take
/// the proxy's exemption away. `allowPrivilegeEscalation: false` (no_new_privs) lets the binary's file capabilities
/// stand, since they gain nothing: the runtime's process holds the granted ones when it calls exec.
pub(super) fn security_context((uid, gid): (u32, u32), granted: &[&str]) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            add: (!granted.is_empty()).then(|| granted.iter().map(ToString::to_string).collect()),
            drop: Some(vec!["ALL".to_owned()]),
        }),
        privileged: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_group: Some(i64::from(gid)),
        run_as_non_root: Some(true),
        run_as_user: Some(i64::from(uid)),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..SecurityContext::default()
    }
}

fn quantities(values: [(&str, &str); 2]) -> BTreeMap<String, Quantity> {
    values.into_iter().map(|(name, value)| (name.to_owned(), Quantity(value.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::{RedirectBackend, Settings, container};
    use crate::inject::InjectArgs;

    fn init(redirect_backend: RedirectBackend) -> (String, Vec<String>, Vec<String>) {
        let args = InjectArgs {
            init_image: Some("init:1".to_owned()),
            init_iptables_image: Some("init-iptables:1".to_owned()),
            redirect_backend: Some(redirect_backend),
            ..InjectArgs::default()
        };
        let container = container(&Default::default(), &Settings::new(&args, "remora-system"));
        let granted =
            container.security_context.and_then(|context| context.capabilities).and_then(|set| set.add);
        (container.image.unwrap(), granted.unwrap(), container.args.unwrap())
    }

    #[test]
    fn the_backend_decides_about_image_capabilities_and_argument() {
        for (backend, image, granted, argument) in [
            (RedirectBackend::Auto, "init:1", &["NET_ADMIN"][..], None),
            (RedirectBackend::Nft, "init:1", &["NET_ADMIN"], Some("--backend=nft")),
            (RedirectBackend::IptablesNft, "init-iptables:1", &["NET_ADMIN"], Some("--backend=iptables-nft")),
            (
                RedirectBackend::IptablesLegacy,
                "init-iptables:1",
                &["NET_ADMIN", "NET_RAW"],
                Some("--backend=iptables-legacy"),
            ),
        ] {
            let found = init(backend);
            assert_eq!(
                (found.0.as_str(), found.1.as_slice()),
                (image, &granted.iter().map(ToString::to_string).collect::<Vec<_>>()[..])
            );
            let said = found.2.iter().find(|arg| arg.starts_with("--backend")).map(String::as_str);
            assert_eq!(said, argument, "{backend:?}");
        }
    }
}
