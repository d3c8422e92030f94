//! The MutatingWebhookConfiguration. Its certificate authority is not here: the running injector publishes it.

use serde_json::{Value, json};

use crate::inject::{Entry, Settings, entries};

/// The configuration that sends to the injector what the rules are about.
pub fn webhook_configuration(settings: &Settings) -> Value {
    let webhooks: Vec<Value> = entries(settings).iter().map(|one| entry(one, settings)).collect();
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": api::control::WEBHOOK_CONFIGURATION},
        "webhooks": webhooks,
    })
}

fn entry(entry: &Entry, settings: &Settings) -> Value {
    json!({
        "name": entry.name,
        "clientConfig": {"service": {
            "name": api::control::INJECTOR,
            "namespace": settings.own_namespace(),
            "path": entry.path(),
            "port": api::ports::WEBHOOK_SERVICE,
        }},
        "rules": [{
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["pods"],
            "scope": "Namespaced",
        }],
        "namespaceSelector": {"matchExpressions": entry.namespace},
        "objectSelector": {"matchExpressions": entry.object},
        "matchConditions": entry.conditions,
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "timeoutSeconds": api::control::WEBHOOK_TIMEOUT_SECONDS,
        // An Event is one; a dry run has none of them.
        "sideEffects": if settings.events { "NoneOnDryRun" } else { "None" },
        "reinvocationPolicy": "IfNeeded",
        "admissionReviewVersions": ["v1"],
    })
}
