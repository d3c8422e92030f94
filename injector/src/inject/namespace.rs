//! The namespace of a pod, as far as it is known. Its name comes with every review; its metadata come from a cache that may
//! lag or be empty, so nothing that they lack ever turns an injection into a skip.

use std::collections::BTreeMap;

/// The namespace in which a pod is created.
#[derive(Clone, Copy, Debug)]
pub struct Namespace<'a> {
    /// Its name.
    pub name: &'a str,
    /// What is known about it; absent where nobody has looked yet.
    pub metadata: Option<&'a NamespaceMetadata>,
}

/// What a namespace says about all its pods.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NamespaceMetadata {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl<'a> From<&'a str> for Namespace<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, metadata: None }
    }
}
