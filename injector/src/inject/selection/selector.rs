//! Label selectors, as Kubernetes has them: parsed once, matched like the API server matches, and written as what the API
//! server takes (a selector) or evaluates (CEL).
//!
//! Invariant: a [`Requirement`] is one that the API server accepts, and its text cannot end a string of CEL: keys and values
//! hold nothing but letters, digits, `-`, `_`, `.` and, in a key, `/`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::reason::quoted;

/// What labels must be like: every requirement holds. An empty one is refused, since it would match everything.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct LabelSelector(Vec<Requirement>);

/// One requirement on labels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

/// Labels to be matched: those of a pod in JSON, or those of a namespace.
pub(crate) trait Labels {
    fn get(&self, key: &str) -> Option<&str>;
}

impl Labels for BTreeMap<String, String> {
    fn get(&self, key: &str) -> Option<&str> {
        Self::get(self, key).map(String::as_str)
    }
}

impl Requirement {
    pub(crate) fn is_in<T: Into<String>>(key: &str, values: impl IntoIterator<Item = T>) -> Self {
        Self::new(key, Test::In(values.into_iter().map(Into::into).collect()))
    }

    pub(crate) fn not_in<T: Into<String>>(key: &str, values: impl IntoIterator<Item = T>) -> Self {
        Self::new(key, Test::NotIn(values.into_iter().map(Into::into).collect()))
    }

    pub(crate) fn does_not_exist(key: &str) -> Self {
        Self::new(key, Test::DoesNotExist)
    }

    fn new(key: &str, test: Test) -> Self {
        Self { key: key.to_owned(), test }
    }

    /// As the API server decides: what is absent is in no set, and so satisfies `NotIn`.
    pub(crate) fn matches(&self, labels: &impl Labels) -> bool {
        let value = labels.get(&self.key);
        let among = |values: &[String]| value.is_some_and(|value| values.iter().any(|one| one == value));
        match &self.test {
            Test::In(values) => among(values),
            Test::NotIn(values) => !among(values),
            Test::Exists => value.is_some(),
            Test::DoesNotExist => value.is_none(),
        }
    }

    /// As an expression over a map of labels that may be absent.
    fn cel(&self, labels: &str) -> String {
        let exists = format!("has({labels}) && '{}' in {labels}", self.key);
        let among = |values: &[String]| {
            let list: Vec<_> = values.iter().map(|value| format!("'{value}'")).collect();
            format!("{exists} && {labels}['{}'] in [{}]", self.key, list.join(", "))
        };
        match &self.test {
            Test::In(values) => format!("({})", among(values)),
            Test::NotIn(values) => format!("!({})", among(values)),
            Test::Exists => format!("({exists})"),
            Test::DoesNotExist => format!("!({exists})"),
        }
    }
}

impl LabelSelector {
    /// Its requirements; never none.
    pub(crate) fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    pub(crate) fn matches(&self, labels: &impl Labels) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }

    /// As an expression over a map of labels that may be absent.
    pub(crate) fn cel(&self, labels: &str) -> String {
        let all: Vec<_> = self.0.iter().map(|requirement| requirement.cel(labels)).collect();
        all.join(" && ")
    }
}

impl fmt::Display for LabelSelector {
    /// As `kubectl get --selector` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join(","))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.test {
            Test::In(values) => match values.as_slice() {
                [value] => write!(f, "{key}={value}"),
                _ => write!(f, "{key} in ({})", values.join(",")),
            },
            Test::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
            Test::Exists => f.write_str(key),
            Test::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

/// The form in files and in the API.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Written {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    match_labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    match_expressions: Vec<WrittenRequirement>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenRequirement {
    key: String,
    operator: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
}

/// A selector that the API server would refuse, or that would match everything.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum SelectorError {
    #[error("a selector without matchLabels and matchExpressions would match every pod; name a label")]
    Empty,
    #[error(
        "label key {0} is not of the form [PREFIX/]NAME: letters, digits, '-', '_' and '.', at most 63 of them"
    )]
    Key(String),
    #[error(
        "value {value} of label {key} is not allowed: at most 63 letters, digits, '-', '_' and '.', the first and the last \
         a letter or a digit"
    )]
    Value { key: String, value: String },
    #[error("operator {operator} of label {key} is unknown; allowed are In, NotIn, Exists and DoesNotExist")]
    Operator { key: String, operator: String },
    #[error("operator {operator} of label {key} takes {expected}")]
    Values { key: String, operator: String, expected: &'static str },
}

impl TryFrom<Written> for LabelSelector {
    type Error = SelectorError;

    fn try_from(written: Written) -> Result<Self, SelectorError> {
        let labels = written.match_labels.into_iter().map(|(key, value)| WrittenRequirement {
            key,
            operator: "In".to_owned(),
            values: vec![value],
        });
        let all: Result<Vec<_>, _> =
            labels.chain(written.match_expressions).map(Requirement::try_from).collect();
        let all = all?;
        if all.is_empty() { Err(SelectorError::Empty) } else { Ok(Self(all)) }
    }
}

impl TryFrom<WrittenRequirement> for Requirement {
    type Error = SelectorError;

