//! The IPv6 addresses on lo from which the proxy calls the application. IPv4 needs none: all of 127.0.0.0/8 is on every lo.
//!
//! Without them the proxy calls from the pod's own address, so a kernel without IPv6, or a namespace where it is off, is no
//! fault.

use std::net::{IpAddr, Ipv6Addr};

use nix::errno::Errno;

use super::Error;
use crate::netlink::{Failure, Route};
use crate::plan::Plan;

/// lo has this index in every namespace (the kernel's LOOPBACK_IFINDEX).
const LO: u32 = 1;

/// Makes exactly those of our addresses be there that the plan has; says whether anything changed.
pub(super) fn put(plan: &Plan) -> Result<bool, Error> {
    let mut route = open()?;
    let held = held(&mut route)?;
    let mut changed = false;
    for source in Plan::all_sources() {
        let address = IpAddr::from(source);
        let done = match (plan.sources.contains(&source), held.contains(&address)) {
            (true, false) => route.add_source(LO, address),
            (false, true) => route.remove_address(LO, address),
            (true, true) | (false, false) => continue,
        };
        match done {
            Err(Failure::Refused(Errno::EACCES | Errno::EAFNOSUPPORT | Errno::EOPNOTSUPP)) => break,
            other => other.map_err(|failure| failed("changing lo's addresses", failure))?,
        }
        changed = true;
    }
    Ok(changed)
}

/// Takes all of them away that any plan may have put there; says whether there were some.
pub(super) fn remove() -> Result<bool, Error> {
    let mut route = open()?;
    let ours: Vec<IpAddr> = Plan::all_sources().into_iter().map(IpAddr::from).collect();
    let mut held = held(&mut route)?.into_iter().filter(|address| ours.contains(address));
    let removed = held.try_fold(false, |_, source| route.remove_address(LO, source).map(|()| true));
    removed.map_err(|failure| failed("changing lo's addresses", failure))
}

/// Whether those are there that the plan has and no others, or none can be.
pub(super) fn hold(plan: &Plan) -> Result<bool, Error> {
    let [held, planned] = compare(plan)?;
    Ok(held == planned)
}

/// Those of our addresses that are there and those that are planned, a line for each. Where lo has not even ::1 there is no
/// IPv6, and none is planned.
pub(super) fn compare(plan: &Plan) -> Result<[Vec<String>; 2], Error> {
    let on_lo = held(&mut open()?)?;
    let line = |source: &Ipv6Addr| format!("address {source} on lo");
    let held = Plan::all_sources()
        .iter()
        .filter(|source| on_lo.contains(&IpAddr::from(**source)))
        .map(line)
        .collect();
    let planned = if on_lo.contains(&Ipv6Addr::LOCALHOST.into()) { plan.sources.as_slice() } else { &[] };
    Ok([held, planned.iter().map(line).collect()])
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
