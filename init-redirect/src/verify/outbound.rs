//! What the pod sends: calls of this process, and of a child that is the proxy's user, and where they land.
//!
//! Calls that are to leave the pod are made before the one that is to come to the listener: once that has come, the others
//! would have too.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::libc;
use nix::poll::PollFlags;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};

use super::call::not_sent;
use super::claim::{Because, Claim, Kind};
use super::packet;
use super::tracker::Flow;
use super::{Expected, Verifier, child};
use crate::netlink::{wait, wait_for};
use crate::options::Family;
use crate::plan::{Action, ChainName, Rule};

/// Proves what can be proven of outbound rules for a family.
pub(super) fn verify(verifier: &mut Verifier<'_>, family: Family) {
    verifier.begin();
    let here = packet::elsewhere(family);
    let Some(way) = verifier.way(here) else {
        let because = Because::new("no-route", format!("the pod has no {family} route to {here}"));
        for kind in [Kind::OutboundCaptured, Kind::ProxyExempt] {
            verifier.verdict.unproven(Claim::general(kind, Some(family)), because.clone());
        }
        return;
    };
    let port = verifier.options.outbound.port.get();
    let listener = listener(SocketAddr::new(loopback(family), port));
    own_port(verifier, family, listener.as_ref());
    let excluded = excluded(verifier, family, here);
    let rules = packet::rules(verifier.plan, ChainName::Outbound);
    let destination = packet::redirected(rules, here).into_iter().find(|destination| {
        let to = if destination.ip() == here { Some(way.clone()) } else { verifier.way(destination.ip()) };
        let rule = to.and_then(|to| decides(verifier, *destination, &to));
        rule.is_some_and(|rule| matches!(rule.action, Action::Redirect(_)))
    });
    match destination {
        Some(destination) => {
            child::verify(verifier, family, destination);
            captured(verifier, destination, listener, &excluded);
        }
        None => nothing_captured(verifier, family),
    }
    for (claim, flow) in excluded {
        let queued = verifier.verdict.wrong.iter().any(|wrong| wrong.claim == claim);
        if !queued {
            verifier.judge(claim, flow, Expected::Direct);
        }
    }
}

fn decides<'a>(verifier: &Verifier<'a>, destination: SocketAddr, to: &str) -> Option<&'a Rule> {
    let packet = packet::call(verifier.owner, destination, to)?;
    packet::decides(verifier.plan, ChainName::Outbound, &packet)
}

fn nothing_captured(verifier: &mut Verifier<'_>, family: Family) {
    let because = if verifier.owner == verifier.options.proxy {
        Because::new("own-user", "this process runs as the proxy's own user and group, which is exempt")
    } else {
        Because::new("nothing-captured", "the plan captures nothing that this process could send")
    };
    for kind in [Kind::OutboundCaptured, Kind::ProxyExempt] {
        verifier.verdict.unproven(Claim::general(kind, Some(family)), because.clone());
    }
}

/// Calls, for each rule that leaves something alone, a destination about which it decides.
fn excluded(verifier: &mut Verifier<'_>, family: Family, here: IpAddr) -> Vec<(Claim, Flow)> {
    let mut calls = Vec::new();
    let rules = packet::rules(verifier.plan, ChainName::Outbound);
    for (rule, number) in rules.iter().zip(1..).filter(|(rule, _)| packet::excludes(rule, family)) {
        let destination = packet::named(rule, here).into_iter().find(|destination| {
            let to = verifier.way(destination.ip());
            to.and_then(|to| decides(verifier, *destination, &to))
                .is_some_and(|found| std::ptr::eq(found, rule))
        });
        let Some(destination) = destination else {
            verifier.not_probed(Kind::OutboundExcluded, family, (rule, number));
            continue;
        };
        let claim = Claim::new(Kind::OutboundExcluded, family, destination);
        match verifier.call(destination) {
            Ok((_, flow)) => calls.push((claim, flow)),
            Err(errno) => verifier.verdict.unproven(claim, not_sent(errno)),
        }
    }
    calls
}

