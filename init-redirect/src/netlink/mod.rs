//! Netlink, the kernel's own way to talk about its network: framing, and a socket that asks. What is said over it (rules,
//! links, connections) is the business of who uses it.

mod route;
mod socket;
pub(crate) mod sys;
pub(crate) mod wire;

pub(crate) use route::{LinkAddress, Mac, Route};
pub(crate) use socket::{Failure, Socket, acknowledgement, wait, wait_for};
