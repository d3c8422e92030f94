//! What others send to the pod: packets that arrive through a [`Tunnel`], and where connection tracking says that they land.
//! No connection is ever made, so it does not matter who listens.

use std::net::{IpAddr, SocketAddr};

use super::claim::{Because, Claim, Kind};
use super::frame::{Act, Reply};
use super::packet;
use super::tracker::Flow;
use super::tunnel::{self, Tunnel, Unavailable};
use super::{Expected, Verifier, because};
use crate::netlink::LinkAddress;
use crate::options::Family;
use crate::plan::{Action, ChainName, Rule};

/// lo has this index in every namespace (the kernel's LOOPBACK_IFINDEX).
const LOOPBACK: u32 = 1;

/// Claims that need a packet from outside, besides those about exclusions.
const KINDS: [Kind; 2] = [Kind::InboundCaptured, Kind::InboundPortReset];

/// Proves what can be proven of inbound rules for these families.
pub(super) fn verify(verifier: &mut Verifier<'_>, families: &[Family]) {
    let mut pods = Vec::new();
    for &family in families {
        match pod_address(verifier, family) {
            Ok(address) => pods.push(address),
            Err(because) => unproven(verifier, family, &because),
        }
    }
    if pods.is_empty() {
        return;
    }
    match Tunnel::open() {
        Ok(mut tunnel) => pods.into_iter().for_each(|pod| through(verifier, &mut tunnel, pod)),
        Err(unavailable) => {
            let because = match unavailable {
                Unavailable::Unsupported => {
                    Because::new("no-tunnel", "this kernel has no vxlan, which brings a packet from outside")
                }
                Unavailable::Failed(failure) => because("bringing a packet from outside", &failure),
            };
            pods.into_iter().for_each(|pod| unproven(verifier, packet::family_of(pod), &because));
        }
    }
}

fn unproven(verifier: &mut Verifier<'_>, family: Family, because: &Because) {
    for kind in KINDS {
        verifier.verdict.unproven(Claim::general(kind, Some(family)), because.clone());
    }
}

/// An address at which others reach the pod.
fn pod_address(verifier: &mut Verifier<'_>, family: Family) -> Result<IpAddr, Because> {
    let addresses = verifier.route.addresses().map_err(|failure| because("listing addresses", &failure))?;
    let global = |address: &IpAddr| match address {
        IpAddr::V4(address) => !address.is_link_local() && !address.is_loopback(),
        IpAddr::V6(address) => !address.is_unicast_link_local() && !address.is_loopback(),
    };
    let usable = |found: &&LinkAddress| {
        found.link != LOOPBACK && !found.tentative && packet::family_of(found.address) == family
    };
    let found = addresses.iter().filter(usable).find(|found| global(&found.address));
    let none = || Because::new("no-address", format!("the pod has no {family} address"));
    found.map(|found| found.address).ok_or_else(none)
}

/// Everything about one address of the pod.
fn through(verifier: &mut Verifier<'_>, tunnel: &mut Tunnel, pod: IpAddr) {
    verifier.begin();
    let family = packet::family_of(pod);
    let remote = match tunnel.address(pod, verifier.deadline) {
        Ok(remote) => remote,
        Err(failure) => {
            return unproven(verifier, family, &because("giving the tunnel an address", &failure));
        }
    };
    let mut arrivals = Arrivals { verifier, tunnel, remote };
    arrivals.excluded(pod);
    arrivals.captured(pod);
    arrivals.own_port(pod);
}

/// Packets that arrive.
struct Arrivals<'a, 'v> {
    verifier: &'a mut Verifier<'v>,
    tunnel: &'a mut Tunnel,
    /// The sender that stands for all.
    remote: IpAddr,
}

