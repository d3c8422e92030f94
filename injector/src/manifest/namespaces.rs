//! What is known of namespaces where no cluster is asked: what the command line says, and the Namespace objects among the
//! manifests.
//!
//! Invariant: a namespace that nobody described is taken to have the label that turns injection on, and nothing else.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;

use super::Manifest;
use crate::inject::{Namespace, NamespaceMetadata, NamespaceName, NamespaceNameError};

/// Options about namespaces; flatten them into a subcommand's arguments.
#[derive(Args, Clone, Debug)]
pub struct NamespaceArgs {
    /// Namespace of objects that name none
    #[arg(long, short, default_value = "default", value_name = "NAME", value_parser = namespace_name)]
    pub namespace: String,

    /// Labels of every namespace that is not in the files: `istio-injection=enabled` unless given; empty for none
    #[arg(long, value_name = "KEY=VALUE,…", value_parser = pairs)]
    pub namespace_labels: Option<Pairs>,

    /// Annotations of every namespace that is not in the files (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub namespace_annotations: Vec<(String, String)>,
}

/// `KEY=VALUE`, comma separated.
pub type Pairs = BTreeMap<String, String>;

/// The namespaces of a run.
#[derive(Clone, Debug)]
pub struct Namespaces {
    default: String,
    others: NamespaceMetadata,
    found: BTreeMap<String, NamespaceMetadata>,
}

impl Namespaces {
    /// What the options and the manifests say.
    pub fn new(args: &NamespaceArgs, manifests: &[Manifest]) -> Self {
        let labels = args.namespace_labels.clone().unwrap_or_else(|| {
            Pairs::from([(api::labels::NAMESPACE_INJECTION.to_owned(), api::labels::ENABLED.to_owned())])
        });
        let objects = manifests.iter().flat_map(Manifest::objects).map(|(_, object)| object);
        Self {
            default: args.namespace.clone(),
            others: NamespaceMetadata {
                labels,
                annotations: args.namespace_annotations.iter().cloned().collect(),
            },
            found: objects.filter_map(namespace).collect(),
        }
    }

    /// The namespace of an object that names this one, or none.
    pub fn get<'a>(&'a self, named: Option<&'a str>) -> Namespace<'a> {
        let name = named.unwrap_or(&self.default);
        Namespace { name, metadata: Some(self.found.get(name).unwrap_or(&self.others)) }
    }
}

fn namespace(object: &Value) -> Option<(String, NamespaceMetadata)> {
    let is = |field: &str, wanted: &str| object.get(field).and_then(Value::as_str) == Some(wanted);
    if !is("apiVersion", "v1") || !is("kind", "Namespace") {
        return None;
    }
    let metadata = object.get("metadata")?;
    let name = metadata.get("name")?.as_str()?.to_owned();
    Some((name, metadata_of(metadata)))
}

/// Labels and annotations of an object's metadata; what is no text is left out.
pub fn metadata_of(metadata: &Value) -> NamespaceMetadata {
    let map = |field: &str| {
        let entries = metadata.get(field).and_then(Value::as_object).into_iter().flatten();
        entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    };
    NamespaceMetadata { labels: map("labels"), annotations: map("annotations") }
}

/// Reads the name of a namespace on the command line.
pub fn namespace_name(text: &str) -> Result<String, NamespaceNameError> {
    NamespaceName::try_from(text.to_owned()).map(String::from)
}

fn pairs(text: &str) -> Result<Pairs, String> {
    text.split(',').filter(|pair| !pair.trim().is_empty()).map(pair).collect()
}

fn pair(text: &str) -> Result<(String, String), String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(format!("{text:?} has no `=`; allowed is KEY=VALUE, such as istio-injection=enabled"));
    };
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
