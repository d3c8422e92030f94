//! An explanation for people: where the packet lands, then what each chain said.

use std::fmt;

use super::{Explanation, Landing, Numbered, Passed};
use crate::plan::print::{conditions, options};

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.landing)?;
        self.passes.iter().try_for_each(|passed| writeln!(f, "  {passed}"))
    }
}

impl fmt::Display for Landing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redirected(port) => write!(f, "It lands on port {port} of the pod, redirected."),
            Self::Direct => f.write_str("It lands where it was sent to."),
            Self::Reset => f.write_str("It is refused: its sender gets a reset."),
            Self::Dropped => f.write_str("It is dropped: its sender hears nothing."),
        }
    }
}

impl fmt::Display for Passed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = self.chain.as_str();
        let Some(Numbered { number, rule }) = &self.rule else {
            return write!(f, "{chain}: no rule matches");
        };
        let (packet, options) = (conditions(&rule.matches), options(rule));
        write!(f, "{chain}, rule {number}: {packet} -> {}: {} ({options})", rule.action, rule.reason)
    }
}
