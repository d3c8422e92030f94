//! The webhook configuration and the Deployment behind it: there, as this version exports it, and answered by enough replicas.

use serde_json::Value;

use super::super::selection::Entry;
use super::Check;
use super::seen::Seen;

const CONFIGURATION: &str = "webhook-configuration";
const REPLICAS: &str = "replicas";
const APPLY: &str = "injector export webhook | kubectl apply -f -";

pub(super) fn checks(seen: &Seen, expected: &Value) -> Vec<Check> {
    vec![configuration(seen, expected), replicas(seen)]
}

fn configuration(seen: &Seen, expected: &Value) -> Check {
    let found = match seen.configuration() {
        Ok(Some(found)) => found,
        Ok(None) => {
            let name = api::control::WEBHOOK_CONFIGURATION;
            return Check::fail(
                CONFIGURATION,
                format!("MutatingWebhookConfiguration {name} does not exist: nothing is injected"),
                APPLY,
            );
        }
        Err(error) => return Check::unseen(CONFIGURATION, &error),
    };
    let differences = differences(expected, found);
    if differences.is_empty() {
        let entries = Entry::all(found).count();
        return Check::ok(CONFIGURATION, format!("{entries} entries, as this version exports them"));
    }
    let found = format!("other than this version exports it: {}", differences.join("; "));
    Check::fail(CONFIGURATION, found, APPLY)
}

/// Where the entries that were found are not as they should be. What the API server adds by default, and the bundle, which
/// is the injector's to write, do not count.
fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    for wanted in Entry::all(expected) {
        match Entry::all(found).find(|entry| entry.name() == wanted.name()) {
            Some(entry) => {
                let faults = &mut differences;
                compare(wanted.0, entry.0, wanted.name(), faults);
            }
            None => differences.push(format!("entry {} is missing", wanted.name())),
        }
    }
    for entry in Entry::all(found) {
        if Entry::all(expected).all(|wanted| wanted.name() != entry.name()) {
            differences.push(format!("entry {} is not known", entry.name()));
        }
    }
    differences
}

fn compare(wanted: &Value, found: &Value, path: &str, differences: &mut Vec<String>) {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            for (key, value) in wanted.iter().filter(|(key, _)| *key != "caBundle") {
                compare(value, found.get(key).unwrap_or(&Value::Null), &format!("{path}.{key}"), differences);
            }
            // A selector or a list of conditions that should not be there narrows or widens what is sent.
            let narrowing = ["namespaceSelector", "objectSelector", "matchConditions", "matchLabels"];
            for key in narrowing.iter().filter(|key| !wanted.contains_key(**key)) {
                if found.get(*key).is_some_and(|value| !is_empty(value)) {
                    differences.push(format!("{path}.{key} should not be there"));
                }
            }
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            for (position, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                compare(wanted, found, &format!("{path}[{position}]"), differences);
            }
        }
        (Value::Null, _) => {}
        (wanted, found) if is_empty(wanted) && (found.is_null() || is_empty(found)) => {}
        (wanted, found) if wanted != found => {
            differences.push(format!("{path} is {found}, not {wanted}"));
        }
        (_, _) => {}
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

fn replicas(seen: &Seen) -> Check {
    let deployment = match &seen.deployment {
        Ok(Some(deployment)) => deployment,
        Ok(None) => {
            return Check::fail(
                REPLICAS,
                format!("Deployment {}/{} does not exist", seen.own, api::control::INJECTOR),
                "injector export manifests | kubectl apply -f -, or name the injector's namespace by --control-namespace",
            );
        }
        Err(error) => return Check::unseen(REPLICAS, error),
    };
    let count =
        |pointer: &str, default| deployment.pointer(pointer).and_then(Value::as_u64).unwrap_or(default);
    let (wanted, ready) = (count("/spec/replicas", 1), count("/status/readyReplicas", 0));
    let found = format!("{ready} of {wanted} ready");
    let target = format!("-n {} deployment/{}", seen.own, api::control::INJECTOR);
    match (wanted, ready) {
        (0, _) => Check::fail(
            REPLICAS,
            "scaled to zero: pods of labelled namespaces are refused".to_owned(),
            format!("kubectl scale {target} --replicas=2"),
        ),
        (_, 0) => Check::fail(REPLICAS, found, format!("kubectl logs {target}")),
        (1, _) => Check::warn(
            REPLICAS,
            format!("{found}: while it restarts, pods of labelled namespaces are refused"),
            format!("kubectl scale {target} --replicas=2"),
        ),
        (_, _) if ready < wanted => Check::warn(REPLICAS, found, format!("kubectl logs {target}")),
        (_, _) => Check::ok(REPLICAS, found),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::differences;

    #[test]
    fn defaults_and_the_bundle_are_no_difference() {
        let expected = json!({"webhooks": [{"name": "a", "timeoutSeconds": 5, "clientConfig": {"service": {"name": "s"}}}]});
        let found = json!({"webhooks": [{
            "name": "a", "timeoutSeconds": 5, "objectSelector": {}, "matchPolicy": "Equivalent",
            "clientConfig": {"caBundle": "eA==", "service": {"name": "s", "port": 443}},
        }]});
        assert_eq!(differences(&expected, &found), Vec::<String>::new());
    }

    #[test]
    fn what_changes_who_is_asked_is_a_difference() {
        let expected = json!({"webhooks": [
            {"name": "a", "failurePolicy": "Fail", "namespaceSelector": {"matchExpressions": [{"key": "k", "values": ["x"]}]}},
            {"name": "b"},
        ]});
        let found = json!({"webhooks": [
            {"name": "a", "failurePolicy": "Ignore", "objectSelector": {"matchLabels": {"y": "z"}},
             "namespaceSelector": {"matchExpressions": [{"key": "k", "values": ["x", "y"]}]}},
            {"name": "c"},
        ]});
        let differences = differences(&expected, &found);
        for part in [
            "failurePolicy is \"Ignore\", not \"Fail\"",
            "objectSelector should not",
            "values is",
            "b is missing",
            "c is not known",
        ] {
            assert!(differences.iter().any(|text| text.contains(part)), "{part} in {differences:?}");
        }
        assert_eq!(differences.len(), 5, "{differences:?}");
    }
}
