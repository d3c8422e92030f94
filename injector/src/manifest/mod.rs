//! Manifests in files, as `kubectl` takes them: read into objects, their pods found and changed, and printed again. Documents
//! that were not changed are printed letter by letter.
//!
//! It deliberately decides nothing about pods and asks no cluster.

mod documents;
mod namespaces;
mod workload;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

pub use documents::{DocumentError, Form};
pub use namespaces::{NamespaceArgs, Namespaces, Pairs, metadata_of, namespace_name};
pub use workload::{Workload, unknown_workload};

/// Files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file cannot be read.
    #[error("{file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// There is only one standard input.
    #[error("`-` is standard input, and can be given once")]
    Twice,
    /// A document cannot be read or printed.
    #[error("{place}: {source}")]
    Document {
        /// Where it is.
        place: Place,
        /// Why.
        source: DocumentError,
    },
}

/// Where an object stands.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Place {
    /// The file.
    pub file: String,
    /// Counted from 1.
    pub document: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, document {}", self.file, self.document)
    }
}

/// A file of manifests.
#[derive(Clone, Debug)]
pub struct Manifest {
    documents: Vec<Document>,
}

/// One document: its text, and what it says; nothing where it is empty.
#[derive(Clone, Debug)]
struct Document {
    place: Place,
    separator: String,
    text: String,
    content: Option<(Form, Value)>,
    changed: bool,
}

/// Reads files; `-` is standard input.
pub fn read(files: &[PathBuf]) -> Result<Vec<Manifest>, ManifestError> {
    let stdin = Path::new("-");
    if files.iter().filter(|file| *file == stdin).count() > 1 {
        return Err(ManifestError::Twice);
    }
    files.iter().map(|file| Manifest::parse(&shown(file), &text(file)?)).collect()
}

/// The whole text of a file, or of standard input.
pub fn text(file: &Path) -> Result<String, ManifestError> {
    let located = |source| ManifestError::Read { file: shown(file), source };
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(located)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(located)
}

/// What messages call a file.
pub fn shown(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

impl Manifest {
    /// Reads a text; `file` is what messages call it.
    pub fn parse(file: &str, text: &str) -> Result<Self, ManifestError> {
        let parse = |(index, document): (usize, documents::Document<'_>)| {
            let place = Place { file: file.to_owned(), document: index };
            let content = document
                .parse()
                .map_err(|source| ManifestError::Document { place: place.clone(), source })?;
            Ok(Document {
                place,
                separator: document.separator().to_owned(),
                text: document.text().to_owned(),
                content,
                changed: false,
            })
        };
        let documents = (1..).zip(documents::split(text)).map(parse).collect::<Result<_, _>>()?;
        Ok(Self { documents })
    }

    /// All objects, those in lists one by one.
    pub fn objects(&self) -> impl Iterator<Item = (&Place, &Value)> {
        self.documents.iter().flat_map(|document| {
            let value = document.content.iter().map(|(_, value)| value);
            value.flat_map(items).map(|object| (&document.place, object))
        })
    }

    /// Changes pods in place. `change` gets each object's workload and its pod, and says whether it changed the pod.
    pub fn change<E>(
        &mut self,
        mut change: impl FnMut(&Place, &Workload<'_>) -> Result<Option<Value>, E>,
    ) -> Result<(), E> {
        for document in &mut self.documents {
            let Some((_, value)) = &mut document.content else { continue };
            for object in items_mut(value) {
                let Some(workload) = Workload::of(object) else { continue };
                let changed = change(&document.place, &workload)?;
                if let (Some(changed), Some(pod)) = (changed, workload::pod_mut(object)) {
                    *pod = changed;
                    document.changed = true;
                }
            }
        }
        Ok(())
    }

    /// The text, with what was changed.
    pub fn print(&self) -> Result<String, ManifestError> {
        let mut output = String::new();
        for document in &self.documents {
            match &document.content {
                Some((form, value)) if document.changed => {
                    output.push_str(&document.separator);
                    output.push_str(&document.printed(*form, value)?);
                }
                Some(_) | None => output.push_str(&document.text),
            }
        }
        Ok(output)
    }
}

impl Document {
    fn printed(&self, form: Form, value: &Value) -> Result<String, ManifestError> {
        form.print(value).map_err(|source| ManifestError::Document { place: self.place.clone(), source })
    }
}

fn is_list(object: &Value) -> bool {
    let kind = object.get("kind").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.ends_with("List")) && object.get("items").is_some_and(Value::is_array)
}

fn items(object: &Value) -> Vec<&Value> {
    if !is_list(object) {
        return vec![object];
    }
    object.get("items").and_then(Value::as_array).into_iter().flatten().flat_map(items).collect()
}

fn items_mut(object: &mut Value) -> Vec<&mut Value> {
    if !is_list(object) {
        return vec![object];
    }
    let items = object.get_mut("items").and_then(Value::as_array_mut);
    items.into_iter().flatten().flat_map(items_mut).collect()
}
