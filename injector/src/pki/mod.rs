//! The webhook's certificates: an authority that all replicas share, a leaf of each replica's own that never leaves its
//! memory, the bundle that the API server verifies them by, and the schedule of all that.
//!
//! Pure but for random keys: time is an argument, and where things are stored is the business of `cluster`. An authority
//! lives for ten years and is not replaced yet, but for by hand: whoever deletes a broken Secret gets a new one. Bundles
//! are already merged rather than overwritten, so that two authorities can live side by side.
//!
//! Invariant: a leaf is served only together with the authority that signed it, and ends no later than it.

mod bundle;
mod ca;
mod leaf;
mod schedule;
mod swap;

pub use bundle::merge;
pub use ca::Ca;
pub use leaf::Leaf;
pub use schedule::{Action, State, Validity, next};
pub use swap::CurrentLeaf;

use std::time::Duration;

/// How far clocks of nodes may be apart: certificates are valid from this long before they are made.
pub const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// A certificate or key that cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Not PEM, or not what its label says.
    #[error("{what} cannot be parsed: {reason}")]
    Unreadable {
        /// Which part.
        what: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// The key does not belong to the certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// The certificate may not sign others.
    #[error("the certificate is not a certificate authority's")]
    NotAnAuthority,
    /// Out of its time.
    #[error("the certificate authority is not valid now; its time is {not_before} to {not_after}")]
    NotValidNow {
        /// Begin.
        not_before: String,
        /// End.
        not_after: String,
    },
    /// Making keys or signatures failed.
    #[error("cannot make a certificate: {0}")]
    Generate(#[from] rcgen::Error),
    /// The TLS library refuses the key.
    #[error("the TLS library refuses the new key: {0}")]
    Key(#[from] rustls::Error),
}
