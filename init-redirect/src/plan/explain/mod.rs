//! Where a packet lands, and which rule decides it: the plan followed by hand, as the kernel would follow it. No packet is
//! sent, and no kernel is asked.
//!
//! It knows what netfilter does between chains: that translation looks at the first packet of a connection only, once on its
//! way, and never at one that belongs to no connection.

mod packet;
mod print;

use serde::Serialize;

use self::packet::{LOOPBACK, Moving};
use super::Plan;
use super::rule::{Action, Chain, ChainName, Point, Purpose, Rule};
use crate::options::Port;

pub use packet::{Packet, Protocol, Sender, State};

/// What becomes of a packet.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Explanation<'a> {
    /// Where it lands.
    pub landing: Landing,
    /// The chains that it passes, in order.
    pub passes: Vec<Passed<'a>>,
}

/// Where a packet lands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Landing {
    /// On this port of the pod's, although it was sent elsewhere.
    Redirected(Port),
    /// Where it was sent to.
    Direct,
    /// Nowhere: its sender is told.
    Reset,
    /// Nowhere, and nobody is told.
    Dropped,
}

/// A chain that a packet passed, and what decided there.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Passed<'a> {
    /// The chain.
    pub chain: ChainName,
    /// The number of the rule that matched, and the rule; nothing when none did.
    #[serde(flatten)]
    pub rule: Option<Numbered<'a>>,
}

/// A rule and its place in its chain.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Numbered<'a> {
    /// From 1.
    pub number: usize,
    /// The rule.
    pub rule: &'a Rule,
}

impl Plan {
    /// Follows the packet.
    pub fn explain(&self, packet: &Packet) -> Explanation<'_> {
        let (arrived, leaves, owner) = match &packet.sender {
            Sender::Process(owner, interface) => (None, Some(interface.as_str()), Some(*owner)),
            Sender::Remote(interface) => (Some(interface.as_str()), None, None),
        };
        let mut moving = Moving { packet, arrived, leaves, owner, redirected: None };
        let begins = if owner.is_some() { Point::Output } else { Point::Prerouting };
        let mut passes = Vec::new();
        self.pass(Purpose::Raw, begins, &moving, &mut passes);
        if packet.state != State::Invalid
            && let Some(Action::Redirect(port)) = self.pass(Purpose::Nat, begins, &moving, &mut passes)
        {
            moving.redirected = Some(port);
        }
        if owner.is_some() {
            if moving.redirected.is_none() && leaves != Some(LOOPBACK) {
                return Explanation { landing: Landing::Direct, passes };
            }
            // It comes back over lo, where its socket is not seen any more and it is tracked and translated already.
            moving = Moving { arrived: Some(LOOPBACK), leaves: None, owner: None, ..moving };
        }
        let landing = match self.pass(Purpose::Filter, Point::Input, &moving, &mut passes) {
            Some(Action::Reset) => Landing::Reset,
            Some(Action::Drop) => Landing::Dropped,
            Some(Action::Leave | Action::Redirect(_) | Action::Zone(_)) | None => {
                moving.redirected.map_or(Landing::Direct, Landing::Redirected)
            }
        };
        Explanation { landing, passes }
    }

    /// What the chain of this kind at this point says, if there is one and it says anything.
    fn pass<'a>(
        &'a self,
        purpose: Purpose,
        point: Point,
        moving: &Moving<'_>,
        passes: &mut Vec<Passed<'a>>,
    ) -> Option<Action> {
        let here = |chain: &&Chain| chain.hook.purpose == purpose && chain.hook.point == point;
        let chain = self.chains.iter().find(here)?;
        let holds = |rule: &Rule| rule.matches.iter().all(|condition| moving.satisfies(condition));
        let rule = (1..).zip(&chain.rules).find(|(_, rule)| holds(rule));
        passes.push(Passed { chain: chain.name, rule: rule.map(|(number, rule)| Numbered { number, rule }) });
        rule.map(|(_, rule)| rule.action)
    }
}