impl<'v> Arrivals<'_, 'v> {
    fn rules(&self) -> &'v [Rule] {
        packet::rules(self.verifier.plan, ChainName::Inbound)
    }

    /// A sender and a destination about which a rule decides that is `wanted`, of those that `rule` names.
    fn find(&self, rule: &Rule, pod: IpAddr, wanted: impl Fn(&Rule) -> bool) -> Option<(IpAddr, SocketAddr)> {
        let mut destinations = packet::named(rule, pod);
        destinations.retain(|destination| destination.ip() == pod);
        let senders = packet::senders(rule, self.remote).into_iter();
        let mut pairs = senders.flat_map(|sender| destinations.iter().map(move |to| (sender, *to)));
        pairs.find(|(sender, destination)| {
            packet::arrival(*sender, *destination, tunnel::NAME)
                .and_then(|packet| packet::decides(self.verifier.plan, ChainName::Inbound, &packet))
                .is_some_and(&wanted)
        })
    }

    /// For each rule that leaves something alone, a packet about which it decides.
    fn excluded(&mut self, pod: IpAddr) {
        let family = packet::family_of(pod);
        for (rule, number) in self.rules().iter().zip(1..).filter(|(rule, _)| packet::excludes(rule, family))
        {
            match self.find(rule, pod, |found| std::ptr::eq(found, rule)) {
                Some((sender, destination)) => {
                    let claim = Claim::new(Kind::InboundExcluded, family, destination);
                    if let Some(flow) = self.deliver(&claim, sender, destination) {
                        self.verifier.judge(claim, flow, Expected::Direct);
                    }
                }
                None => self.verifier.not_probed(Kind::InboundExcluded, family, (rule, number)),
            }
        }
    }

    /// The last packet of an address: the answers to all others come before the one to this.
    fn own_port(&mut self, pod: IpAddr) {
        let destination = SocketAddr::new(pod, self.verifier.options.inbound.port.get());
        let claim = Claim::new(Kind::InboundPortReset, packet::family_of(pod), destination);
        let Some(flow) = self.deliver(&claim, self.remote, destination) else { return };
        while let Some((port, reply)) = self.tunnel.await_reply(self.verifier.deadline) {
            if reply == Reply::Accepted {
                self.abort(port);
            }
            if port == flow.source.port() {
                return match reply {
                    Reply::Reset => self.verifier.verdict.proven(claim),
                    Reply::Accepted => self.verifier.verdict.wrong(claim, "it is accepted"),
                };
            }
        }
        self.verifier.verdict.unproven(claim, Because::new("lost", "it is neither accepted nor reset"));
    }

    /// Whoever accepted the call from this port is told that it was nothing.
    fn abort(&self, port: u16) {
        // Calls of the pod that had the same port came before.
        if let Some(flow) = self.verifier.flows.iter().rev().find(|flow| flow.source.port() == port) {
            // Best effort: a listener gives up by itself too.
            let _ = self.tunnel.deliver(Act::Abort, *flow);
        }
    }

    fn captured(&mut self, pod: IpAddr) {
        let family = packet::family_of(pod);
        let inbound = self.verifier.options.inbound.port;
        let redirects = |rule: &Rule| rule.action == Action::Redirect(inbound);
        // The last is the one for most packets.
        let rules = self.rules().iter().rev().filter(|rule| redirects(rule));
        let found = rules.into_iter().find_map(|rule| self.find(rule, pod, redirects));
        let Some((sender, destination)) = found else {
            let because = Because::new("nothing-captured", "the plan captures nothing that could arrive");
            let claim = Claim::general(Kind::InboundCaptured, Some(family));
            return self.verifier.verdict.unproven(claim, because);
        };
        let claim = Claim::new(Kind::InboundCaptured, family, destination);
        if let Some(flow) = self.deliver(&claim, sender, destination) {
            let expected = Expected::At(vec![Tunnel::local(pod), pod], inbound.get());
            self.verifier.judge(claim, flow, expected);
        }
    }

    /// A packet arrives, from a port of its own.
    fn deliver(&mut self, claim: &Claim, sender: IpAddr, destination: SocketAddr) -> Option<Flow> {
        if sender != self.remote
            && let Err(failure) = self.tunnel.add_sender(sender)
        {
            let because = because("giving the tunnel a sender", &failure);
            self.verifier.verdict.unproven(claim.clone(), because);
            return None;
        }
        let flow = self.verifier.flow_from(sender, destination);
        match self.tunnel.deliver(Act::Open, flow) {
            Ok(()) => Some(flow),
            Err(error) => {
                let because = Because::new("not-sent", format!("the packet cannot be sent: {error}"));
                self.verifier.verdict.unproven(claim.clone(), because);
                None
            }
        }
    }
}
