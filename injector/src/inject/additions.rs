//! What injection adds to one pod: two containers, their volumes, labels and annotations; and whether a pod that says
//! it was injected still carries them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Volume};
use serde_json::Value;

use super::edit::Edit;
use super::facts::Facts;
use super::metadata::{self, Names};
use super::options::{Mode, Options};
use super::reason::Reason;
use super::status::{self, Status};
use super::{init, proxy, volumes};

/// Everything that is added.
pub(super) struct Additions {
    pub(super) mode: Mode,
    pub(super) init: Container,
    pub(super) proxy: Container,
    pub(super) volumes: Vec<Volume>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    /// What changes of the user's own.
    pub(super) edits: Vec<Edit>,
}

/// Fields of our containers that policy webhooks and LimitRangers may rewrite without taking anything from the mesh: a
/// registry mirror, a pull policy, a quota.
const FREE_FIELDS: [&str; 3] = ["image", "imagePullPolicy", "resources"];

impl Additions {
    pub(super) fn new(
        facts: &Facts<'_>,
        options: &Options,
        reasons: &[Reason],
        warnings: &mut Vec<String>,
    ) -> Self {
        let names = Names::of(facts);
        let labels = names.labels(facts.pod);
        let mut annotations = metadata::annotations(facts.pod);
        let status = Status {
            version: status::VERSION.to_owned(),
            config: facts.settings.hash.clone(),
            mode: options.mode.as_str().to_owned(),
            init_containers: match *options.mode {
                Mode::Native => owned(&[api::pod::INIT_CONTAINER, api::pod::PROXY_CONTAINER]),
                Mode::Legacy => owned(&[api::pod::INIT_CONTAINER]),
            },
            containers: match *options.mode {
                Mode::Native => Vec::new(),
                Mode::Legacy => owned(&[api::pod::PROXY_CONTAINER]),
            },
            volumes: owned(&api::pod::VOLUMES),
            labels: labels.keys().cloned().collect(),
            annotations: annotations.keys().cloned().collect(),
            reasons: reasons.iter().map(|reason| reason.code.as_str().to_owned()).collect(),
        };
        // Strings and lists of strings always serialize.
        let status = serde_json::to_string(&status).unwrap_or_default();
        annotations.insert(api::annotations::STATUS.to_owned(), status);
        Self {
            mode: *options.mode,
            init: init::container(&options.traffic, facts.settings),
            proxy: proxy::container(options, &names, facts.settings, warnings),
            volumes: volumes::volumes(),
            labels,
            annotations,
            edits: Vec::new(),
        }
    }

    /// What of ours the pod no longer carries as it was injected. An injection by another version or with other settings
    /// cannot be compared and is left as it is: during an upgrade both versions see the same pod.
    pub(super) fn altered(&self, facts: &Facts<'_>, previous: &Status) -> Option<String> {
        if !previous.is_current(facts.settings) {
            return None;
        }
        let places = match self.mode {
            Mode::Native => [("initContainers", &self.init), ("initContainers", &self.proxy)],
            Mode::Legacy => [("initContainers", &self.init), ("containers", &self.proxy)],
        };
        places.into_iter().find_map(|(list, container)| {
            let same_name = |found: &&Value| super::pod::name_of(found) == container.name;
            let Some(found) = facts.pod.spec_list(list).iter().find(same_name) else {
                return Some(format!("container {} of {list}", container.name));
            };
            // A container is text, numbers, lists and maps with text keys: it always serializes.
            let mut wanted = serde_json::to_value(container).unwrap_or_default();
            for field in FREE_FIELDS {
                wanted.as_object_mut()?.remove(field);
            }
            // A template that was injected as a file says its own name; its pods' owner may have another (a CronJob's
            // Job, a generated name).
            if let Some(env) = wanted.get_mut("env").and_then(Value::as_array_mut) {
                env.retain(|variable| super::pod::name_of(variable) != api::env::WORKLOAD_NAME);
            }
            difference(&wanted, found).map(|path| format!("{} of container {}", path, container.name))
        })
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The first place at which `found` has not what is wanted; what it has in addition (Kubernetes' defaults, somebody's
/// environment variable) does not count.
fn difference(wanted: &Value, found: &Value) -> Option<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => wanted.iter().find_map(|(key, value)| {
            let Some(found) = found.get(key) else { return Some(key.clone()) };
            difference(value, found).map(|path| joined(key, &path))
        }),
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.iter().enumerate().find_map(|(position, value)| {
                let found = match identity(value) {
                    Some((key, id)) => found.iter().find(|item| item.get(key) == Some(id)),
                    None => found.get(position),
                };
                let name = identity(value).and_then(|(_, id)| id.as_str().map(str::to_owned));
                let name = name.unwrap_or_else(|| position.to_string());
                let Some(found) = found else { return Some(name) };
                difference(value, found).map(|path| joined(&name, &path))
            })
        }
        (wanted, found) => (wanted != found).then(String::new),
    }
}

/// What tells the elements of a list apart: mounts their path, everything else its name.
fn identity(item: &Value) -> Option<(&'static str, &Value)> {
    ["mountPath", "name"].into_iter().find_map(|key| item.get(key).map(|id| (key, id)))
}

fn joined(first: &str, rest: &str) -> String {
    if rest.is_empty() { first.to_owned() } else { format!("{first}.{rest}") }
}
