//! The sidecar: carries the pod's captured TCP connections.
//!
//! Read the two stories first, [`outbound`] and [`inbound`]; each is one connection from top to bottom. Then [`tcp`], which
//! both end in, and the parts below it: [`detect`] (what is spoken), [`net`] (sockets) and [`telemetry`] (what is told about them). [`app`] wires
//! everything, [`drain`] decides when it ends. [`app_probes`] and [`app_metrics`] speak to the application on behalf of the
//! kubelet and of scrapers.

pub mod admin;
pub mod app;
pub mod app_metrics;
pub mod app_probes;
pub mod application;
pub mod balance;
pub mod budget;
mod call;
pub mod config;
pub mod config_dump;
pub mod control_socket;
pub mod detect;
pub mod direction;
pub mod discovery;
pub mod drain;
mod ending;
mod first_speaker;
pub mod http;
pub mod inbound;
pub mod limits;
pub mod net;
pub mod outbound;
pub mod probe;
pub mod tcp;
pub mod telemetry;
pub mod trace;
mod upstream;
pub mod wait;
