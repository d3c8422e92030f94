//! The webhook's certificates: authorities that all replicas share, a leaf of each replica's own that never leaves its
//! memory, the bundle that the API server verifies them by, and the schedule of all that. Or certificates from files.
//!
//! Pure but for random keys: time and bytes are arguments, and where things are stored is the business of `cluster`.
//!
//! Reading order: `schedule` is the life of an authority, `rotation` one replica's part in it, `publication` the bundle over
//! time; `authorities`, `ca`, `leaf` and `bundle` are what they deal in.
//!
//! Invariants: a leaf ends no later than the authority that signed it; and it is served only when that authority has been
//! published for long enough, as long as there is another choice.

mod authorities;
mod budget;
mod bundle;
mod ca;
mod clock;
mod files;
mod leaf;
mod publication;
mod rotation;
mod schedule;
mod swap;
mod validity;

pub use authorities::Authorities;
pub use budget::Budget;
pub use bundle::Bundle;
pub use ca::Ca;
pub use clock::Clock;
pub use files::{FilesError, Named, Provided};
pub use leaf::Leaf;
pub use publication::{Keep, Publication};
pub use rotation::{Phase, Rotation};
pub use schedule::{Profile, Step};
pub use swap::CurrentLeaf;
pub use validity::Validity;

use std::time::Duration;

/// Certificates are valid from this long before they are made: whoever verifies them may have a clock that is a day slow.
pub const BACKDATED: Duration = Duration::from_secs(25 * 3600);

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
    #[error("not valid now; its time is {not_before} to {not_after}")]
    NotValidNow {
        /// Begin.
        not_before: String,
        /// End.
        not_after: String,
    },
    /// A chain that a bundle does not verify.
    #[error("what is served is not verified for {name}: {reason}")]
    Unverified {
        /// The name that the API server asks for.
        name: String,
        /// What the verifier said.
        reason: String,
    },
    /// Making keys or signatures failed.
    #[error("cannot make a certificate: {0}")]
    Generate(#[from] rcgen::Error),
    /// The TLS library refuses the key.
    #[error("the TLS library refuses the new key: {0}")]
    Key(#[from] rustls::Error),
}
