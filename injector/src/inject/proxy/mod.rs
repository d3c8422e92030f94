//! The sidecar's container.

mod env;
#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, ExecAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe,
    ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::Names;
use super::options::{Mode, Options};
use super::pod::Pod;
use super::{Settings, init, volumes};

/// Starting takes milliseconds; what takes longer is a node that has no CPU to give.
const STARTUP_PERIOD_SECONDS: i32 = 1;
const STARTUP_FAILURES: i32 = 600;

const READINESS_PERIOD_SECONDS: i32 = 5;
const READINESS_TIMEOUT_SECONDS: i32 = 3;

/// Whose sidecar it is.
pub(super) struct Host<'a> {
    pub(super) pod: Pod<'a>,
    pub(super) options: &'a Options,
    pub(super) names: &'a Names,
    pub(super) settings: &'a Settings,
}

pub(super) fn container(host: &Host<'_>, resources: ResourceRequirements) -> Container {
    let options = host.options;
    let native = *options.mode == Mode::Native;
    let identity = (options.identity.uid.get(), options.identity.gid.get());
    Container {
        name: api::pod::PROXY_CONTAINER.to_owned(),
        image: Some(options.proxy_image(host.settings)),
        image_pull_policy: Some(options.images.pull_policy.as_str().to_owned()),
        command: Some(vec![api::pod::PROXY_BINARY.to_owned()]),
        args: options.workers.map(|workers| vec![format!("--workers={workers}")]),
        env: Some(env::variables(host, resources.limits.as_ref())),
        lifecycle: lifecycle(options),
        ports: Some(vec![ContainerPort {
            name: Some(api::pod::METRICS_PORT_NAME.to_owned()),
            container_port: i32::from(api::ports::METRICS),
            ..ContainerPort::default()
        }]),
        readiness_probe: readiness_probe(options),
        resources: Some(resources),
        restart_policy: native.then(|| "Always".to_owned()),
        security_context: Some(init::security_context(identity, &[])),
        startup_probe: native.then(|| Probe {
            period_seconds: Some(STARTUP_PERIOD_SECONDS),
            failure_threshold: Some(STARTUP_FAILURES),
            ..ready(options)
        }),
        termination_message_policy: Some(init::TERMINATION_MESSAGE.to_owned()),
        volume_mounts: Some(
            volumes::proxy_mounts().into_iter().chain(options.mounts.iter().cloned()).collect(),
        ),
        ..Container::default()
    }
}

fn readiness_probe(options: &Options) -> Option<Probe> {
    let readiness = &options.readiness;
    if *readiness.port == Some(0) {
        return None;
    }
    // What is Kubernetes' default is left to it: the delay, and three failures.
    Some(Probe {
        initial_delay_seconds: *readiness.initial_delay,
        period_seconds: readiness.period.or(Some(READINESS_PERIOD_SECONDS)),
        timeout_seconds: readiness.timeout.or(Some(READINESS_TIMEOUT_SECONDS)),
        failure_threshold: *readiness.failures,
        ..ready(options)
    })
}

/// Through the captured port, where only a working redirect brings the probe to the proxy, wherever it is captured.
fn ready(options: &Options) -> Probe {
    let port = if options.traffic.captures_inbound(api::ports::READINESS_CAPTURED) {
        api::ports::READINESS_CAPTURED
    } else {
        options.readiness_port()
    };
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(api::control::READY_PATH.to_owned()),
            port: IntOrString::Int(i32::from(port)),
            ..HTTPGetAction::default()
        }),
        ..Probe::default()
    }
}

/// A native sidecar gets its preStop hook when the pod's deletion starts, and SIGTERM when the applications are gone; the
/// startup probe has held them at the start. In the legacy form SIGTERM itself starts the drain, and what holds is a hook:
/// the kubelet starts the next container only when it has returned.
fn lifecycle(options: &Options) -> Option<Lifecycle> {
    let exec = |subcommand: &str| LifecycleHandler {
        exec: Some(ExecAction {
            command: Some(vec![api::pod::PROXY_BINARY.to_owned(), subcommand.to_owned()]),
        }),
        ..LifecycleHandler::default()
    };
    match *options.mode {
        Mode::Native => Some(Lifecycle { pre_stop: Some(exec("drain")), ..Lifecycle::default() }),
        Mode::Legacy if *options.hold => {
            Some(Lifecycle { post_start: Some(exec("wait")), ..Lifecycle::default() })
        }
        Mode::Legacy => None,
    }
}
