//! The one capability that installing rules needs.
//!
//! A container that is not root starts with what its binary's file capabilities and the container's bounding set have in
//! common, permitted and not effective: it has to be raised before use.

use caps::{CapSet, Capability};

/// Rules cannot be installed by this process.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// It was not granted.
    #[error(
        "NET_ADMIN is missing: add NET_ADMIN to the container's securityContext.capabilities.add (a container that is not \
         root also needs the image's own binary, which carries it as a file capability)"
    )]
    Missing,
    /// It was granted and yet cannot be used.
    #[error("NET_ADMIN cannot be raised: {0}")]
    NotRaised(String),
}

/// Makes NET_ADMIN effective.
pub fn raise_net_admin() -> Result<(), Error> {
    const NEEDED: Capability = Capability::CAP_NET_ADMIN;
    let not_raised = |error: caps::errors::CapsError| Error::NotRaised(error.to_string());
    if !caps::has_cap(None, CapSet::Permitted, NEEDED).map_err(not_raised)? {
        return Err(Error::Missing);
    }
    caps::raise(None, CapSet::Effective, NEEDED).map_err(not_raised)
}

/// Lets the programs that this thread starts use what it was granted of NET_ADMIN and NET_RAW. A program without file
/// capabilities, run by a user who is not root, has no others than its starter's ambient ones.
pub fn bequeath() -> Result<(), Error> {
    let failed = |error: caps::errors::CapsError| Error::NotRaised(error.to_string());
    for capability in [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW] {
        if caps::has_cap(None, CapSet::Permitted, capability).map_err(failed)? {
            caps::raise(None, CapSet::Inheritable, capability).map_err(failed)?;
            caps::raise(None, CapSet::Ambient, capability).map_err(failed)?;
        }
    }
    Ok(())
}

/// Whether NET_RAW was granted.
pub fn has_net_raw() -> bool {
    caps::has_cap(None, CapSet::Permitted, Capability::CAP_NET_RAW).unwrap_or(false)
}
