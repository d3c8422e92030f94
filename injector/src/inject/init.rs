//! The init container that installs the redirect rules.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ResourceRequirements, SeccompProfile, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::options::Traffic;
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
        image: Some(settings.init_image.clone()),
        image_pull_policy: Some(PULL_POLICY.to_owned()),
        command: Some(vec![api::pod::INIT_BINARY.to_owned()]),
        args: Some(args(traffic)),
        resources: Some(ResourceRequirements {
            requests: Some(quantities(REQUESTS)),
            ..ResourceRequirements::default()
        }),
        security_context: Some(security_context(
            (api::pod::INIT_UID, api::pod::INIT_GID),
            Some(api::pod::INIT_GRANTED_CAPABILITY),
        )),
        termination_message_policy: Some(TERMINATION_MESSAGE.to_owned()),
        volume_mounts: Some(volumes::init_mounts()),
        ..Container::default()
    }
}

/// What the two containers have to agree on is always said; the rest only where an annotation says it.
fn args(traffic: &Traffic) -> Vec<String> {
    let mut args = vec![
        format!("--outbound-port={}", api::ports::OUTBOUND),
        format!("--inbound-port={}", api::ports::INBOUND),
        format!("--proxy-uid={}", api::pod::PROXY_UID),
        format!("--proxy-gid={}", api::pod::PROXY_GID),
    ];
    let mut say = |flag: &str, value: Option<String>| {
        args.extend(value.map(|value| format!("--{flag}={value}")));
    };
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
pub(super) fn security_context((uid, gid): (u32, u32), capability: Option<&str>) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            add: capability.map(|capability| vec![capability.to_owned()]),
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
