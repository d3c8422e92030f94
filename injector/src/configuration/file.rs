//! The form of the file: YAML, `apiVersion` and `kind` as of every Kubernetes object, and flat beside them what
//! [`Settings`] has. Unknown and repeated fields are errors, since nobody would notice that
//! they do nothing.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde_saphyr::Error;

use super::Configuration;
use crate::inject::Settings;

const API_VERSION: &str = "remora.dev/v1alpha1";
const KIND: &str = "InjectorConfiguration";

/// Fields that [`Settings`] does not have.
const API_VERSION_FIELD: &str = "apiVersion";
const KIND_FIELD: &str = "kind";
const OWN_FIELDS: [&str; 2] = [API_VERSION_FIELD, KIND_FIELD];

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The line of the file, from 1, where it is one line's fault.
    pub line: Option<u64>,
    /// What is wrong, with the allowed form.
    pub text: String,
}

/// All that is wrong with a configuration; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problems(pub Vec<Problem>);

/// Reads and checks a file's text.
pub(super) fn parse(text: &str) -> Result<Configuration, Problems> {
    let broken = |error: Error| Problems(vec![problem(text, &error)]);
    head(text).map_err(broken)??;
    let File(settings) = read(text).map_err(broken)?;
    let wrong: Vec<_> = settings.problems().into_iter().map(|text| Problem { line: None, text }).collect();
    if wrong.is_empty() { Ok(Configuration { settings }) } else { Err(Problems(wrong)) }
}

fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Error> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
}

/// What the file says it is comes first: another object would otherwise be told about fields that are right in it.
fn head(text: &str) -> Result<Result<(), Problems>, Error> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Head {
        api_version: String,
        kind: String,
    }
    let found: Option<Head> = read(text)?;
    let Head { api_version, kind } = found.unwrap_or_default();
    let unwrap = if kind == "ConfigMap" { "; the configuration is the text under its data" } else { "" };
    let wrong = |field, found: &str, expected| {
        let text = match found {
            "" => format!("{field} is missing; it must be {expected}"),
            _ => format!("{field} is {found:?}; it must be {expected}{unwrap}"),
        };
        (found != expected).then_some(Problem { line: None, text })
    };
    let problems: Vec<_> =
        [wrong(API_VERSION_FIELD, &api_version, API_VERSION), wrong(KIND_FIELD, &kind, KIND)]
            .into_iter()
            .flatten()
            .collect();
    Ok(if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) })
}

/// An error of the parser with the line's own text, which has the field's name.
fn problem(text: &str, error: &Error) -> Problem {
    let error = error.without_snippet();
    let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
    let shown = line.and_then(|line| text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?));
    let shown = shown.map(|line| line.trim().chars().take(80).collect::<String>());
    let shown = shown.filter(|line| !line.is_empty()).map(|line| format!("`{line}`: ")).unwrap_or_default();
    Problem { line, text: format!("{shown}{}", said(error)) }
}

fn said(error: &Error) -> String {
    let listed = |names: &[&str]| names.join(", ");
    if let Error::SerdeUnknownField { field, expected, .. } = error {
        // Only the whole file has fields that are not those of the struct which complains.
        let mut known = expected.clone();
        if known.contains(&"images") {
            known.extend(OWN_FIELDS);
        }
        let near = nearest(field, &known).map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        return format!("there is no field {field:?} here; {near}Allowed are {}", listed(&known));
    }
    if let Error::SerdeUnknownVariant { variant, expected, .. } = error {
        return format!("{variant:?} is not allowed; allowed are {}", listed(expected));
    }
    if let Error::Unexpected { expected: "mapping start", .. } = error {
        return "this has no fields; allowed are lines `field: value`".to_owned();
    }
    if let Error::Unexpected { expected: "sequence start", .. } = error {
        return "this is no list; allowed are lines `- value`, or [value, value]".to_owned();
    }
    let text = error.to_string();
    // The line is told already.
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    const FAR: usize = 3;
    let lower = word.to_lowercase();
    let distances = known.iter().map(|name| (strsim::levenshtein(&lower, &name.to_lowercase()), *name));
    distances.filter(|(distance, _)| *distance <= FAR).min().map(|(_, name)| name)
}

/// The file as it is written. `serde(flatten)` would lose lines and accept unknown fields; so its fields are dealt out
/// while they are read.
struct File(Settings);

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FileVisitor)
    }
}

struct FileVisitor;

impl<'de> Visitor<'de> for FileVisitor {
    type Value = File;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fields of {KIND}")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<File, A::Error> {
        Settings::deserialize(MapAccessDeserializer::new(Rest { map })).map(File)
    }
}

