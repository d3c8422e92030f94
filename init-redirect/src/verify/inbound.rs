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

/// Packets that arrive from one host.
struct Arrivals<'a, 'v> {
    verifier: &'a mut Verifier<'v>,
    tunnel: &'a Tunnel,
    remote: IpAddr,
}

impl<'v> Arrivals<'_, 'v> {
    fn rules(&self) -> &'v [Rule] {
        packet::rules(self.verifier.plan, ChainName::Inbound)
    }

    fn decides(&self, destination: SocketAddr) -> Option<&'v Rule> {
        let packet = packet::arrival(self.remote, destination, tunnel::NAME)?;
        packet::decides(self.verifier.plan, ChainName::Inbound, &packet)
    }

    /// For each rule that leaves something alone, a packet about which it decides.
    fn excluded(&mut self, pod: IpAddr) {
        let family = packet::family_of(pod);
        for (rule, number) in self.rules().iter().zip(1..).filter(|(rule, _)| packet::excludes(rule, family))
        {
            let destination = packet::named(rule, pod).into_iter().find(|destination| {
                destination.ip() == pod
                    && self.decides(*destination).is_some_and(|found| std::ptr::eq(found, rule))
            });
            match destination {
                Some(destination) => {
                    let claim = Claim::new(Kind::InboundExcluded, family, destination);
                    if let Some(flow) = self.deliver(&claim, destination) {
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
        let Some(flow) = self.deliver(&claim, destination) else { return };
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
        let source = SocketAddr::new(self.remote, port);
        if let Some(flow) = self.verifier.flows.iter().find(|flow| flow.source == source) {
            // Best effort: a listener gives up by itself too.
            let _ = self.tunnel.deliver(Act::Abort, *flow);
        }
    }

    fn captured(&mut self, pod: IpAddr) {
        let family = packet::family_of(pod);
        let destination = packet::redirected(self.rules(), pod).into_iter().find(|destination| {
            let rule = self.decides(*destination);
            destination.ip() == pod && rule.is_some_and(|rule| matches!(rule.action, Action::Redirect(_)))
        });
        let Some(destination) = destination else {
            let because = Because::new("nothing-captured", "the plan captures nothing that could arrive");
            return self
                .verifier
                .verdict
                .unproven(Claim::general(Kind::InboundCaptured, Some(family)), because);
        };
        let claim = Claim::new(Kind::InboundCaptured, family, destination);
        if let Some(flow) = self.deliver(&claim, destination) {
            let expected =
                Expected::At(vec![Tunnel::local(pod), pod], self.verifier.options.inbound.port.get());
            self.verifier.judge(claim, flow, expected);
        }
    }

    /// A packet arrives from a port of its own.
    fn deliver(&mut self, claim: &Claim, destination: SocketAddr) -> Option<Flow> {
        let flow = self.verifier.flow_from(self.remote, destination);
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
