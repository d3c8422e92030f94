//! What the proxy tells about requests and connections: Istio's metrics, our own, and one access-log line each.
//!
//! It is told and decides nothing. Invariant: nothing here waits or allocates per byte; counters are found without a lock, and
//! a line goes into a bounded queue that drops and counts when it is full.
//!
//! Read [`session`] first, which is one connection's account, then `exchange`, which is that of one request on it.

mod acceptance;
pub mod access_log;
mod code;
pub mod connections;
mod detections;
pub mod edge;
mod end;
pub(crate) mod exchange;
pub(crate) mod exposition;
pub(crate) mod http;
mod link;
pub mod metrics;
mod names;
mod process;
mod relaying;
mod request;
mod scrape;
mod series;
pub mod session;
pub(crate) mod sockets;
mod throttle;
pub mod workload;

pub use acceptance::Acceptance;
pub(crate) use access_log::LONGEST_PATH as LOGGED_PATH;
pub use code::Code;
pub(crate) use http::Pooled;
pub(crate) use link::Link;
pub(crate) use process::WORKER;
pub(crate) use relaying::NoPipe;
pub use relaying::Relaying;
pub(crate) use scrape::ScrapeResult;
pub(crate) use series::MOST as OUTCOMES;
pub(crate) use throttle::PERIOD as LOG_PERIOD;
