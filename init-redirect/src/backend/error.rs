//! Why rules are not in the kernel.

use nix::errno::Errno;

/// Nothing was changed, and this is why.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The kernel lacks a part.
    #[error(
        "this kernel has no {modules}: load it on the node (modprobe {modules}), an init container cannot"
    )]
    ModuleMissing {
        /// Kernel modules.
        modules: String,
    },
    /// The kernel says that we may not.
    #[error(
        "the kernel denies access to the pod's rules: NET_ADMIN is missing in the user namespace that owns the network \
         namespace; add NET_ADMIN to the container's securityContext.capabilities.add"
    )]
    NotPermitted,
    /// The kernel did not take a part of the plan.
    #[error("the kernel refused {step}: {errno}")]
    Refused {
        /// Which part.
        step: String,
        /// What it said.
        errno: Errno,
    },
    /// Talking to the kernel failed.
    #[error("{action} failed: {errno}")]
    Netlink {
        /// While doing what.
        action: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
    /// The kernel answered something that is no answer.
    #[error("the kernel's answer is not understood: {0}")]
    Answer(&'static str),
    /// Others change the rules faster than we can.
    #[error("another program keeps changing this network namespace's rules: stop it, or try again")]
    Unsettled,
}

impl Error {
    /// A stable word for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ModuleMissing { .. } => "module-missing",
            Self::NotPermitted => "not-permitted",
            Self::Refused { .. } => "refused",
            Self::Netlink { .. } => "netlink",
            Self::Answer(_) => "answer",
            Self::Unsettled => "unsettled",
        }
    }
}
