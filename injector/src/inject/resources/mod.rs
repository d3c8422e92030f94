//! What our two containers reserve and may use: requests always, so that autoscalers compute and quotas admit; every value
//! overrides its own field only; and the pod keeps its class of service.
//!
//! Invariant: the init container never raises what the pod reserves, since its requests are no more than the proxy's, which
//! are not yet reserved while it runs.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as KubeQuantity;

use super::options::{Quantity, Resource, Resources};
use super::pod::Pod;
use super::qos::{self, OF_CLASS, QosClass};

/// What the scheduler reserves. CPU: as much as Istio asks for, since autoscalers compute use against requests and a
/// smaller share would starve the proxy on a full node. Memory: an idle proxy has 6 MiB, its state volume may hold 8, and
/// the rest is for twenty thousand idle connections.
pub(super) const CPU_REQUEST: &str = "100m";
pub(super) const MEMORY_REQUEST: &str = "64Mi";

/// The init container runs for milliseconds.
const INIT_CPU_REQUEST: &str = "10m";
const INIT_MEMORY_REQUEST: &str = "16Mi";

/// Requirements of both containers.
pub(super) struct Requirements {
    pub(super) proxy: ResourceRequirements,
    pub(super) init: ResourceRequirements,
}

/// One resource of the proxy.
struct Share<'a> {
    name: &'static str,
    wanted: &'a Resource,
    default: Option<&'static str>,
    init: Option<&'static str>,
}

impl Requirements {
    pub(super) fn new(wanted: &Resources, pod: Pod<'_>, warnings: &mut Vec<String>) -> Self {
        // Resources of the pod itself decide alone where they are there, and ours do not change that class.
        let guaranteed = !qos::decides_as_a_whole(pod) && QosClass::of_pod(pod) == QosClass::Guaranteed;
        let shares = [
            Share {
                name: "cpu",
                wanted: &wanted.cpu,
                default: Some(CPU_REQUEST),
                init: Some(INIT_CPU_REQUEST),
            },
            Share {
                name: "memory",
                wanted: &wanted.memory,
                default: Some(MEMORY_REQUEST),
                init: Some(INIT_MEMORY_REQUEST),
            },
            Share { name: "ephemeral-storage", wanted: &wanted.ephemeral_storage, default: None, init: None },
        ];
        let (mut proxy, mut init) = (Lists::default(), Lists::default());
        let mut kept = guaranteed;
        for share in shares {
            let (request, limit) = share.resolved(pod, guaranteed, warnings);
            kept &= !OF_CLASS.contains(&share.name) || (request.is_some() && request == limit);
            let equal = guaranteed && request == limit;
            proxy.add(share.name, request.clone(), limit.clone());
            // Where the class depends on it, and on a quota of limits, the init container has the proxy's.
            let least = share.init.and_then(parsed);
            let init_request = if equal { request } else { request.zip(least).map(|(a, b)| smaller(a, b)) };
            init.add(share.name, init_request, limit);
        }
        if guaranteed {
            warnings.push(class_told(kept, &proxy));
        }
        Self { proxy: proxy.into(), init: init.into() }
    }
}

fn class_told(kept: bool, proxy: &Lists) -> String {
    if !kept {
        return "the pod was Guaranteed and becomes Burstable, since the proxy's requests and limits of cpu and memory \
                differ as annotated"
            .to_owned();
    }
    let told: Vec<String> = OF_CLASS
        .iter()
        .filter_map(|name| proxy.limits.get(*name).map(|limit| format!("{name} {}", limit.0)))
        .collect();
    format!(
        "the pod is Guaranteed and stays so: the mesh's containers are limited to their requests, {}",
        told.join(" and ")
    )
}

