//! What verification says: what was shown to be true, what was not and why, and what is false.

use std::fmt;

use serde::Serialize;

use crate::options::Family;

/// What verification found.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Verdict {
    /// Shown to be true.
    pub proven: Vec<Claim>,
    /// Not shown, which is no fault.
    pub unproven: Vec<Unproven>,
    /// A packet did something else than the plan says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wrong: Vec<Wrong>,
}

/// Something that the rules are to achieve.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Claim {
    /// Which.
    pub claim: Kind,
    /// For packets of this family; for both where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// The packet that shows it, or would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet: Option<String>,
}

/// What can be claimed of rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What the kernel holds is the plan.
    RulesAsPlanned,
    /// What the pod sends comes to the proxy, with the original destination.
    OutboundCaptured,
    /// What is excluded does not.
    OutboundExcluded,
    /// What the proxy sends does not.
    ProxyExempt,
    /// A call from the pod to the proxy's outbound port is reset.
    OutboundPortReset,
    /// What is sent to the pod goes to the proxy.
    InboundCaptured,
    /// What is excluded does not.
    InboundExcluded,
    /// A call from outside to the proxy's inbound port is reset.
    InboundPortReset,
    /// The DNS questions of the pod come to the proxy.
    DnsCaptured,
    /// What clients behind virtual interfaces send comes to the proxy.
    VirtualCaptured,
}

/// A claim that was not shown.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Unproven {
    /// Which.
    #[serde(flatten)]
    pub claim: Claim,
    /// Why not.
    #[serde(flatten)]
    pub because: Because,
}

/// Why a claim was not shown.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Because {
    /// A stable word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// A claim that is false.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Wrong {
    /// Which.
    #[serde(flatten)]
    pub claim: Claim,
    /// What is so instead.
    pub found: String,
}

impl Claim {
    pub(super) fn new(claim: Kind, family: Family, packet: impl fmt::Display) -> Self {
        Self { claim, family: Some(family), packet: Some(packet.to_string()) }
    }

    /// A claim for which there is no packet.
    pub(super) const fn general(claim: Kind, family: Option<Family>) -> Self {
        Self { claim, family, packet: None }
    }
}

impl Because {
    pub(super) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl Verdict {
    pub(super) fn proven(&mut self, claim: Claim) {
        self.proven.push(claim);
    }

    pub(super) fn unproven(&mut self, claim: Claim, because: Because) {
        self.unproven.push(Unproven { claim, because });
    }

    pub(super) fn wrong(&mut self, claim: Claim, found: impl Into<String>) {
        self.wrong.push(Wrong { claim, found: found.into() });
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.claim {
            Kind::RulesAsPlanned => "the kernel's rules are the plan's",
            Kind::OutboundCaptured => "what the pod sends comes to the proxy",
            Kind::OutboundExcluded => "what is excluded leaves the pod directly",
            Kind::ProxyExempt => "what the proxy sends leaves the pod directly",
            Kind::OutboundPortReset => "a call from the pod to the proxy's outbound port is reset",
            Kind::InboundCaptured => "what is sent to the pod goes to the proxy",
            Kind::InboundExcluded => "what is excluded goes to the application directly",
            Kind::InboundPortReset => "a call from outside to the proxy's inbound port is reset",
            Kind::DnsCaptured => "the pod's DNS questions come to the proxy",
            Kind::VirtualCaptured => "what clients behind virtual interfaces send comes to the proxy",
        })?;
        if let Some(family) = self.family {
            write!(f, " ({family}")?;
            self.packet.iter().try_for_each(|packet| write!(f, ", {packet}"))?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

/// For people: a line for each claim.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for claim in &self.proven {
            writeln!(f, "proven    {claim}")?;
        }
        for Unproven { claim, because } in &self.unproven {
            writeln!(f, "unproven  {claim}: {}", because.message)?;
        }
        for Wrong { claim, found } in &self.wrong {
            writeln!(f, "wrong     {claim}: {found}")?;
        }
        Ok(())
    }
}
