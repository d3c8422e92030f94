//! Splitting a stream of manifests into documents, and reading and printing one of them.
//!
//! Invariant: the documents' texts, one after the other, are the input.

use serde_json::Value;

/// A document that cannot be read or printed.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not YAML.
    #[error("not YAML: {0}")]
    Yaml(String),
    /// Not JSON, although it begins like it.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The patched document could not be written.
    #[error("cannot be printed as YAML: {0}")]
    Print(String),
}

/// How a document is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Yaml,
    Json,
}

/// One document with its text.
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
    parts.map(Document::new).collect()
}

fn is_separator(line: &str) -> bool {
    let rest = line.strip_prefix("---");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

impl<'a> Document<'a> {
    fn new(text: &'a str) -> Self {
        let first = text.split_inclusive('\n').next().unwrap_or_default();
        // `--- {…}` has content on the line of the marker; then the marker alone is the separator.
        let marker = if first.trim_start_matches("---").trim().is_empty() { first } else { "--- " };
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
        if self.text.trim_start().starts_with('{') {
            return Ok(Some((Form::Json, serde_json::from_str(self.text)?)));
        }
        let meaningful = self.text.lines().any(|line| {
            let line = line.strip_prefix("---").unwrap_or(line).trim();
            !line.is_empty() && !line.starts_with('#')
        });
        if !meaningful {
            return Ok(None);
        }
        let value: Value =
            serde_saphyr::from_str(self.text).map_err(|error| DocumentError::Yaml(error.to_string()))?;
        Ok(Some((Form::Yaml, value)))
    }
}

impl Form {
    pub(super) fn print(self, value: &Value) -> Result<String, DocumentError> {
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
    fn empty_documents_and_comments_hold_nothing() {
        for text in ["", "---\n", "# only this\n", "--- # that\n# and this\n"] {
            assert!(split(text)[0].parse().unwrap().is_none(), "{text:?}");
        }
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
