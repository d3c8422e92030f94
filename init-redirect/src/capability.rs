//! The capabilities of this process: raised when needed, given up afterwards.
//!
//! A container that is not root starts with what its binary's file capabilities and the container's bounding set have in
//! common, permitted and not effective: it has to be raised before use.

use caps::{CapSet, Capability};

/// What calling as another user and group needs.
const IDENTITY: [Capability; 2] = [Capability::CAP_SETUID, Capability::CAP_SETGID];

/// Something cannot be done by this process.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Rules cannot be installed.
    #[error(
        "NET_ADMIN is missing: add NET_ADMIN to the container's securityContext.capabilities.add (a container that is not \
         root also needs the image's own binary, which carries it as a file capability)"
    )]
    Missing,
    /// No process of another user can be made.
    #[error("SETUID and SETGID are not granted, which a call as the proxy's user and group needs")]
    NoIdentity,
    /// It was granted and yet cannot be used.
    #[error("{0} cannot be raised: {1}")]
    NotRaised(&'static str, String),
}

/// Makes NET_ADMIN effective, for good: all that this program does needs it.
pub fn raise_net_admin() -> Result<(), Error> {
    const NEEDED: Capability = Capability::CAP_NET_ADMIN;
    let not_raised = |error: caps::errors::CapsError| Error::NotRaised("NET_ADMIN", error.to_string());
    if !caps::has_cap(None, CapSet::Permitted, NEEDED).map_err(not_raised)? {
        return Err(Error::Missing);
    }
    caps::raise(None, CapSet::Effective, NEEDED).map_err(not_raised)
}

/// Does `work` with SETUID and SETGID effective, where both were granted.
pub fn with_identity<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    let not_raised = |error: caps::errors::CapsError| Error::NotRaised("SETUID or SETGID", error.to_string());
    let before = caps::read(None, CapSet::Effective).map_err(not_raised)?;
    let permitted = caps::read(None, CapSet::Permitted).map_err(not_raised)?;
    if !IDENTITY.iter().all(|needed| permitted.contains(needed)) {
        return Err(Error::NoIdentity);
    }
    for needed in IDENTITY {
        caps::raise(None, CapSet::Effective, needed).map_err(not_raised)?;
    }
    let done = work();
    caps::set(None, CapSet::Effective, &before).map_err(not_raised)?;
    Ok(done)
}

/// Lets the programs that this thread starts use what it was granted of NET_ADMIN and NET_RAW. A program without file
/// capabilities, run by a user who is not root, has no others than its starter's ambient ones.
pub fn bequeath() -> Result<(), Error> {
    let failed = |error: caps::errors::CapsError| Error::NotRaised("NET_ADMIN or NET_RAW", error.to_string());
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
