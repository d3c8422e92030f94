//! What injector and proxy share: log, shutdown, listeners, admin server, readiness and metrics.
//!
//! It knows neither Kubernetes nor traffic. Read `readiness` and `admin` first; the rest is small and independent.

pub mod admin;
pub mod duration;
pub mod listen;
pub mod log;
pub mod metrics;
pub mod readiness;
pub mod shutdown;
