//! The layers: built in, mesh, namespace, pod, later ones win. Every key of every layer is parsed by the same row of the
//! registry.
//!
//! Invariant: what the mesh says is parsed once, when its configuration is read, and the texts that were read are kept
//! beside it; a review layers namespace and pod on top.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::pod::{Part, Pod};
use super::super::reason::Reason;
use super::super::{Namespace, Settings, Source};
use super::Options;
use super::draft::{Class, Draft, Read};
use super::registry;

/// What the mesh says about all pods: any annotation that a pod may have, and what it means.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Defaults {
    texts: BTreeMap<String, String>,
    options: Options,
    wrong: Vec<Reason>,
    warnings: Vec<String>,
}

impl Defaults {
    /// As the configuration file says them.
    pub fn texts(&self) -> &BTreeMap<String, String> {
        &self.texts
    }
}

impl From<BTreeMap<String, String>> for Defaults {
    fn from(said: BTreeMap<String, String>) -> Self {
        let nobody = BTreeSet::new();
        let mut draft = Draft::new(Options::default(), &nobody, "");
        layer(&mut draft, Source::Mesh, texts(&said));
        let (options, wrong, warnings) = draft.parts();
        Self { texts: said, options, wrong, warnings }
    }
}

impl From<Defaults> for BTreeMap<String, String> {
    fn from(defaults: Defaults) -> Self {
        defaults.texts
    }
}

impl Default for Defaults {
    /// A mesh that says nothing.
    fn default() -> Self {
        Self::from(BTreeMap::new())
    }
}

/// Reads what mesh, namespace and pod say.
pub(in super::super) fn read(pod: Pod<'_>, namespace: Namespace<'_>, settings: &Settings) -> Read {
    let defaults = &settings.defaults;
    let mut draft = Draft::new(of_mesh(settings), &settings.workload_overrides, namespace.name);
    // Of warnings whoever wrote the configuration was told when it was loaded.
    draft.refuse(&defaults.wrong);
    if let Some(metadata) = namespace.metadata {
        layer(&mut draft, Source::Namespace, texts(&metadata.annotations));
    }
    let annotations = pod.map(Part::Annotations).into_iter().flatten();
    layer(
        &mut draft,
        Source::Pod,
        annotations.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))),
    );
    draft.finish()
}

/// What holds where neither namespace nor pod says anything.
pub(super) fn of_mesh(settings: &Settings) -> Options {
    let mut options = settings.defaults.options.clone();
    if let Some(version) = &settings.minimum_kubernetes_version {
        options.runs_on(version);
    }
    options
}

/// Everything that is wrong, or without effect, in what the configuration file says about all pods.
pub(in super::super) fn problems(settings: &Settings) -> Vec<String> {
    let overrides = settings.workload_overrides.iter().filter_map(|name| match registry::find(name) {
        Some(key) if key.class == Class::Admin => None,
        Some(key) => Some(format!(
            "workloadOverrides: {name} is not a key that this opens; it is {}",
            key.class.told()
        )),
        None => Some(format!("workloadOverrides: {}", registry::unknown(name))),
    });
    let defaults = &settings.defaults;
    let wrong = defaults.wrong.iter().map(|reason| reason.text.clone());
    wrong.chain(defaults.warnings.iter().cloned()).chain(overrides).collect()
}

fn layer<'t>(draft: &mut Draft<'_>, source: Source, entries: impl Iterator<Item = (&'t str, &'t str)>) {
    for (name, text) in entries {
        match registry::find(name) {
            Some(key) => draft.key(source, (key, registry::rank(key.name_as(name))), name, text),
            None if registry::is_ours(name) => draft.warn_at(source, &registry::unknown(name)),
            None => {}
        }
    }
}

fn texts(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}