/// A call that the rules are to bring to the listener.
fn captured(
    verifier: &mut Verifier<'_>,
    destination: SocketAddr,
    listener: Result<TcpListener, Because>,
    excluded: &[(Claim, Flow)],
) {
    let claim = Claim::new(Kind::OutboundCaptured, packet::family_of(destination.ip()), destination);
    let listener = match listener {
        Ok(listener) => listener,
        Err(because) => return verifier.verdict.unproven(claim, because),
    };
    let (client, flow) = match verifier.call(destination) {
        Ok(made) => made,
        Err(errno) => return verifier.verdict.unproven(claim, not_sent(errno)),
    };
    let expected = Expected::At(
        vec![loopback(claim.family.unwrap_or(Family::V4))],
        verifier.options.outbound.port.get(),
    );
    if !verifier.landed(&claim, flow, &expected) {
        return;
    }
    // Its end is a reset, which leaves nothing behind.
    let _ = setsockopt(&client, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
    while wait(&listener, verifier.deadline) {
        let Ok((stream, peer)) = listener.accept() else { continue };
        if let Some((claim, _)) = excluded.iter().find(|(_, flow)| flow.source == peer) {
            verifier.verdict.wrong(claim.clone(), "it comes to the proxy");
        }
        if peer == flow.source {
            return match original(&stream) {
                Some(original) if original == destination => verifier.verdict.proven(claim),
                Some(other) => verifier.verdict.wrong(claim, format!("its original destination is {other}")),
                None => verifier.verdict.wrong(claim, "it has no original destination"),
            };
        }
    }
    verifier
        .verdict
        .unproven(claim, Because::new("lost", "it is redirected and does not arrive: something drops it"));
}

/// A call to the proxy's own port, where somebody listens.
fn own_port(verifier: &mut Verifier<'_>, family: Family, listener: Result<&TcpListener, &Because>) {
    let destination = SocketAddr::new(loopback(family), verifier.options.outbound.port.get());
    let claim = Claim::new(Kind::OutboundPortReset, family, destination);
    if let Err(because) = listener {
        return verifier.verdict.unproven(claim, because.clone());
    }
    match verifier.call(destination) {
        Err(Errno::ECONNREFUSED) => verifier.verdict.proven(claim),
        Err(errno) => verifier.verdict.unproven(claim, not_sent(errno)),
        Ok((client, _)) => match outcome(&client, verifier) {
            Some(0) => verifier.verdict.wrong(claim, "it is accepted"),
            Some(libc::ECONNREFUSED) => verifier.verdict.proven(claim),
            Some(other) => verifier.verdict.unproven(claim, not_sent(Errno::from_raw(other))),
            None => {
                verifier.verdict.unproven(claim, Because::new("lost", "it is neither accepted nor reset"));
            }
        },
    }
}

/// How a call ended, 0 if well; nothing when the time is over.
fn outcome(client: &OwnedFd, verifier: &Verifier<'_>) -> Option<i32> {
    if !wait_for(client, PollFlags::POLLOUT, verifier.deadline) {
        return None;
    }
    getsockopt(client, sockopt::SocketError).ok()
}

/// A listener, or why there is none.
fn listener(at: SocketAddr) -> Result<TcpListener, Because> {
    let listening =
        TcpListener::bind(at).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listening.map_err(|error| {
        if error.kind() == ErrorKind::AddrInUse {
            Because::new("listener-held", format!("{at} is in use: the proxy runs already"))
        } else {
            Because::new("no-listener", format!("nobody can listen on {at}: {error}"))
        }
    })
}

/// The destination before translation. The answer for the other family is an error.
fn original(stream: &TcpStream) -> Option<SocketAddr> {
    let v4 = getsockopt(stream, sockopt::OriginalDst).ok().map(|raw| {
        SocketAddr::from((u32::from_be(raw.sin_addr.s_addr).to_be_bytes(), u16::from_be(raw.sin_port)))
    });
    v4.or_else(|| {
        let raw = getsockopt(stream, sockopt::Ip6tOriginalDst).ok()?;
        Some(SocketAddr::from((raw.sin6_addr.s6_addr, u16::from_be(raw.sin6_port))))
    })
}

const fn loopback(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}