impl Share<'_> {
    /// Request and limit.
    fn resolved(
        &self,
        pod: Pod<'_>,
        guaranteed: bool,
        warnings: &mut Vec<String>,
    ) -> (Option<Quantity>, Option<Quantity>) {
        let (request, limit) = ((*self.wanted.request).clone(), (*self.wanted.limit).clone());
        let of_class = OF_CLASS.contains(&self.name);
        let default = self.default.and_then(parsed);
        if of_class && qos::pod_says(pod, self.name) {
            return self.within(pod, (request, limit), warnings);
        }
        if of_class && guaranteed {
            let (request, limit) = match (request, limit) {
                (Some(request), None) => (Some(request.clone()), Some(request)),
                (None, Some(limit)) => (Some(limit.clone()), Some(limit)),
                (None, None) => (default.clone(), default),
                both => both,
            };
            return (clamped(request, &limit, self.name, warnings), limit);
        }
        (clamped(request.or(default), &limit, self.name, warnings), limit)
    }

    /// All containers share what the pod as a whole has; Kubernetes refuses one whose containers request more, or of which
    /// one may use more. Whoever wrote the pod need not know what the mesh asks for.
    fn within(
        &self,
        pod: Pod<'_>,
        (request, limit): (Option<Quantity>, Option<Quantity>),
        warnings: &mut Vec<String>,
    ) -> (Option<Quantity>, Option<Quantity>) {
        let name = self.name;
        let whole = pod_limit(pod, name);
        let limit = match (limit, whole) {
            (Some(limit), Some(whole)) if limit.exceeds(&whole) => {
                warnings.push(format!(
                    "the proxy's {name} limit {limit} is above the pod's, {whole}; it is lowered to it"
                ));
                Some(whole)
            }
            (limit, _) => limit,
        };
        let room = room(pod, name);
        let fits = |quantity: &Quantity| quantity.nanos() <= room;
        let asked = request.is_some() || limit.is_some();
        let default = self.default.and_then(parsed).filter(fits);
        let request = clamped(request.or(default), &limit, name, warnings).filter(fits);
        // Kubernetes takes a limit without a request for both.
        let limit = limit.filter(|limit| request.is_some() || fits(limit));
        if asked && request.is_none() && limit.is_none() {
            warnings.push(format!(
                "the proxy's {name} request does not fit into what the pod as a whole has beside its containers' requests; \
                 the proxy shares the pod's {name} without one of its own"
            ));
        }
        (request, limit)
    }
}

/// Kubernetes refuses a request above its limit, so it is lowered to it.
fn clamped(
    request: Option<Quantity>,
    limit: &Option<Quantity>,
    name: &str,
    warnings: &mut Vec<String>,
) -> Option<Quantity> {
    match (request, limit) {
        (Some(request), Some(limit)) if request.exceeds(limit) => {
            warnings.push(format!(
                "the proxy's {name} request {request} is above its limit {limit}; the request is lowered to the limit"
            ));
            Some(limit.clone())
        }
        (request, _) => request,
    }
}

fn parsed(text: &str) -> Option<Quantity> {
    Quantity::parse(text).ok()
}

fn smaller(one: Quantity, other: Quantity) -> Quantity {
    if one.exceeds(&other) { other } else { one }
}

#[derive(Default)]
struct Lists {
    requests: BTreeMap<String, KubeQuantity>,
    limits: BTreeMap<String, KubeQuantity>,
}

impl Lists {
    fn add(&mut self, name: &str, request: Option<Quantity>, limit: Option<Quantity>) {
        let quantity = |quantity: Quantity| KubeQuantity(quantity.to_string());
        self.requests.extend(request.map(|request| (name.to_owned(), quantity(request))));
        self.limits.extend(limit.map(|limit| (name.to_owned(), quantity(limit))));
    }
}

impl From<Lists> for ResourceRequirements {
    fn from(Lists { requests, limits }: Lists) -> Self {
        Self {
            requests: (!requests.is_empty()).then_some(requests),
            limits: (!limits.is_empty()).then_some(limits),
            ..Self::default()
        }
    }
}

/// What the pod as a whole may use of a resource.
fn pod_limit(pod: Pod<'_>, name: &str) -> Option<Quantity> {
    qos::quantity(pod.spec("resources"), "limits", name)
}

/// What the pod as a whole has and its containers have not requested, init containers counted like the others.
fn room(pod: Pod<'_>, name: &str) -> u128 {
    let own = pod.spec("resources");
    let requests = own.and_then(|own| own.get("requests")?.get(name)).filter(|value| !value.is_null());
    let list = if requests.is_some() { "requests" } else { "limits" };
    let whole = qos::amount(own, list, name).unwrap_or_default();
    let requested = pod.all_containers().map(|container| {
        let resources = container.get("resources");
        qos::amount(resources, "requests", name)
            .or_else(|| qos::amount(resources, "limits", name))
            .unwrap_or_default()
    });
    whole.saturating_sub(requested.fold(0, u128::saturating_add))
}

#[cfg(test)]
mod tests;
