//! What the proxy tells about connections: Istio's TCP metrics, our own, and one access-log line each.
//!
//! It is told and decides nothing. Invariant: nothing here waits or allocates per byte; a connection's counters are looked
//! up once, and its line goes into a bounded queue that drops and counts when it is full.
//!
//! Read [`session`] first: it is one connection's account.

mod acceptance;
pub mod access_log;
pub mod connections;
mod detections;
pub mod edge;
#[expect(dead_code, reason = "the HTTP engines are about to call it")]
pub(crate) mod exchange;
pub(crate) mod http;
pub mod metrics;
mod names;
mod process;
mod relaying;
mod scrape;
mod series;
pub mod session;
mod throttle;
pub mod workload;

pub use acceptance::Acceptance;
pub(crate) use process::WORKER;
pub(crate) use relaying::NoPipe;
pub use relaying::Relaying;
pub(crate) use scrape::ScrapeResult;
pub(crate) use throttle::PERIOD as LOG_PERIOD;
