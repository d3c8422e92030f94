//! The sidecar's container.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, EnvVarSource, ExecAction, HTTPGetAction, Lifecycle, LifecycleHandler,
    ObjectFieldSelector, Probe, ResourceFieldSelector, ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as KubeQuantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::Names;
use super::options::{Mode, Options, Quantity, Resource, Resources, Traffic};
use super::{Settings, init, volumes};

/// What the scheduler reserves. CPU: as much as Istio asks for, since autoscalers compute use against requests and a
/// smaller share would starve the proxy on a full node. Memory: an idle proxy has 6 MiB, its state volume may hold 8, and
/// the rest is for twenty thousand idle connections.
const CPU_REQUEST: &str = "100m";
const MEMORY_REQUEST: &str = "64Mi";

/// Starting takes milliseconds; what takes longer is a node that has no CPU to give.
const STARTUP_PERIOD_SECONDS: i32 = 1;
const STARTUP_FAILURES: i32 = 600;

const READINESS_PERIOD_SECONDS: i32 = 5;
const READINESS_TIMEOUT_SECONDS: i32 = 3;
const READINESS_FAILURES: i32 = 3;

pub(super) fn container(
    options: &Options,
    names: &Names,
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> Container {
    let native = *options.mode == Mode::Native;
    Container {
        name: api::pod::PROXY_CONTAINER.to_owned(),
        image: Some(settings.images.proxy.clone()),
        image_pull_policy: Some(init::PULL_POLICY.to_owned()),
        command: Some(vec![api::pod::PROXY_BINARY.to_owned()]),
        env: Some(env(options, names)),
        // In the legacy form SIGTERM itself starts the drain.
        lifecycle: native.then(drain_before_stop),
        ports: Some(vec![ContainerPort {
            name: Some(api::pod::METRICS_PORT_NAME.to_owned()),
            container_port: i32::from(api::ports::METRICS),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        readiness_probe: Some(Probe {
            period_seconds: Some(READINESS_PERIOD_SECONDS),
            timeout_seconds: Some(READINESS_TIMEOUT_SECONDS),
            failure_threshold: Some(READINESS_FAILURES),
            ..ready(&options.traffic)
        }),
        resources: Some(resources(&options.resources, warnings)),
        restart_policy: native.then(|| "Always".to_owned()),
        security_context: Some(init::security_context((api::pod::PROXY_UID, api::pod::PROXY_GID), &[])),
        startup_probe: native.then(|| Probe {
            period_seconds: Some(STARTUP_PERIOD_SECONDS),
            failure_threshold: Some(STARTUP_FAILURES),
            ..ready(&options.traffic)
        }),
        termination_message_policy: Some(init::TERMINATION_MESSAGE.to_owned()),
        volume_mounts: Some(volumes::proxy_mounts()),
        ..Container::default()
    }
}

/// Through the captured port, where only a working redirect brings the probe to the proxy, wherever it is captured.
fn ready(traffic: &Traffic) -> Probe {
    let port = if traffic.captures_inbound(api::ports::READINESS_CAPTURED) {
        api::ports::READINESS_CAPTURED
    } else {
        api::ports::READINESS
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

/// A native sidecar gets its preStop hook when the pod's deletion starts, and SIGTERM when the applications are gone.
fn drain_before_stop() -> Lifecycle {
    Lifecycle {
        pre_stop: Some(LifecycleHandler {
            exec: Some(ExecAction {
                command: Some(vec![api::pod::PROXY_BINARY.to_owned(), "drain".to_owned()]),
            }),
            ..LifecycleHandler::default()
        }),
        ..Lifecycle::default()
    }
}

fn env(options: &Options, names: &Names) -> Vec<EnvVar> {
    use api::env;
    let mut variables = vec![
        from_field(env::POD_NAME, "metadata.name"),
        from_field(env::POD_NAMESPACE, "metadata.namespace"),
        from_field(env::POD_UID, "metadata.uid"),
        from_field(env::INSTANCE_IP, "status.podIP"),
        from_field(env::INSTANCE_IPS, "status.podIPs"),
        from_field(env::NODE_NAME, "spec.nodeName"),
        from_field(env::HOST_IP, "status.hostIP"),
        from_field(env::SERVICE_ACCOUNT, "spec.serviceAccountName"),
        value(env::WORKLOAD_NAME, &names.workload),
        value(env::CANONICAL_NAME, &names.canonical_name),
        value(env::CANONICAL_REVISION, &names.canonical_revision),
        value(
            env::CONTROL_PLANE,
            &format!("{}:{}", api::control::CONTROL_PLANE_HOST, api::ports::CONTROL_PLANE),
        ),
        value(env::SIDECAR_MODE, options.mode.as_str()),
        value(env::REDIRECT_MODE, env::REDIRECT_MODE_REDIRECT),
    ];
    variables.extend(env::PORTS.map(|(name, port)| value(name, &port.to_string())));
    variables.extend(options.log_level.map(|level| value(env::LOG, level.filter())));
    // Without a limit of its own the downward API would tell the proxy the node's whole capacity.
    if options.resources.cpu.limit.is_some() {
        variables.push(from_resource(env::CPU_LIMIT, "limits.cpu"));
    }
    if options.resources.memory.limit.is_some() {
        variables.push(from_resource(env::MEMORY_LIMIT, "limits.memory"));
    }
    variables
}

fn value(name: &str, value: &str) -> EnvVar {
    // The kubelet expands $(NAME) in values; a doubled dollar is a dollar.
    EnvVar { name: name.to_owned(), value: Some(value.replace('$', "$$")), ..EnvVar::default() }
}

fn from_field(name: &str, path: &str) -> EnvVar {
    let source = ObjectFieldSelector { field_path: path.to_owned(), api_version: None };
    from(name, EnvVarSource { field_ref: Some(source), ..EnvVarSource::default() })
}

/// In whole units, rounded up: cores, bytes.
fn from_resource(name: &str, resource: &str) -> EnvVar {
    let source = ResourceFieldSelector {
        resource: resource.to_owned(),
        divisor: Some(KubeQuantity("1".to_owned())),
        ..ResourceFieldSelector::default()
    };
    from(name, EnvVarSource { resource_field_ref: Some(source), ..EnvVarSource::default() })
}

fn from(name: &str, source: EnvVarSource) -> EnvVar {
    EnvVar { name: name.to_owned(), value_from: Some(source), ..EnvVar::default() }
}

fn resources(wanted: &Resources, warnings: &mut Vec<String>) -> ResourceRequirements {
    let (mut requests, mut limits) = (BTreeMap::new(), BTreeMap::new());
    for (name, resource, default) in
        [("cpu", &wanted.cpu, CPU_REQUEST), ("memory", &wanted.memory, MEMORY_REQUEST)]
    {
        requests.insert(name.to_owned(), KubeQuantity(request(name, resource, default, warnings)));
        if let Some(limit) = &resource.limit {
            limits.insert(name.to_owned(), KubeQuantity(limit.text().to_owned()));
        }
    }
    ResourceRequirements {
        requests: Some(requests),
        limits: (!limits.is_empty()).then_some(limits),
        ..ResourceRequirements::default()
    }
}

/// Kubernetes refuses a request above its limit, so it is lowered to it.
fn request(name: &str, resource: &Resource, default: &str, warnings: &mut Vec<String>) -> String {
    let default = Quantity::parse(default).ok();
    let wanted = resource.request.as_ref().or(default.as_ref());
    let text = |quantity: &Quantity| quantity.text().to_owned();
    match (wanted, &resource.limit) {
        (Some(wanted), Some(limit)) if wanted.exceeds(limit) => {
            warnings.push(format!(
                "the proxy's {name} request {} is above its limit {}; the request is lowered to the limit",
                wanted.text(),
                limit.text()
            ));
            text(limit)
        }
        (Some(wanted), _) => text(wanted),
        (None, _) => String::new(),
    }
}
