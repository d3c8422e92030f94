//! Why rules are not in the kernel.

use std::fmt;

use nix::errno::Errno;

/// A rule of others that would keep traffic from ours. It is shown, and never touched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conflict {
    /// Table and chain.
    pub place: String,
    /// The rule, as far as it can be shown.
    pub rule: String,
    /// What it does to ours.
    pub effect: &'static str,
}

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
    /// No backend works here.
    #[error("no backend can be used: {reasons}")]
    NoBackend {
        /// What each lacks.
        reasons: String,
    },
    /// A rule of the plan has no form in iptables.
    #[error("iptables has no way to say {rule:?}, which asks for one thing twice: use --backend nft")]
    Unsayable {
        /// The rule.
        rule: String,
    },
    /// A program that the backend is made of is not there.
    #[error(
        "{program} is not installed here: use the image {}, or --backend nft, which needs no program",
        api::pod::INIT_IPTABLES_IMAGE
    )]
    ProgramMissing {
        /// Its name.
        program: String,
    },
    /// Only the legacy backend needs it.
    #[error(
        "NET_RAW is missing, which iptables-legacy needs beside NET_ADMIN: add NET_RAW to the container's \
         securityContext.capabilities.add, or use --backend nft, which needs NET_ADMIN alone"
    )]
    NetRawMissing,
    /// A program failed.
    #[error("{program} failed: {message}")]
    Program {
        /// Its name.
        program: String,
        /// What it said.
        message: String,
    },
    /// Rules of others would disable ours.
    #[error("rules of others would disable ours: {}; remove them, or what makes them", List(.0))]
    Conflict(Vec<Conflict>),
    /// Someone holds a lock and does not let go.
    #[error("{lock} was held by another process for {seconds} seconds: end that process, or try again")]
    Locked {
        /// Which lock.
        lock: String,
        /// How long we waited.
        seconds: u64,
    },
    /// A part is in the kernel and could not be taken out again.
    #[error("{cause}; and what was there before could not be brought back: {rollback}")]
    NotRolledBack {
        /// Why not everything is in the kernel.
        cause: Box<Error>,
        /// Why something is.
        rollback: Box<Error>,
    },
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
            Self::NoBackend { .. } => "no-backend",
            Self::Unsayable { .. } => "unsayable",
            Self::ProgramMissing { .. } => "program-missing",
            Self::NetRawMissing => "not-permitted",
            Self::Program { .. } => "program-failed",
            Self::Conflict(_) => "conflict",
            Self::Locked { .. } => "locked",
            Self::NotRolledBack { .. } => "not-rolled-back",
            Self::Unsettled => "unsettled",
        }
    }

    /// The exit code that says it; README and `--help` list them.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::ModuleMissing { .. }
            | Self::NoBackend { .. }
            | Self::Unsayable { .. }
            | Self::ProgramMissing { .. } => 20,
            Self::NotPermitted | Self::NetRawMissing => 21,
            Self::Conflict(_) => 22,
            Self::Refused { .. }
            | Self::Netlink { .. }
            | Self::Answer(_)
            | Self::Program { .. }
            | Self::Locked { .. }
            | Self::Unsettled => 30,
            Self::NotRolledBack { .. } => 31,
        }
    }
}

struct List<'a>(&'a [Conflict]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Conflict { place, rule, effect }) in self.0.iter().enumerate() {
            write!(f, "{}in {place}: {rule} ({effect})", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
