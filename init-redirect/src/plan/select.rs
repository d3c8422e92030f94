//! From the options to conditions of rules. A rule holds for one family and one interface at a time, so a set may make
//! several rules of one.

use super::rule::{Match, Rule};
use crate::options::{Cidrs, Flag, Interface, Interfaces, Options, Selection};

/// What is captured of TCP, and the reason. A connection that was open before the rules is translated in its middle, so that
/// both of its ends reset it; only the packet that opens one is harmless to capture.
pub(super) fn captured_tcp(options: &Options) -> (Match, &'static str) {
    if options.capture_established {
        (Match::Tcp, "all connections")
    } else {
        (Match::TcpSyn, "new connections")
    }
}

/// A condition on the destination for each family that has addresses.
pub(super) fn destinations(cidrs: &Cidrs) -> Vec<Match> {
    let v4 = (!cidrs.v4().is_empty()).then(|| Match::DestinationV4(cidrs.v4().to_vec()));
    let v6 = (!cidrs.v6().is_empty()).then(|| Match::DestinationV6(cidrs.v6().to_vec()));
    v4.into_iter().chain(v6).collect()
}

/// A condition on the source for each family that has addresses.
pub(super) fn sources(cidrs: &Cidrs) -> Vec<Match> {
    let v4 = (!cidrs.v4().is_empty()).then(|| Match::SourceV4(cidrs.v4().to_vec()));
    let v6 = (!cidrs.v6().is_empty()).then(|| Match::SourceV6(cidrs.v6().to_vec()));
    v4.into_iter().chain(v6).collect()
}

/// A condition for each interface.
pub(super) fn interfaces(interfaces: &Interfaces, condition: fn(Interface) -> Match) -> Vec<Match> {
    interfaces.iter().cloned().map(condition).collect()
}

impl Rule {
    /// This rule where all is selected; otherwise one for each condition that the selected makes, and none where that makes
    /// none.
    pub(super) fn narrowed<T>(
        self,
        selection: &Selection<T>,
        conditions: impl FnOnce(&T) -> Vec<Match>,
        flag: Flag,
    ) -> Vec<Self> {
        match selection {
            Selection::All => vec![self],
            Selection::Only(some) => conditions(some)
                .into_iter()
                .map(|condition| {
                    let mut rule = self.clone();
                    rule.matches.push(condition);
                    if !rule.options.contains(&flag) {
                        rule.options.push(flag);
                    }
                    rule
                })
                .collect(),
        }
    }
}
