//! The init container that installs the redirect rules.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ResourceRequirements, SeccompProfile, SecurityContext,
};

use super::options::{Options, Ports};
use super::settings::RedirectBackend;
use super::{Settings, volumes};

/// Its log becomes the termination message when it fails, which `kubectl describe` shows.
pub(super) const TERMINATION_MESSAGE: &str = "FallbackToLogsOnError";

/// Nothing where no rules are asked for.
pub(super) fn container(
    options: &Options,
    resources: ResourceRequirements,
    settings: &Settings,
) -> Option<Container> {
    options.traffic.is_redirected().then(|| Container {
        name: api::pod::INIT_CONTAINER.to_owned(),
        image: Some(settings.redirect_image().to_owned()),
        image_pull_policy: Some(options.images.pull_policy.as_str().to_owned()),
        command: Some(vec![api::pod::INIT_BINARY.to_owned()]),
        args: Some(args(options, settings.redirect_backend)),
        resources: Some(resources),
        security_context: Some(security_context(
            (api::pod::INIT_UID, api::pod::INIT_GID),
            capabilities(settings.redirect_backend),
        )),
        termination_message_policy: Some(TERMINATION_MESSAGE.to_owned()),
        volume_mounts: Some(volumes::init_mounts()),
        ..Container::default()
    })
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

/// What the two containers have to agree on is always said; the rest only where somebody says it.
fn args(options: &Options, backend: RedirectBackend) -> Vec<String> {
    let traffic = &options.traffic;
    let mut args = vec![
        format!("--outbound-port={}", api::ports::OUTBOUND),
        format!("--inbound-port={}", api::ports::INBOUND),
        format!("--proxy-uid={}", *options.identity.uid),
        format!("--proxy-gid={}", *options.identity.gid),
    ];
    let mut say = |flag: &str, value: Option<String>| {
        args.extend(value.map(|value| format!("--{flag}={value}")));
    };
    say("backend", backend.argument().map(ToOwned::to_owned));
    say("include-inbound-ports", told(&traffic.include_inbound_ports));
    say("exclude-inbound-ports", excluded_inbound_ports(options).map(|ports| ports.to_string()));
    say("include-inbound-cidrs", told(&traffic.include_inbound_cidrs));
    say("exclude-inbound-cidrs", told(&traffic.exclude_inbound_cidrs));
    say("include-outbound-ports", told(&traffic.include_outbound_ports));
    say("exclude-outbound-ports", told(&traffic.exclude_outbound_ports));
    say("include-outbound-cidrs", told(&traffic.include_outbound_cidrs));
    say("exclude-outbound-cidrs", told(&traffic.exclude_outbound_cidrs));
    say("exclude-interfaces", told(&traffic.exclude_interfaces));
    say("virtual-interfaces", told(&traffic.virtual_interfaces));
    say("exclude-uids", told(&traffic.exclude_uids));
    say("exclude-gids", told(&traffic.exclude_gids));
    args
}

fn told<T: ToString>(value: &Option<T>) -> Option<String> {
    value.as_ref().map(ToString::to_string)
}

/// A readiness port of the pod's own is served by the proxy directly, as the usual one is, which is never captured.
fn excluded_inbound_ports(options: &Options) -> Option<Ports> {
    let excluded = options.traffic.exclude_inbound_ports.as_ref();
    let port = options.readiness_port();
    if port == api::ports::READINESS {
        return excluded.cloned();
    }
    Some(excluded.map_or_else(|| Ports::default().with(port), |ports| ports.with(port)))
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

#[cfg(test)]
mod tests {
    use super::{RedirectBackend, Settings, container};
    use crate::inject::InjectArgs;
    use crate::inject::options::Options;

    fn init(redirect_backend: RedirectBackend) -> (String, Vec<String>, Vec<String>) {
        let args = InjectArgs {
            init_image: Some("init:1".to_owned()),
            init_iptables_image: Some("init-iptables:1".to_owned()),
            redirect_backend: Some(redirect_backend),
            ..InjectArgs::default()
        };
        let settings = Settings::new(&args, "remora-system");
        let container = container(&Options::default(), Default::default(), &settings).unwrap();
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
