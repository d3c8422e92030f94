//! The Quality of Service class that Kubernetes gives a pod by its CPU and memory, which decides whose memory is taken first.
//!
//! Invariant: quantities are compared and added exactly, in the finest unit that Kubernetes knows.

use serde::Serialize;
use serde_json::Value;

use super::options::Quantity;
use super::pod::Pod;

/// A class; later ones are evicted later.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum QosClass {
    /// Nothing is asked for.
    BestEffort,
    /// Something is.
    Burstable,
    /// All that may be used is reserved, of both resources.
    Guaranteed,
}

/// Resources whose requests and limits decide about the class.
pub(super) const OF_CLASS: [&str; 2] = ["cpu", "memory"];

/// What is reserved and what may be used of one resource, summed up.
#[derive(Clone, Copy, Default)]
struct Sums {
    requests: u128,
    limits: u128,
}

impl Sums {
    fn ask(&self) -> bool {
        self.requests > 0 || self.limits > 0
    }
}

impl QosClass {
    /// The class of a pod, or of the template of one. What is no pod asks for nothing.
    pub fn of(pod: &Value) -> Self {
        Pod::new(pod).map_or(Self::BestEffort, Self::of_pod)
    }

    /// By what the pod as a whole asks for where it says so, else by all its containers, those of init too.
    pub(super) fn of_pod(pod: Pod<'_>) -> Self {
        if decides_as_a_whole(pod) {
            return Self::of_all(std::iter::once(pod.spec("resources")));
        }
        Self::of_all(pod.all_containers().map(|container| container.get("resources")))
    }

    fn of_all<'a>(all: impl Iterator<Item = Option<&'a Value>>) -> Self {
        let mut sums = [Sums::default(); OF_CLASS.len()];
        let mut limited = true;
        for resources in all {
            for (name, sums) in OF_CLASS.iter().zip(&mut sums) {
                let limit = amount(resources, "limits", name);
                limited &= limit.is_some();
                // The API server fills an absent request in from the limit; a file has not been there yet.
                let request = if says(resources, "requests", name) {
                    amount(resources, "requests", name)
                } else {
                    limit
                };
                sums.requests = sums.requests.saturating_add(request.unwrap_or_default());
                sums.limits = sums.limits.saturating_add(limit.unwrap_or_default());
            }
            if !limited && sums.iter().any(Sums::ask) {
                return Self::Burstable;
            }
        }
        if !sums.iter().any(Sums::ask) {
            return Self::BestEffort;
        }
        let equal = sums.iter().all(|sums| sums.requests == sums.limits);
        if equal { Self::Guaranteed } else { Self::Burstable }
    }

    /// As the pod's status has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BestEffort => "BestEffort",
            Self::Burstable => "Burstable",
            Self::Guaranteed => "Guaranteed",
        }
    }
}

/// Whether the pod's own resources, and not those of its containers, decide about its class.
pub(super) fn decides_as_a_whole(pod: Pod<'_>) -> bool {
    OF_CLASS.iter().any(|name| pod_says(pod, name))
}

/// Whether the pod itself, and not its containers, says something about a resource; zero is something.
pub(super) fn pod_says(pod: Pod<'_>, name: &str) -> bool {
    ["requests", "limits"].iter().any(|list| says(pod.spec("resources"), list, name))
}

/// What counts of a resource, in units of 10^-9; zero does not.
pub(super) fn amount(resources: Option<&Value>, list: &str, name: &str) -> Option<u128> {
    quantity(resources, list, name).map(|quantity| quantity.nanos())
}

/// The quantity of a resource, if it counts.
pub(super) fn quantity(resources: Option<&Value>, list: &str, name: &str) -> Option<Quantity> {
    let parsed = |text: &str| Quantity::parse(text).ok();
    match resources?.get(list)?.get(name)? {
        Value::String(text) => parsed(text),
        // A file may have a number.
        Value::Number(number) => parsed(&number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn says(resources: Option<&Value>, list: &str, name: &str) -> bool {
    resources.and_then(|resources| resources.get(list)?.get(name)).is_some_and(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::QosClass;

    fn class(spec: Value) -> QosClass {
        QosClass::of(&json!({"metadata": {}, "spec": spec}))
    }

    #[test]
    fn classes_are_those_of_kubernetes() {
        use QosClass::{BestEffort, Burstable, Guaranteed};
        let limits = |cpu: &str, memory: &str| json!({"limits": {"cpu": cpu, "memory": memory}});
        let equal = |cpu: &str, memory: &str| json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}});
        let same =
            json!({"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {"cpu": 1, "memory": "1Gi"}});
        let more =
            json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}});
        let none =
            json!({"requests": {"cpu": "0", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}});
        for (containers, expected) in [
            (vec![], BestEffort),
            (vec![json!({})], BestEffort),
            (vec![Value::Null], BestEffort),
            (vec![json!({"requests": {"cpu": "0"}})], BestEffort),
            (vec![json!({"requests": {"ephemeral-storage": "1Gi"}})], BestEffort),
            (vec![equal("1", "1Gi")], Guaranteed),
            (vec![equal("1", "1Gi"), equal("0.5", "1e9")], Guaranteed),
            (vec![limits("1", "1Gi")], Guaranteed),
            (vec![same], Guaranteed),
            // Of three tenths a binary fraction has no exact sum.
            (vec![equal("100m", "1Gi"), equal("0.2", "1Gi"), equal("300m", "0.1Gi")], Guaranteed),
            (vec![equal("1", "1Gi"), json!({})], Burstable),
            (vec![json!({"limits": {"cpu": "1"}})], Burstable),
            (vec![json!({"requests": {"memory": "1"}})], Burstable),
            (vec![more], Burstable),
            (vec![none], Burstable),
            (vec![limits("0", "1Gi")], Burstable),
            (vec![limits("lots", "1Gi")], Burstable),
        ] {
            let all: Vec<Value> =
                containers.iter().map(|resources| json!({"resources": resources})).collect();
            assert_eq!(class(json!({"containers": all})), expected, "{containers:?}");
        }
        let app = json!([{"resources": limits("1", "1Gi")}]);
        let bare = json!({"containers": app, "initContainers": [{}]});
        assert_eq!(class(bare), Burstable, "init containers count");
        let limited = json!({"containers": app, "initContainers": app});
        assert_eq!(class(limited), Guaranteed);
    }

    #[test]
    fn a_pod_that_asks_as_a_whole_is_classed_by_that() {
        let whole = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
        assert_eq!(class(json!({"containers": [{}], "resources": whole})), QosClass::Guaranteed);
        let asks = json!({"requests": {"cpu": "1"}});
        let limited = json!([{"resources": whole}]);
        assert_eq!(class(json!({"containers": limited, "resources": asks})), QosClass::Burstable);
        assert_eq!(class(json!({"containers": limited, "resources": {}})), QosClass::Guaranteed);
    }
}
