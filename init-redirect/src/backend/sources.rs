//! The IPv6 addresses on lo from which the proxy calls the application. IPv4 needs none: all of 127.0.0.0/8 is on every lo.
//!
//! Without them the proxy calls from the pod's own address, so a kernel without IPv6, or a namespace where it is off, is no
//! fault.

use std::net::IpAddr;

use nix::errno::Errno;

use super::Error;
use crate::netlink::{Failure, Route};
use crate::plan::Plan;

/// lo has this index in every namespace (the kernel's LOOPBACK_IFINDEX).
const LO: u32 = 1;

/// Makes these addresses be there; says whether some were not.
pub(super) fn put(plan: &Plan) -> Result<bool, Error> {
    let mut route = open()?;
    let held = held(&mut route)?;
    let mut missing = plan.sources.iter().copied().map(IpAddr::from).filter(|source| !held.contains(source));
    let put = missing.try_fold(false, |_, source| route.add_source(LO, source).map(|()| true));
    match put {
        Err(Failure::Refused(Errno::EACCES | Errno::EAFNOSUPPORT | Errno::EOPNOTSUPP)) => Ok(false),
        other => other.map_err(|failure| failed("giving lo an address", failure)),
    }
}

/// Takes all of them away that any plan may have put there; says whether there were some.
pub(super) fn remove() -> Result<bool, Error> {
    let mut route = open()?;
    let ours = Plan::all_sources().map(IpAddr::from);
    let mut held = held(&mut route)?.into_iter().filter(|address| ours.contains(address));
    let removed = held.try_fold(false, |_, source| route.remove_address(LO, source).map(|()| true));
    removed.map_err(|failure| failed("taking an address from lo", failure))
}

/// Whether all are there, or none can be.
pub(super) fn hold(plan: &Plan) -> Result<bool, Error> {
    let held = held(&mut open()?)?;
    let expected: Vec<IpAddr> = plan.sources.iter().copied().map(IpAddr::from).collect();
    // Where lo has not even ::1 there is no IPv6.
    let without = !held.contains(&std::net::Ipv6Addr::LOCALHOST.into());
    let of_others = Plan::all_sources().map(IpAddr::from).into_iter().filter(|source| !expected.contains(source));
    Ok(without || expected.iter().all(|source| held.contains(source)) && !of_others.into_iter().any(|source| held.contains(&source)))
}

fn open() -> Result<Route, Error> {
    Route::open().map_err(|errno| Error::Netlink { action: "opening a netlink socket", errno })
}

fn held(route: &mut Route) -> Result<Vec<IpAddr>, Error> {
    let addresses = route.addresses().map_err(|failure| failed("listing addresses", failure))?;
    Ok(addresses.into_iter().filter(|held| held.link == LO).map(|held| held.address).collect())
}

fn failed(action: &'static str, failure: Failure) -> Error {
    match failure {
        Failure::Refused(Errno::EPERM) => Error::NotPermitted,
        Failure::Refused(errno) | Failure::Socket(_, errno) => Error::Netlink { action, errno },
        Failure::Interrupted => Error::Unsettled,
        Failure::Answer(what) => Error::Answer(what),
    }
}
