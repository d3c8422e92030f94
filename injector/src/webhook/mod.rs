//! The admission webhook: AdmissionReviews in over TLS, answers out. It adds nothing to the decision of `inject` but its
//! form, and asks nobody on the way.
//!
//! Reading order: `review` is the form, `router` the HTTP with `body` and `limits`, `server` the connections, `tls` the
//! handshake and `clients` who is admitted by it; `notice` is what owners of pods are told.

mod body;
mod clients;
mod limits;
mod metrics;
mod notice;
mod peers;
mod review;
mod router;
mod server;
mod tls;

pub use clients::{ClientArgs, ClientAuthority, ClientAuthorityError};
pub use metrics::WebhookMetrics;
pub use review::Reviewer;
pub use router::router;
pub use server::{ServerTiming, serve};
pub use tls::{ProbeError, probe, server_config};

use crate::inject::{Matched, Settings};

/// The answer to a review that somebody has in a file: the very bytes that the API server would get, or what is wrong with the
/// review.
pub fn replay(body: &[u8], matched: Matched, settings: &Settings) -> Result<Vec<u8>, String> {
    let answer = Reviewer::fixed(settings.clone()).answer(body, matched);
    answer.map(|answer| answer.body).map_err(|error| error.to_string())
}
