//! What is wrong with options: which, as typed, why, and what is allowed.

use std::fmt;

/// All options that cannot be used, one a line.
#[derive(Debug, thiserror::Error)]
pub struct BadOptions(Vec<BadOption>);

/// An option that cannot be used.
#[derive(Clone, Debug)]
pub struct BadOption {
    /// Which: its flag and its environment variable.
    pub option: String,
    /// As typed.
    pub value: String,
    /// What is wrong with it.
    pub problem: String,
    /// What it may be.
    pub allowed: String,
}

impl BadOptions {
    pub(super) const fn new(bad: Vec<BadOption>) -> Self {
        Self(bad)
    }
}

impl fmt::Display for BadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, BadOption { option, value, problem, allowed }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{option} {value:?}: {problem}; allowed: {allowed}")?;
        }
        Ok(())
    }
}
