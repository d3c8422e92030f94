//! Names of namespaces as the configuration lists them.

use std::borrow::Borrow;

use serde::{Deserialize, Serialize};

use super::super::reason::quoted;

/// The longest label of a domain name (RFC 1123, section 2.1).
const LONGEST: usize = 63;

/// A name that a namespace can have. Another one would be in no selector's way and leave nothing alone.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamespaceName(String);

/// A name that no namespace has.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0} is not the name of a namespace; allowed are at most {LONGEST} of a-z, 0-9 and '-', the first and the last not '-'"
)]
pub struct NamespaceNameError(String);

impl NamespaceName {
    /// A name of the contract.
    pub(super) fn known(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NamespaceName {
    type Error = NamespaceNameError;

    fn try_from(name: String) -> Result<Self, NamespaceNameError> {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let inner = |c: char| edge(c) || c == '-';
        let fits = (1..=LONGEST).contains(&name.len());
        if fits && name.starts_with(edge) && name.ends_with(edge) && name.chars().all(inner) {
            Ok(Self(name))
        } else {
            Err(NamespaceNameError(quoted(&name)))
        }
    }
}

impl From<NamespaceName> for String {
    fn from(name: NamespaceName) -> Self {
        name.0
    }
}

/// So that a set of them is asked about the name in a request.
impl Borrow<str> for NamespaceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::NamespaceName;

    #[test]
    fn only_names_that_a_namespace_can_have_are_taken() {
        let parse = |name: &str| NamespaceName::try_from(name.to_owned());
        for good in ["a", "kube-public", "0-9", &"x".repeat(63)] {
            assert_eq!(parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "team-*", " a", "a\n", "é", &"x".repeat(64)] {
            let told = parse(bad).unwrap_err().to_string();
            assert!(told.starts_with(&format!("{bad:?}")) && told.contains("a-z, 0-9"), "{told}");
        }
    }
}
