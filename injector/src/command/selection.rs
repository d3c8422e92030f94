//! What an API server does with label selectors and the entries of webhook configurations, so that one can be told why a pod
//! is sent to a webhook or is not. Works on the JSON of the configuration, ours or anybody's.
//!
//! It deliberately evaluates no CEL: the conditions of our own entries are made from the same rules that decide about the
//! pod afterwards, and those of others are only told.

use std::collections::BTreeMap;

use serde_json::Value;

/// Labels of a pod or a namespace.
pub(super) type Labels = BTreeMap<String, String>;

/// An entry of a MutatingWebhookConfiguration or a ValidatingWebhookConfiguration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a>(pub(super) &'a Value);

impl<'a> Entry<'a> {
    /// The entries of a configuration.
    pub(super) fn all(configuration: &'a Value) -> impl Iterator<Item = Self> {
        configuration.get("webhooks").and_then(Value::as_array).into_iter().flatten().map(Self)
    }

    pub(super) fn name(self) -> &'a str {
        self.text("/name")
    }

    /// The path of the Service that is called; empty where it is none.
    pub(super) fn path(self) -> &'a str {
        self.text("/clientConfig/service/path")
    }

    /// Whether the API server fails what it cannot ask about; so it is by default.
    pub(super) fn fails_closed(self) -> bool {
        self.text("/failurePolicy") != "Ignore"
    }

    /// Whether it is asked about new pods.
    pub(super) fn sees_new_pods(self) -> bool {
        let rules = self.0.get("rules").and_then(Value::as_array).into_iter().flatten();
        let holds = |rule: &Value, field: &str, wanted: &[&str]| {
            let values = rule.get(field).and_then(Value::as_array).into_iter().flatten();
            values.filter_map(Value::as_str).any(|value| wanted.contains(&value))
        };
        rules.into_iter().any(|rule| {
            holds(rule, "apiGroups", &["", "*"])
                && holds(rule, "apiVersions", &["v1", "*"])
                && holds(rule, "operations", &["CREATE", "*"])
                && holds(rule, "resources", &["pods", "*", "*/*"])
                && rule.get("scope").and_then(Value::as_str) != Some("Cluster")
        })
    }

    /// Why its selectors do not match; nothing where they do.
    pub(super) fn unmet(self, namespace: &Labels, pod: &Labels) -> Option<String> {
        let selector = |name: &str| self.0.get(name).unwrap_or(&Value::Null);
        unmet(selector("namespaceSelector"), namespace, "namespace")
            .or_else(|| unmet(selector("objectSelector"), pod, "pod"))
    }

    /// Whether its selectors could match some pod of a namespace.
    pub(super) fn may_match_in(self, namespace: &Labels) -> bool {
        unmet(self.0.get("namespaceSelector").unwrap_or(&Value::Null), namespace, "namespace").is_none()
    }

    pub(super) fn text(self, pointer: &str) -> &'a str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// The labels of a namespace as the API server sees them: its name is always among them.
pub(super) fn namespace_labels(name: &str, labels: &Labels) -> Labels {
    let mut labels = labels.clone();
    labels.entry(api::labels::NAMESPACE_NAME.to_owned()).or_insert_with(|| name.to_owned());
    labels
}

/// The first requirement that does not hold. An absent or empty selector matches everything.
fn unmet(selector: &Value, labels: &Labels, whose: &str) -> Option<String> {
    let equal = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    for (key, wanted) in equal {
        let wanted = wanted.as_str().unwrap_or_default();
        if labels.get(key).map(String::as_str) != Some(wanted) {
            return Some(format!("{}; it must be {wanted:?}", found(key, labels, whose)));
        }
    }
    let expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    expressions.into_iter().find_map(|expression| unmet_expression(expression, labels, whose))
}

fn unmet_expression(expression: &Value, labels: &Labels, whose: &str) -> Option<String> {
    let key = expression.get("key").and_then(Value::as_str).unwrap_or_default();
    let operator = expression.get("operator").and_then(Value::as_str).unwrap_or_default();
    let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
    let values: Vec<&str> = values.filter_map(Value::as_str).collect();
    let value = labels.get(key).map(String::as_str);
    let among = value.is_some_and(|value| values.contains(&value));
    let (holds, must) = match operator {
        // What is absent is in no set, and so satisfies NotIn.
        "In" => (among, format!("must be one of {values:?}")),
        "NotIn" => (!among, format!("must not be one of {values:?}")),
        "Exists" => (value.is_some(), "must be there".to_owned()),
        "DoesNotExist" => (value.is_none(), "must be absent".to_owned()),
        _ => (false, format!("must satisfy the unknown operator {operator:?}")),
    };
    (!holds).then(|| format!("{}; it {must}", found(key, labels, whose)))
}

fn found(key: &str, labels: &Labels, whose: &str) -> String {
    match labels.get(key) {
        Some(value) => format!("the {whose}'s label {key} is {value:?}"),
        None => format!("the {whose} has no label {key}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Entry, Labels, unmet};

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn selectors_match_as_in_kubernetes() {
        let expression = |operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": "a", "operator": operator, "values": values}]});
        let (none, x) = (labels(&[]), labels(&[("a", "x")]));
        for (selector, on_none, on_x) in [
            (Value::Null, true, true),
            (json!({}), true, true),
            (json!({"matchLabels": {"a": "x"}}), false, true),
            (json!({"matchLabels": {"a": "y"}}), false, false),
            (expression("In", &["x", "y"]), false, true),
            (expression("NotIn", &["x"]), true, false),
            (expression("Exists", &[]), false, true),
            (expression("DoesNotExist", &[]), true, false),
            (expression("Near", &["x"]), false, false),
        ] {
            let met = |labels| unmet(&selector, labels, "pod").is_none();
            assert_eq!((met(&none), met(&x)), (on_none, on_x), "{selector}");
        }
        let text = unmet(&expression("In", &["y"]), &x, "pod").unwrap();
        assert_eq!(text, "the pod's label a is \"x\"; it must be one of [\"y\"]");
    }

    #[test]
    fn rules_of_others_are_read_with_their_wildcards() {
        for (rule, sees) in [
            (
                json!({"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}),
                true,
            ),
            (
                json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}),
                true,
            ),
            (
                json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods"]}),
                false,
            ),
            (
                json!({"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["*"]}),
                false,
            ),
            (
                json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/status"]}),
                false,
            ),
        ] {
            assert_eq!(Entry(&json!({"rules": [rule]})).sees_new_pods(), sees, "{rule}");
        }
    }
}
