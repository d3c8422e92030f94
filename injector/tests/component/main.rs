//! Component tests of the injector: its library as a whole, against fixtures, files, and a scripted API server.
//!
//! `cfg(test)` is always true here; it tells clippy that helpers, too, may unwrap.

#[cfg(test)]
mod certificate_files;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod common;
#[cfg(test)]
mod configured;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod decided;
#[cfg(test)]
mod events;
#[cfg(test)]
mod export;
#[cfg(test)]
mod files;
#[cfg(test)]
mod fuzzing;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod judge;
#[cfg(test)]
mod namespaces;
#[cfg(test)]
mod reviews;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod running;
#[cfg(test)]
mod selection;
#[cfg(test)]
mod silence;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod targets;
#[cfg(test)]
#[path = "../truth/mod.rs"]
mod truth;
#[cfg(test)]
mod wire;
