//! The API server's own record of which entries it called for which pod: its audit log.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long the last event may take after the last answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// An audit log that is switched on by the API server's arguments.
pub(crate) struct Audit {
    directory: TempDir,
}

/// Namespace and name of a pod.
pub(crate) type Key = (String, String);

impl Audit {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "Metadata", "verbs": ["create"], "resources": [{"group": "", "resources": ["pods"]}]},
                {"level": "None"},
            ],
        });
        std::fs::write(directory.path().join("policy.yaml"), policy.to_string()).expect("a policy");
        Self { directory }
    }

    /// For the API server.
    pub(crate) fn arguments(&self) -> [String; 2] {
        let policy = self.directory.path().join("policy.yaml");
        [
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", self.log().display()),
        ]
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }

    /// The entries that were called for each pod, in their order, once there are `count` pods.
    pub(crate) async fn called(&self, count: usize) -> HashMap<Key, Vec<String>> {
        let read = async {
            loop {
                let text = std::fs::read_to_string(self.log()).unwrap_or_default();
                // The last line may be on its way.
                let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
                let called: HashMap<_, _> = complete.lines().filter_map(event).collect();
                if called.len() >= count {
                    return called;
                }
                // Nothing announces an event.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("an audit event for every pod")
    }
}

fn event(line: &str) -> Option<(Key, Vec<String>)> {
    let event: Value = serde_json::from_str(line).ok()?;
    let text = |pointer: &str| Some(event.pointer(pointer)?.as_str()?.to_owned());
    let mut called = Vec::new();
    for (key, value) in event.get("annotations").and_then(Value::as_object).into_iter().flatten() {
        if key.starts_with("mutation.webhook.admission.k8s.io/") {
            let told: Value = serde_json::from_str(value.as_str()?).ok()?;
            called.push((key.clone(), told["webhook"].as_str()?.to_owned()));
        }
    }
    called.sort();
    let called = called.into_iter().map(|(_, webhook)| webhook).collect();
    Some(((text("/objectRef/namespace")?, text("/objectRef/name")?), called))
}
