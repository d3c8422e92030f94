//! Quantities as numbers, and what Kubernetes calls the quality of service of a pod.

use serde_json::Value;

use super::list;

/// A quantity's value; the first form that Kubernetes does not know is an error.
pub(super) fn parse(value: &Value) -> Result<f64, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other @ (Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
            return Err(format!("{other} is no quantity"));
        }
    };
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
    let (digits, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))
        .unwrap_or((&text, 1.0));
    let known =
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || b".+-eE".contains(&byte));
    let number = digits.parse::<f64>().ok().filter(|_| known);
    number.map(|number| number * factor).ok_or_else(|| format!("{text:?} is no quantity"))
}

/// The quality of service that Kubernetes derives from the resources.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Class {
    Guaranteed,
    Burstable,
    BestEffort,
}

/// The class of a pod.
pub(crate) fn class(pod: &Value) -> Class {
    let amount = |resources: &Value, kind: &str, resource: &str| {
        let value = &resources[kind][resource];
        parse(value).ok().filter(|amount| *amount > 0.0)
    };
    let own = &pod["spec"]["resources"];
    let all: Vec<&Value> = if own.is_null() {
        let containers = list(pod, "initContainers").iter().chain(list(pod, "containers"));
        containers.map(|container| &container["resources"]).collect()
    } else {
        vec![own]
    };
    let says = |resources: &&&Value| {
        ["requests", "limits"]
            .iter()
            .any(|kind| ["cpu", "memory"].iter().any(|resource| amount(resources, kind, resource).is_some()))
    };
    let full = |resources: &&Value| {
        ["cpu", "memory"].iter().all(|resource| {
            let limit = amount(resources, "limits", resource);
            let request = amount(resources, "requests", resource).or(limit);
            limit.is_some() && request == limit
        })
    };
    if all.iter().filter(says).count() == 0 {
        Class::BestEffort
    } else if all.iter().all(full) {
        Class::Guaranteed
    } else {
        Class::Burstable
    }
}
