//! The proxy's stories, drain and command line on loopback: the real code, without redirect rules and without root.
//!
//! What the kernel would say about original destinations is said by `support::Redirect`; everything after that is the
//! product's. What needs the kernel's own answer is in the netns tests.
//!
//! `cfg(test)` tells clippy that helpers are test code too.

#[cfg(test)]
mod app;
#[cfg(test)]
mod app_metrics;
#[cfg(test)]
mod app_probes;
#[cfg(test)]
mod capacity;
#[cfg(test)]
mod codes;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod composition;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod control;
#[cfg(test)]
mod conversation;
#[cfg(test)]
mod declared;
#[cfg(test)]
mod detection;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod fuzzing;
#[cfg(test)]
mod http;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod labels;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod preferred;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod scrapes;
#[cfg(test)]
mod support;
#[cfg(test)]
mod targets;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod transfer;
