//! Everything but the webhook configuration. It is `manifests/`, as it was when the program was built, in the namespace of the
//! settings.

use serde_json::{Value, json};

use super::Origin;
use crate::inject::Settings;

const RBAC: &str = include_str!("../../../manifests/rbac.yaml");

/// In the order of `manifests/kustomization.yaml`.
const WITHOUT_WEBHOOK: [&str; 5] = [
    include_str!("../../../manifests/namespace.yaml"),
    RBAC,
    include_str!("../../../manifests/service.yaml"),
    include_str!("../../../manifests/config.yaml"),
    include_str!("../../../manifests/deployment.yaml"),
];

/// The injector's command line in its Deployment.
const ARGUMENTS: &str = "/spec/template/spec/containers/0/args";

pub(super) fn rbac(settings: &Settings) -> Vec<Value> {
    documents(RBAC, settings)
}

/// Whoever may tell by Events may do it in every namespace, so the right is there only where it is used.
fn allow_events(role: &mut Value) {
    let is_ours = is(role, "ClusterRole");
    if let Some(rules) = role.get_mut("rules").and_then(Value::as_array_mut).filter(|_| is_ours) {
        rules.push(json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}));
    }
}

pub(super) fn without_webhook(settings: &Settings, origin: Origin<'_>) -> Vec<Value> {
    let mut all: Vec<Value> = WITHOUT_WEBHOOK.iter().flat_map(|text| documents(text, settings)).collect();
    // There is one ConfigMap, and it holds nothing else; and one Deployment, of one container.
    for object in &mut all {
        if let Some(text) = origin.configuration
            && is(object, "ConfigMap")
        {
            object["data"] = json!({ api::control::CONFIGURATION_KEY: text });
        }
        if is(object, "Deployment")
            && let Some(Value::Array(arguments)) = object.pointer_mut(ARGUMENTS)
        {
            arguments.extend(origin.arguments.iter().cloned().map(Value::String));
        }
    }
    all
}

fn documents(text: &str, settings: &Settings) -> Vec<Value> {
    let mut documents: Vec<Value> =
        serde_saphyr::from_multiple(text).expect("the manifests that this was built with are YAML");
    for document in &mut documents {
        rename(document, settings.own_namespace());
        if settings.events {
            allow_events(document);
        }
    }
    documents
}

fn is(object: &Value, kind: &str) -> bool {
    object.get("kind").and_then(Value::as_str) == Some(kind)
}

/// Puts another name wherever our namespace is named.
fn rename(value: &mut Value, namespace: &str) {
    match value {
        Value::String(text) if text == api::control::NAMESPACE => namespace.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, namespace)),
        Value::Object(fields) => fields.values_mut().for_each(|field| rename(field, namespace)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