    fn try_from(
        WrittenRequirement { key, operator, values }: WrittenRequirement,
    ) -> Result<Self, SelectorError> {
        if !is_key(&key) {
            return Err(SelectorError::Key(quoted(&key)));
        }
        if let Some(value) = values.iter().find(|value| !is_value(value)) {
            return Err(SelectorError::Value { key, value: quoted(value) });
        }
        let wrong =
            |expected| SelectorError::Values { key: key.clone(), operator: operator.clone(), expected };
        let test = match (operator.as_str(), values.is_empty()) {
            ("In", false) => Test::In(values),
            ("NotIn", false) => Test::NotIn(values),
            ("Exists", true) => Test::Exists,
            ("DoesNotExist", true) => Test::DoesNotExist,
            ("In" | "NotIn", true) => return Err(wrong("at least one value")),
            ("Exists" | "DoesNotExist", false) => return Err(wrong("no values")),
            _ => return Err(SelectorError::Operator { key, operator: quoted(&operator) }),
        };
        Ok(Self { key, test })
    }
}

impl From<LabelSelector> for Written {
    fn from(selector: LabelSelector) -> Self {
        let match_expressions = selector.0.iter().map(WrittenRequirement::from).collect();
        Self { match_labels: BTreeMap::new(), match_expressions }
    }
}

impl From<&Requirement> for WrittenRequirement {
    fn from(requirement: &Requirement) -> Self {
        let (operator, values) = match &requirement.test {
            Test::In(values) => ("In", values.clone()),
            Test::NotIn(values) => ("NotIn", values.clone()),
            Test::Exists => ("Exists", Vec::new()),
            Test::DoesNotExist => ("DoesNotExist", Vec::new()),
        };
        Self { key: requirement.key.clone(), operator: operator.to_owned(), values }
    }
}

impl Serialize for Requirement {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WrittenRequirement::from(self).serialize(serializer)
    }
}

/// A qualified name, with a DNS subdomain as its prefix.
fn is_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let subdomain = |prefix: &str| {
        let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        prefix.len() <= 253
            && prefix.split('.').all(|part| {
                part.starts_with(lower) && part.ends_with(lower) && part.chars().all(|c| lower(c) || c == '-')
            })
    };
    prefix.is_none_or(subdomain) && !name.is_empty() && is_value(name)
}

/// A label's value; it may be empty.
fn is_value(value: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    let inner = |c: char| edge(c) || matches!(c, '-' | '_' | '.');
    value.is_empty()
        || value.len() <= 63 && value.starts_with(edge) && value.ends_with(edge) && value.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::LabelSelector;

    fn parse(value: Value) -> Result<LabelSelector, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn it_matches_as_the_api_server_does() {
        let expression = |operator: &str, values: &[&str]| {
            parse(json!({"matchExpressions": [{"key": "a", "operator": operator, "values": values}]}))
                .unwrap()
        };
        let (none, x, y) = (labels(&[]), labels(&[("a", "x")]), labels(&[("a", "y"), ("b", "x")]));
        for (selector, expected) in [
            (expression("In", &["x", "z"]), [false, true, false]),
            (expression("NotIn", &["x", "z"]), [true, false, true]),
            (expression("Exists", &[]), [false, true, true]),
            (expression("DoesNotExist", &[]), [true, false, false]),
            (parse(json!({"matchLabels": {"a": "y", "b": "x"}})).unwrap(), [false, false, true]),
        ] {
            assert_eq!([&none, &x, &y].map(|labels| selector.matches(labels)), expected, "{selector}");
        }
    }

    #[test]
    fn it_is_written_as_it_was_read() {
        let written = json!({"matchExpressions": [
            {"key": "example.com/a", "operator": "In", "values": ["x"]},
            {"key": "b", "operator": "DoesNotExist"},
        ]});
        let selector = parse(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&selector).unwrap(), written);
        assert_eq!(selector.to_string(), "example.com/a=x,!b");
        assert_eq!(
            selector.cel("object.metadata.labels"),
            "(has(object.metadata.labels) && 'example.com/a' in object.metadata.labels && \
             object.metadata.labels['example.com/a'] in ['x']) && \
             !(has(object.metadata.labels) && 'b' in object.metadata.labels)"
        );
    }

    #[test]
    fn what_the_api_server_would_refuse_is_refused_with_the_remedy() {
        let one = |key: &str, operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (written, told) in [
            (json!({}), "would match every pod"),
            (json!({"matchLabels": {}}), "would match every pod"),
            (json!({"matchLabel": {"a": "b"}}), "matchLabel"),
            (json!({"matchLabels": {"a": 1}}), "string"),
            (json!({"matchLabels": {"a'": "b"}}), "\"a'\""),
            (json!({"matchLabels": {"": "b"}}), "\"\""),
            (json!({"matchLabels": {"Example.com/a": "b"}}), "\"Example.com/a\""),
            (json!({"matchLabels": {"a/b/c": "b"}}), "\"a/b/c\""),
            (json!({"matchLabels": {"a": "b' || true || '"}}), "of label a"),
            (json!({"matchLabels": {"a": "x".repeat(64)}}), "at most 63"),
            (one("a", "in", &["b"]), "\"in\""),
            (one("a", "In", &[]), "at least one value"),
            (one("a", "Exists", &["b"]), "no values"),
        ] {
            let error = parse(written.clone()).unwrap_err();
            assert!(error.contains(told), "{written}: {error}");
        }
    }
}
