//! The admission webhook: AdmissionReviews in over TLS, answers out. It adds nothing to the decision of `inject` but its
//! form, and asks nobody on the way.
//!
//! Reading order: `review` is the form, `router` the HTTP, `server` the connections, `tls` the handshake.

mod metrics;
mod review;
mod router;
mod server;
mod tls;

pub use metrics::WebhookMetrics;
pub use router::router;
pub use server::{ServerTiming, serve};
pub use tls::{ProbeError, probe, server_config};
