//! Options in the making: what a key is, who may set it, and what becomes of a value that was said.
//!
//! Invariant: everything that is wrong is told at once, each with who said it.

use std::collections::BTreeSet;

use super::super::Source;
use super::super::reason::{Code, Reason, quoted};
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

/// One key, with its other names.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// Names of the same thing with the same form; Linkerd's, and older ones.
    pub(super) also: &'static [&'static str],
    pub(super) class: Class,
    /// The allowed form, to be read after "allowed is".
    pub(super) form: &'static str,
    /// What it does; for a key without effect, why.
    pub(super) effect: &'static str,
    pub(super) set: fn(&mut Draft<'_>, &str) -> Parsed<()>,
}

/// Who may set a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Class {
    /// Everybody.
    Workload,
    /// The mesh and the namespace, and pods where the configuration lists the key.
    Admin,
    /// The mesh and the namespace alone.
    Operator,
    /// Nobody gains anything by it.
    WithoutEffect,
    /// Rules, which look at it themselves.
    Selection,
    /// We ourselves.
    Written,
}

impl Class {
    /// As the README and messages call it.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Workload => "for everybody",
            Self::Admin => "for the mesh and namespaces; for pods where `workloadOverrides` lists it",
            Self::Operator => "for the mesh and namespaces only",
            Self::WithoutEffect => "without effect",
            Self::Selection => "for everybody",
            Self::Written => "written by injection",
        }
    }
}

impl Key {
    /// The same name as text that lives as long as the table.
    pub(super) fn name_as(&self, name: &str) -> &'static str {
        self.also.iter().find(|also| **also == name).copied().unwrap_or(self.name)
    }
}

/// Options in the making.
pub(super) struct Draft<'a> {
    pub(super) options: Options,
    /// Keys that pods may set although they would not be theirs.
    overrides: &'a BTreeSet<String>,
    namespace: &'a str,
    at: Origin,
    wrong: Vec<Reason>,
    warnings: Vec<String>,
    left_out: usize,
}

impl<'a> Draft<'a> {
    /// Upon what was said before.
    pub(super) fn new(options: Options, overrides: &'a BTreeSet<String>, namespace: &'a str) -> Self {
        Self {
            options,
            overrides,
            namespace,
            at: Origin::default(),
            wrong: Vec::new(),
            warnings: Vec::new(),
            left_out: 0,
        }
    }

    /// What a source says under the name of a key; of two keys that say the same, the higher rank counts.
    pub(super) fn key(&mut self, source: Source, (key, rank): (&'static Key, u8), name: &str, text: &str) {
        let said = key.name_as(name);
        self.at = Origin { source, key: Some(said), rank };
        match key.class {
            Class::Workload => self.set(key, text),
            Class::Admin | Class::Operator if self.at.source != Source::Pod => self.set(key, text),
            Class::Admin if self.overrides.contains(name) => self.set(key, text),
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

    /// Says something about a whole source.
    pub(super) fn warn_at(&mut self, source: Source, what: &str) {
        self.at.source = source;
        self.warn(format!("{}{what}", self.of()));
    }

    /// What was wrong before is wrong still.
    pub(super) fn refuse(&mut self, wrong: &[Reason]) {
        self.wrong.extend_from_slice(wrong);
    }

    fn warn(&mut self, warning: String) {
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

    pub(super) fn finish(self) -> Read {
        let (options, wrong, warnings) = self.parts();
        let options = if wrong.is_empty() { Ok(options) } else { Err(wrong) };
        Read { options, warnings }
    }

    /// What was taken, what is wrong, and what its authors should know.
    pub(super) fn parts(mut self) -> (Options, Vec<Reason>, Vec<String>) {
        if self.left_out > 0 {
            self.warnings.push(format!("and {} more", self.left_out));
        }
        (self.options, self.wrong, self.warnings)
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
