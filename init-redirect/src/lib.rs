//! Sends a pod's TCP to its proxy, by rules in the pod's own network namespace.
//!
//! Six nouns, to be read in this order: [`options::Options`] is what is asked for, [`plan::Plan`] the rules that follow,
//! a [`backend`] is what puts them into the kernel, [`backend::Applied`] says what was done, [`verify::Verdict`] what packets
//! showed of it, [`report::Report`] tells others. Everything up to the plan is pure, but for the resolver's configuration, which
//! [`args`] reads where DNS is to be captured and nobody says whose.
//!
//! It is not a firewall: it touches nothing but what is its own, reads no names, and sends no packets but those that prove
//! its rules.

pub mod options;

pub mod args;

pub mod plan;

mod netlink;

pub mod backend;

pub mod capability;

pub mod verify;

pub mod report;
