//! Splitting a stream of manifests into documents, and reading and printing one of them.
//!
//! Invariant: the documents' texts, one after the other, are the input.

use serde::de::IgnoredAny;
use serde_json::Value;

/// A document that cannot be read or printed.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not YAML.
    #[error("not YAML: {0}")]
    Yaml(String),
    /// Not JSON, although it begins like it, and not YAML either.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// YAML, but neither an object nor empty.
    #[error("this is no manifest: it must be an object, with apiVersion and kind")]
    NoObject,
    /// The patched document could not be written.
    #[error("cannot be printed as YAML: {0}")]
    Print(String),
}

/// How a document is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// The text of one document.
#[derive(Debug)]
pub(super) struct Document<'a> {
    /// The line `---` before it, where there is one.
    separator: &'a str,
    text: &'a str,
}

/// A line that begins with `---` begins a document, whatever it stands in (YAML 1.2.2, section 9.1.2).
pub(super) fn split(text: &str) -> Vec<Document<'_>> {
    let mut starts: Vec<usize> = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if is_separator(line) {
            starts.push(offset);
        }
        offset += line.len();
    }
    if starts.first() != Some(&0) {
        starts.insert(0, 0);
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let parts = starts.iter().zip(ends).filter_map(|(start, end)| text.get(*start..end));
    parts.flat_map(values).map(Document::new).collect()
}

/// JSON needs no marker between two values, and `jq` writes none. What is not JSON throughout stays whole.
fn values(text: &str) -> Vec<&str> {
    if !text.trim_start().starts_with('{') {
        return vec![text];
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut ends = Vec::new();
    while let Some(value) = values.next() {
        if value.is_err() {
            return vec![text];
        }
        ends.push(values.byte_offset());
    }
    // The end of a line belongs to what stands on it.
    let starts = [0].into_iter().chain(ends.iter().map(|end| match text.get(*end..) {
        Some(rest) if rest.starts_with('\n') => end + 1,
        _ => *end,
    }));
    let starts: Vec<usize> = starts.take(ends.len().max(1)).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| text.get(*start..end)).collect()
}

