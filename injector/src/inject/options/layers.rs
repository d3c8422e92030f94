//! The layers: built in, mesh, namespace, pod, later ones win. Every key of every layer is parsed by the same row of the
//! registry.

use std::collections::BTreeMap;

use super::super::pod::{Part, Pod};
use super::super::{Namespace, Settings, Source};
use super::draft::{Class, Draft, Read};
use super::registry;

/// Reads what mesh, namespace and pod say.
pub(in super::super) fn read(pod: Pod<'_>, namespace: Namespace<'_>, settings: &Settings) -> Read {
    let mut draft = Draft::new(settings, namespace.name);
    layer(&mut draft, Source::Mesh, texts(&settings.defaults));
    // Whoever wrote the configuration was told when it was loaded.
    draft.forget_warnings();
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

/// Everything that is wrong, or without effect, in what the configuration file says about all pods.
pub(in super::super) fn problems(settings: &Settings) -> Vec<String> {
    let mut draft = Draft::new(settings, "");
    layer(&mut draft, Source::Mesh, texts(&settings.defaults));
    let overrides = settings.workload_overrides.iter().filter_map(|name| match registry::find(name) {
        Some(key) if key.class == Class::Admin => None,
        Some(key) => Some(format!(
            "workloadOverrides: {name} is not a key that this opens; it is {}",
            key.class.told()
        )),
        None => Some(format!("workloadOverrides: {}", registry::unknown(name))),
    });
    let overrides: Vec<String> = overrides.collect();
    let Read { options, warnings } = draft.finish();
    let wrong = options.err().into_iter().flatten().map(|reason| reason.text);
    wrong.chain(warnings).chain(overrides).collect()
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
