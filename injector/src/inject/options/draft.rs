//! The layers: built in, mesh, namespace, pod, later ones win. Every key of every layer is parsed by the same row of the
//! registry, and everything that is wrong is told at once.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::pod::{Part, Pod};
use super::super::reason::{Code, Reason, quoted};
use super::super::{Namespace, Settings, Source};
use super::registry::{self, Class, Key};
use super::setting::{Origin, Setting};
use super::{Options, Parsed, Refusal};

/// More would not be read, and the API server cuts them anyway.
const MOST_WARNINGS: usize = 16;

/// What was read, and what its authors should know.
pub(in super::super) struct Read {
    /// The options, or every value that is wrong.
    pub(in super::super) options: Result<Options, Vec<Reason>>,
    pub(in super::super) warnings: Vec<String>,
}

/// Options in the making.
pub(super) struct Draft<'a> {
    pub(super) options: Options,
    settings: &'a Settings,
    namespace: &'a str,
    at: Origin,
    wrong: Vec<Reason>,
    warnings: Vec<String>,
    left_out: usize,
}

/// Reads what mesh, namespace and pod say.
pub(in super::super) fn read(pod: Pod<'_>, namespace: Namespace<'_>, settings: &Settings) -> Read {
    let mut draft = Draft::new(settings, namespace.name);
    draft.layer(Source::Mesh, texts(&settings.defaults));
    // Whoever wrote the configuration was told when it was loaded.
    draft.warnings.clear();
    if let Some(metadata) = namespace.metadata {
        draft.layer(Source::Namespace, texts(&metadata.annotations));
    }
    let annotations = pod.map(Part::Annotations).into_iter().flatten();
    draft.layer(Source::Pod, annotations.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))));
    draft.finish()
}

/// Everything that is wrong, or without effect, in what the configuration file says about all pods.
pub(in super::super) fn problems(settings: &Settings) -> Vec<String> {
    let mut draft = Draft::new(settings, "");
    draft.layer(Source::Mesh, texts(&settings.defaults));
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

fn texts(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

impl<'a> Draft<'a> {
    fn new(settings: &'a Settings, namespace: &'a str) -> Self {
        Self {
            options: Options::built_in(settings),
            settings,
            namespace,
            at: Origin::default(),
            wrong: Vec::new(),
            warnings: Vec::new(),
            left_out: 0,
        }
    }

    fn layer<'t>(&mut self, source: Source, entries: impl Iterator<Item = (&'t str, &'t str)>) {
        for (name, text) in entries {
            self.at.source = source;
            match registry::find(name) {
                Some(key) => self.key(key, name, text),
                None if registry::is_ours(name) => {
                    self.warn(format!("{}{}", self.of(), registry::unknown(name)))
                }
                None => {}
            }
        }
    }

    fn key(&mut self, key: &'static Key, name: &str, text: &str) {
        let said = key.name_as(name);
        self.at = Origin { source: self.at.source, key: Some(said), rank: registry::rank(said) };
        match key.class {
            Class::Workload => self.set(key, text),
            Class::Admin | Class::Operator if self.at.source != Source::Pod => self.set(key, text),
            Class::Admin if self.settings.workload_overrides.contains(name) => self.set(key, text),
            Class::Admin | Class::Operator => {
                self.wrong.push(Reason::new(Code::AdminOnly, admin_only(key, said)))
            }
            Class::WithoutEffect => self.warn(format!("{}{said} has no effect: {}", self.of(), key.effect)),
            Class::Selection | Class::Written => {}
        }
    }

    /// Takes the value of a key, or tells what is wrong with it.
    pub(super) fn set(&mut self, key: &Key, text: &str) {
        match (key.set)(self, text) {
            Ok(()) => {}
            Err(Refusal::Malformed(problem)) => {
                let text =
                    format!("{} is {}: {problem}; allowed is {}", self.subject(), quoted(text), key.form);
                self.wrong.push(Reason::new(Code::InvalidAnnotation, text));
            }
            Err(Refusal::NotOffered(code, why)) => {
                let text = format!("{} is {}: {why}", self.subject(), quoted(text));
                self.wrong.push(Reason::new(code, text));
            }
        }
    }

    /// Puts a value where it belongs, unless somebody who counts more has said something already.
    pub(super) fn put<T: PartialEq>(
        &mut self,
        place: fn(&mut Options) -> &mut Setting<T>,
        value: T,
    ) -> Parsed<()> {
        if let Some((winner, loser)) = place(&mut self.options).offer(value, self.at) {
            self.warn(format!("{}{winner} and {loser} disagree; {winner} counts", self.of()));
        }
        Ok(())
    }

    /// The same where the type says that nobody has said anything.
    pub(super) fn give<T: PartialEq>(
        &mut self,
        place: fn(&mut Options) -> &mut Setting<Option<T>>,
        value: T,
    ) -> Parsed<()> {
        self.put(place, Some(value))
    }

    /// Says that the value at hand does less than its author may think.
    pub(super) fn note(&mut self, what: &str) {
        self.warn(format!("{}: {what}", self.subject()));
    }

    /// Speaks of a field within the value at hand.
    pub(super) fn within(&mut self, field: &'static str, then: impl FnOnce(&mut Self)) {
        let whole = self.at.key.replace(field);
        then(self);
        self.at.key = whole;
    }

    pub(super) fn warn(&mut self, warning: String) {
        if self.warnings.len() < MOST_WARNINGS {
            self.warnings.push(warning);
        } else {
            self.left_out += 1;
        }
    }

    fn subject(&self) -> String {
        format!("{}{}", self.of(), self.at.key.unwrap_or_default())
    }

    fn of(&self) -> String {
        match self.at.source {
            Source::Pod => "annotation ".to_owned(),
            Source::Namespace => format!("annotation of namespace {} ", self.namespace),
            Source::Mesh | Source::Default => "the mesh's default ".to_owned(),
        }
    }

    fn finish(mut self) -> Read {
        if self.left_out > 0 {
            self.warnings.push(format!("and {} more", self.left_out));
        }
        let options = if self.wrong.is_empty() { Ok(self.options) } else { Err(self.wrong) };
        Read { options, warnings: self.warnings }
    }
}

fn admin_only(key: &Key, said: &str) -> String {
    let who = match key.class {
        Class::Operator => "only the mesh's configuration or the namespace may set it",
        Class::Admin | Class::Workload | Class::WithoutEffect | Class::Selection | Class::Written => {
            "the mesh's configuration or the namespace may set it, and pods where workloadOverrides of the configuration \
             lists it"
        }
    };
    format!("annotation {said} would give the pod power over the mesh's own container: {who}; take it off")
}

/// A scalar as text, as its author wrote it in YAML; nothing for what has parts.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