fn is_separator(line: &str) -> bool {
    let rest = line.strip_prefix("---");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

impl<'a> Document<'a> {
    fn new(text: &'a str) -> Self {
        let first = text.split_inclusive('\n').next().unwrap_or_default();
        // `--- {…}` and `--- # …` have more on the line of the marker, where no block mapping may begin.
        let marker = if first.trim_start_matches("---").trim().is_empty() { first } else { "---\n" };
        let separator = if is_separator(first) { marker } else { "" };
        Self { separator, text }
    }

    pub(super) fn separator(&self) -> &'a str {
        self.separator
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// The value, or nothing where the document is empty.
    pub(super) fn parse(&self) -> Result<Option<(Form, Value)>, DocumentError> {
        // A flow mapping of YAML begins like JSON.
        let json = self.text.trim_start().starts_with('{').then(|| serde_json::from_str(self.text));
        let broken = match json {
            // What begins with a brace is an object.
            Some(Ok(value)) => return Ok(Some((Form::Json, value))),
            Some(Err(error)) => Some(error),
            None => None,
        };
        let meaningful = self.text.lines().any(|line| {
            let line = line.strip_prefix("---").unwrap_or(line).trim();
            !line.is_empty() && !line.starts_with('#')
        });
        if !meaningful {
            return Ok(None);
        }
        match serde_saphyr::from_str_with_options(self.text, options(self.text)) {
            Ok(Value::Null) => Ok(None),
            Ok(value @ Value::Object(_)) => Ok(Some((Form::Yaml, value))),
            Ok(_) => Err(DocumentError::NoObject),
            Err(error) => {
                // A few lines of the document would be a message of their own.
                let yaml = || DocumentError::Yaml(error.without_snippet().to_string());
                Err(broken.map_or_else(yaml, Into::into))
            }
        }
    }
}

/// As `kubectl` reads: YAML 1.1's octal numbers are those of file modes (`defaultMode: 0644`). The limits are for aliases,
/// which make much of little; without them a text holds no more than it is long.
fn options(text: &str) -> serde_saphyr::Options {
    let default = serde_saphyr::Budget::default();
    serde_saphyr::options! {
        legacy_octal_numbers: true,
        budget: serde_saphyr::budget! {
            max_nodes: default.max_nodes.max(text.len()),
            max_events: default.max_events.max(2 * text.len()),
            max_total_scalar_bytes: default.max_total_scalar_bytes.max(text.len()),
        },
    }
}

impl Form {
    /// The value as a text that ends with a line's end.
    pub fn print(self, value: &Value) -> Result<String, DocumentError> {
        let mut text = match self {
            Self::Json => serde_json::to_string_pretty(value)?,
            Self::Yaml => {
                serde_saphyr::to_string(value).map_err(|error| DocumentError::Print(error.to_string()))?
            }
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Form, split};

    #[test]
    fn the_parts_are_the_whole() {
        for text in [
            "",
            "a: 1",
            "---\na: 1\n---\nb: 2\n",
            "# comment\n---\n\n--- # next\nb: |\n  ---\n  text\n---",
            "a: 1\r\n---\r\nb: 2\r\n",
            "----\n",
        ] {
            let parts: String = split(text).iter().map(|document| document.text()).collect();
            assert_eq!(parts, text);
        }
        assert_eq!(split("a: 1\n---\nb: 2\n--- {c: 3}\n").len(), 3);
    }

    #[test]
    fn json_values_may_follow_each_other() {
        let text = "{\"a\": 1}\n{\"b\": 2} {\"c\": 3}\n\n";
        let parts: Vec<_> = split(text).iter().map(|document| document.text().to_owned()).collect();
        assert_eq!(parts, ["{\"a\": 1}\n", "{\"b\": 2}", " {\"c\": 3}\n\n"]);
        let broken = "{\"a\": 1}\n{\"b\": \n";
        assert_eq!(split(broken).len(), 1);
        assert!(split(broken)[0].parse().is_err());
    }

    #[test]
    fn empty_documents_and_comments_hold_nothing() {
        for text in ["", "---\n", "# only this\n", "--- # that\n# and this\n", "--- null\n", "~\n"] {
            assert!(split(text)[0].parse().unwrap().is_none(), "{text:?}");
        }
    }

    #[test]
    fn flow_mappings_are_yaml_and_json_is_json() {
        let parsed = |text: &str| split(text)[0].parse().unwrap().unwrap();
        assert_eq!(parsed("{a: 1}\n"), (Form::Yaml, json!({"a": 1})));
        assert_eq!(parsed("{\"a\": 1}\n"), (Form::Json, json!({"a": 1})));
        let broken = split("{\"a\": \n")[0].parse().unwrap_err().to_string();
        assert!(broken.starts_with("not JSON"), "{broken}");
    }

    #[test]
    fn other_text_is_no_manifest() {
        for text in ["hello\n", "- a\n", "--- 1\n", "[{}]\n"] {
            let told = split(text)[0].parse().unwrap_err().to_string();
            assert!(told.contains("must be an object"), "{text:?}: {told}");
        }
        let told = split("a: [1\n")[0].parse().unwrap_err().to_string();
        assert!(told.contains("line 1") && !told.contains('\n'), "{told:?}");
    }

    #[test]
    fn numbers_are_read_as_kubectl_reads_them() {
        let (_, value) = split("a: [0644, 0o644, 420, 0, 1.5, \"0644\"]\n")[0].parse().unwrap().unwrap();
        assert_eq!(value, json!({"a": [420, 420, 420, 0, 1.5, "0644"]}));
    }

    #[test]
    fn long_documents_are_read_and_expanding_ones_are_not() {
        let long = format!("a: [{}]\n", "1,".repeat(300_000));
        assert!(split(&long)[0].parse().is_ok());
        let doubled = (1..32).map(|i| format!("a{i}: &a{i} [*a{0}, *a{0}]\n", i - 1)).collect::<String>();
        assert!(split(&format!("a0: &a0 [x]\n{doubled}"))[0].parse().is_err());
        let deep = |depth: usize| format!("{}1{}\n", "[".repeat(depth), "]".repeat(depth));
        assert!(split(&format!("a: {}", deep(60)))[0].parse().is_ok());
        assert!(split(&deep(100_000))[0].parse().is_err());
    }

    #[test]
    fn text_stays_text_and_numbers_stay_numbers() {
        let value = json!({
            "text": ["true", "1", "0x10", "1e3", "null", "~", "yes", "on", "", " a ", "a: b", "# c", "-", "1.0", "2001-01-01",
                "12:30:45", "0o17", "017", "=", "<<", "*", "&a", "!t", "%", "@", "`", "a\nb\n", "é", "1_000", ".inf", "{{ x }}"],
            "numbers": [1, -1, 1.5, 9_007_199_254_740_993_i64],
            "flags": [true, false, null],
            "empty": [{}, []],
        });
        let text = Form::Yaml.print(&value).unwrap();
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, value, "{text}");
    }
}
