//! The proxy's environment.

use std::collections::BTreeMap;

use api::env;
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, ResourceFieldSelector};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Host;
use crate::inject::options::Options;

/// What the proxy does by itself.
const DRAIN_DEADLINE: &str = "25s";

pub(super) fn variables(host: &Host<'_>, limits: Option<&BTreeMap<String, Quantity>>) -> Vec<EnvVar> {
    let (options, names) = (host.options, host.names);
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
        from_label(env::APP, names.app_label),
        from_label(env::APP_VERSION, names.version_label),
        value(env::CLUSTER, &host.settings.cluster_name),
        value(
            env::CONTROL_PLANE,
            &format!("{}:{}", api::control::CONTROL_PLANE_HOST, api::ports::CONTROL_PLANE),
        ),
        value(env::SIDECAR_MODE, options.mode.as_str()),
        value(env::REDIRECT_MODE, options.traffic.interception.as_str()),
    ];
    let readiness = options.readiness_port();
    if readiness != api::ports::READINESS {
        variables.push(value(env::READINESS_PORT, &readiness.to_string()));
    }
    variables.extend(asked_for(host.options));
    let deadline = options.drain_deadline(host.pod.grace()).to_string();
    if deadline != DRAIN_DEADLINE {
        variables.push(value(env::DRAIN_DEADLINE, &deadline));
    }
    // Without a limit of its own the downward API would tell the proxy the node's whole capacity.
    let limited = |resource: &str| limits.is_some_and(|limits| limits.contains_key(resource));
    for (name, resource) in [(env::CPU_LIMIT, "cpu"), (env::MEMORY_LIMIT, "memory")] {
        if limited(resource) {
            variables.push(from_resource(name, &format!("limits.{resource}")));
        }
    }
    variables.extend(options.env.iter().map(|variable| value(&variable.name, &variable.value)));
    variables
}

/// What is said only where somebody asks for it.
fn asked_for(options: &Options) -> impl Iterator<Item = EnvVar> {
    let log = &options.log;
    let text = |value: &Option<_>| value.map(|period: crate::inject::options::Period| period.to_string());
    let (traffic, spans) = (&options.traffic, &options.spans);
    let virtual_clients =
        traffic.is_redirected() && traffic.virtual_interfaces.as_ref().is_some_and(|names| !names.is_empty());
    let opaque = Some(&*options.opaque_ports).filter(|ports| !ports.is_empty()).map(ToString::to_string);
    [
        (env::LOG, log.filter()),
        (env::LOG_FORMAT, log.format.map(|format| format.as_str().to_owned())),
        (env::ACCESS_LOG, log.access.map(|access| access.as_str().to_owned())),
        (env::DRAIN_DELAY, text(&options.drain.delay)),
        (env::INBOUND_CONNECT_TIMEOUT, text(&options.connect.inbound)),
        (env::OUTBOUND_CONNECT_TIMEOUT, text(&options.connect.outbound)),
        (env::VIRTUAL_INTERFACES, virtual_clients.then(|| true.to_string())),
        (env::OPAQUE_PORTS, opaque),
        (env::TRACE_COLLECTOR, spans.collector.as_ref().map(ToString::to_string)),
        (env::TRACE_PROTOCOL, spans.protocol().map(|protocol| protocol.to_string())),
        (env::TRACE_SAMPLING, spans.sampling.as_ref().map(ToString::to_string)),
        (env::TRACE_QUEUE, spans.queue.as_ref().map(ToString::to_string)),
    ]
    .into_iter()
    .filter_map(|(name, text)| text.map(|text| value(name, &text)))
}

fn value(name: &str, value: &str) -> EnvVar {
    // The kubelet expands $(NAME) in values; a doubled dollar is a dollar.
    EnvVar { name: name.to_owned(), value: Some(value.replace('$', "$$")), ..EnvVar::default() }
}

fn from_field(name: &str, path: &str) -> EnvVar {
    let source = ObjectFieldSelector { field_path: path.to_owned(), api_version: None };
    from(name, EnvVarSource { field_ref: Some(source), ..EnvVarSource::default() })
}

/// An empty text where the pod has no such label when the container starts.
fn from_label(name: &str, label: &str) -> EnvVar {
    from_field(name, &format!("metadata.labels['{label}']"))
}

/// In whole units, rounded up: cores, bytes.
fn from_resource(name: &str, resource: &str) -> EnvVar {
    let source = ResourceFieldSelector {
        resource: resource.to_owned(),
        divisor: Some(Quantity("1".to_owned())),
        ..ResourceFieldSelector::default()
    };
    from(name, EnvVarSource { resource_field_ref: Some(source), ..EnvVarSource::default() })
}

fn from(name: &str, source: EnvVarSource) -> EnvVar {
    EnvVar { name: name.to_owned(), value_from: Some(source), ..EnvVar::default() }
}
