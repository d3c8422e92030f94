//! The Quality of Service class that Kubernetes gives a pod by its CPU and memory, which decides whose memory is taken first.

use serde::Serialize;
use serde_json::Value;

/// A class; later ones are evicted later.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub(super) enum Class {
    BestEffort,
    Burstable,
    Guaranteed,
}

impl Class {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::BestEffort => "BestEffort",
            Self::Burstable => "Burstable",
            Self::Guaranteed => "Guaranteed",
        }
    }
}

const RESOURCES: [&str; 2] = ["cpu", "memory"];

/// The class of a pod: by what the pod as a whole asks for where it says so, else by all its containers, those of init too.
pub(super) fn class(pod: &Value) -> Class {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let whole = spec.get("resources").filter(|resources| asks(resources));
    let all: Vec<&Value> = match whole {
        Some(resources) => vec![resources],
        None => ["initContainers", "containers"]
            .iter()
            .flat_map(|field| spec.get(field).and_then(Value::as_array).into_iter().flatten())
            .map(|container| container.get("resources").unwrap_or(&Value::Null))
            .collect(),
    };
    if !all.iter().any(|resources| asks(resources)) {
        return Class::BestEffort;
    }
    if all.iter().all(|resources| is_guaranteed(resources)) { Class::Guaranteed } else { Class::Burstable }
}

fn amount(resources: &Value, kind: &str, resource: &str) -> Option<f64> {
    let quantity = resources.get(kind)?.get(resource)?;
    let amount = quantity.as_f64().or_else(|| parse(quantity.as_str()?))?;
    // Kubernetes takes zero for absent here.
    (amount > 0.0).then_some(amount)
}

fn asks(resources: &Value) -> bool {
    let asks = |kind| RESOURCES.iter().any(|resource| amount(resources, kind, resource).is_some());
    asks("requests") || asks("limits")
}

fn is_guaranteed(resources: &Value) -> bool {
    RESOURCES.iter().all(|resource| {
        let Some(limit) = amount(resources, "limits", resource) else { return false };
        // A request that is not written is the limit.
        let request = resources.get("requests").and_then(|requests| requests.get(*resource));
        request.is_none() || amount(resources, "requests", resource) == Some(limit)
    })
}

/// A quantity of Kubernetes as a number.
fn parse(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 15] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let suffix = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)));
    let (number, factor) = suffix.unwrap_or((text, 1.0));
    number.parse::<f64>().ok().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Class, class};

    #[test]
    fn classes_are_those_of_kubernetes() {
        let whole = json!({"limits": {"cpu": "500m", "memory": "64Mi"}});
        let equal = json!({"limits": {"cpu": "0.5", "memory": "64Mi"}, "requests": {"cpu": "500m", "memory": "65536Ki"}});
        let less = json!({"limits": {"cpu": 1, "memory": "1G"}, "requests": {"cpu": "500m"}});
        for (containers, inits, expected) in [
            (json!([{}]), json!([]), Class::BestEffort),
            (json!([{"resources": {"requests": {"cpu": "0"}}}]), json!(null), Class::BestEffort),
            (json!([{"resources": whole}]), json!([]), Class::Guaranteed),
            (json!([{"resources": equal}]), json!([{"resources": whole}]), Class::Guaranteed),
            (json!([{"resources": whole}]), json!([{}]), Class::Burstable),
            (json!([{"resources": less}]), json!([]), Class::Burstable),
            (json!([{"resources": {"requests": {"memory": "1"}}}]), json!([]), Class::Burstable),
        ] {
            let pod = json!({"spec": {"containers": containers, "initContainers": inits}});
            assert_eq!(class(&pod), expected, "{pod}");
        }
        let pod = json!({"spec": {"containers": [{}], "resources": whole}});
        assert_eq!(class(&pod), Class::Guaranteed);
    }
}
