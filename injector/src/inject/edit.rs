//! A change of something of the user's: the few places that injection may change at all, each with what was there before,
//! so that `uninject` puts it back exactly.
//!
//! Invariant: a [`Place`] names its container, not a position, since another webhook may have moved it by the next review.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One change. `was` is absent where there was nothing, `now` where the thing is taken away.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Edit {
    pub(super) place: Place,
    pub(super) was: Option<Value>,
    pub(super) now: Option<Value>,
}

/// Where a change is made.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Place {
    /// An annotation of the user's whose value changes.
    Annotation(String),
    /// A probe or a lifecycle handler, whole.
    Handler {
        /// Name of the container or the init container.
        container: String,
        /// Which of its handlers.
        handler: Handler,
    },
}

/// The handlers of a container that a transparent proxy may have to stand in for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Handler {
    ReadinessProbe,
    LivenessProbe,
    StartupProbe,
    PostStart,
    PreStop,
}