/// The fields that are not the file's own; those were looked at before.
struct Rest<A> {
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Rest<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let mut seed = seed;
        loop {
            seed = match self.map.next_key_seed(Key(seed))? {
                None => return Ok(None),
                Some(Field::Rest(key)) => return Ok(Some(key)),
                Some(Field::Head(seed)) => {
                    self.map.next_value::<serde::de::IgnoredAny>()?;
                    seed
                }
            };
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// A field's name: its owner's, or our own, when the seed is for the next one.
enum Field<K, T> {
    Rest(T),
    Head(K),
}

struct Key<K>(K);

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Key<K> {
    type Value = Field<K, K::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de, K: DeserializeSeed<'de>> Visitor<'de> for Key<K> {
    type Value = Field<K, K::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        match name {
            API_VERSION_FIELD | KIND_FIELD => Ok(Field::Head(self.0)),
            _ => self.0.deserialize(name.into_deserializer()).map(Field::Rest),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&texts.join("; "))
    }
}

impl std::error::Error for Problems {}

impl From<String> for Problems {
    fn from(text: String) -> Self {
        Self(vec![Problem { line: None, text }])
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    const HEAD: &str = "apiVersion: remora.dev/v1alpha1\nkind: InjectorConfiguration\n";

    #[test]
    fn a_file_without_more_is_the_defaults() {
        let parsed = parse(HEAD).unwrap();
        let defaults = super::Configuration::default();
        assert_eq!(parsed.settings.hash(), defaults.settings.hash());
    }

    #[test]
    fn fields_stand_in_any_order() {
        let text = "images:\n  proxy: proxy:2\nkind: InjectorConfiguration\n\
                    redirectBackend: iptables-nft\napiVersion: remora.dev/v1alpha1\n\
                    defaults:\n  sidecar.istio.io/proxyCPU: 20m\n";
        let parsed = parse(text).unwrap();
        assert_eq!(parsed.settings.images.proxy, "proxy:2");
        assert_eq!(parsed.settings.images.init_redirect, api::pod::INIT_IMAGE);
        assert_eq!(parsed.settings.defaults.texts()["sidecar.istio.io/proxyCPU"], "20m");
    }

    /// Each names the line, shows the field, and says what is allowed.
    #[test]
    fn what_is_wrong_is_told_with_line_field_and_form() {
        let deep = format!("defaults: {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n\
                    c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\ndefaults: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n";
        for (text, line, parts) in [
            ("kinds: a\n", 3, ["kinds: a", "did you mean kind?"]),
            ("redirectBackends: auto\n", 3, ["redirectBackends", "did you mean redirectBackend?"]),
            ("\nimages:\n  Proxy: x\n", 5, ["Proxy: x", "did you mean proxy?"]),
            ("images:\n  xyzzyxyzzy: x\n", 4, ["xyzzyxyzzy", "Allowed are proxy, initRedirect"]),
            ("redirectBackend: fast\n", 3, ["redirectBackend: fast", "auto, nft, iptables-nft"]),
            ("images: []\n", 3, ["images: []", "`field: value`"]),
            ("workloadOverrides: all\n", 3, ["workloadOverrides: all", "- value"]),
            ("kind: InjectorConfiguration\n", 3, ["kind: Inj", "duplicate"]),
            ("images: {}\nimages: {}\n", 4, ["images: {}", "duplicate"]),
            ("images: {\n", 3, ["images: {", "unclosed"]),
            ("selection:\n  neverInject:\n    - {}\n", 5, ["- {}", "would match every pod"]),
            (
                "selection:\n  alwaysInject:\n    - matchLabels: {app: \"a b\"}\n",
                5,
                ["matchLabels: {app", "value \"a b\" of label app is not allowed"],
            ),
            (
                "selection:\n  ignoredNamespaces:\n    - kube-public\n    - Team_A\n",
                6,
                ["- Team_A", "\"Team_A\" is not the name of a namespace; allowed are"],
            ),
            (&deep, 3, ["", ""]),
            (bomb, 3, ["", ""]),
        ] {
            let problems = parse(&format!("{HEAD}{text}")).unwrap_err();
            let told = problems.to_string();
            assert!(problems.0.len() == 1 && told.len() < 600, "{told}");
            assert!(problems.0[0].line == Some(line), "line {line} of {:.80}: {told}", text);
            assert!(parts.iter().all(|part| told.contains(part)), "{parts:?} in {told}");
        }
    }

    #[test]
    fn a_file_that_is_something_else_is_told_so() {
        for (text, parts) in [
            ("", vec!["apiVersion is missing", "kind is missing", "remora.dev/v1alpha1"]),
            ("# nothing\n", vec!["apiVersion is missing"]),
            ("apiVersion: remora.dev/v1\nkind: InjectorConfiguration\n", vec!["\"remora.dev/v1\""]),
            ("apiVersion: v1\nkind: ConfigMap\ndata: {}\n", vec!["\"ConfigMap\"", "under its data"]),
            ("- a\n", vec!["line 1"]),
            ("\u{0}", vec![""]),
            (&format!("{HEAD}---\n{HEAD}"), vec!["multiple"]),
        ] {
            let told = parse(text).unwrap_err().to_string();
            assert!(parts.iter().all(|part| told.contains(part)), "{parts:?} in {told}");
        }
    }

    /// Every pod would be refused for it, by the API server.
    #[test]
    fn every_image_without_a_name_is_told() {
        let told = parse(&format!("{HEAD}images: {{proxy: '', initRedirect: ' '}}\n")).unwrap_err();
        let texts: Vec<_> = told.0.iter().map(|problem| problem.text.as_str()).collect();
        assert!(
            texts.len() == 2 && texts[0].contains("images.proxy") && texts[1].contains("images.initRedirect"),
            "{texts:?}"
        );
    }

    #[test]
    fn a_cluster_has_a_name_that_metrics_can_tell() {
        let parse = |name: &str| parse(&format!("{HEAD}clusterName: {name}\n"));
        for name in ["east-1", "arn:aws:eks:eu-west-1:1:cluster/shop", &"a".repeat(253)] {
            assert_eq!(parse(name).unwrap().settings.cluster_name, name);
        }
        for name in ["''", "two words", "é", &"a".repeat(254)] {
            let told = parse(name).unwrap_err().to_string();
            assert!(told.contains("clusterName is") && told.contains("1 to 253"), "{told}");
        }
    }
}
