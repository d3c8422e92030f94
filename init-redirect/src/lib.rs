//! Sends a pod's TCP to its proxy, by rules in the pod's own network namespace.
//!
//! Five nouns, to be read in this order: [`options::Options`] is what is asked for, [`plan::Plan`] the rules that follow,
//! a [`backend`] is what puts them into the kernel, [`backend::Applied`] says what was done, [`report::Report`] tells
//! others. Everything up to the plan is pure.
//!
//! It is not a firewall: it touches nothing but its own table, reads no names, and sends no packet.

pub mod options;

pub mod args;

pub mod plan;

mod netlink;

pub mod backend;

pub mod capability;

pub mod verify;

pub mod report;
