//! A change of something of the user's: the few places that injection may change at all, each with what was there before,
//! so that `uninject` puts it back exactly.
//!
//! Invariant: a [`Place`] names its container, not a position, since another webhook may have moved it by the next review.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One change. `was` is absent where there was nothing, `now` where the thing is taken away.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Edit {
    pub(super) place: Place,
    pub(super) was: Option<Value>,
    pub(super) now: Option<Value>,
}

/// Where a change is made.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
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

/// What of a handler an edit replaced: the handler differs from the original in these fields alone, so that Kubernetes'
/// defaults, and thresholds that somebody changed since, outlive the way back.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Original {
    /// The fields that were replaced or taken away.
    was: Map<String, Value>,
    /// The fields that were not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    added: Vec<String>,
}

impl Handler {
    /// The field's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ReadinessProbe => "readinessProbe",
            Self::LivenessProbe => "livenessProbe",
            Self::StartupProbe => "startupProbe",
            Self::PostStart => "postStart",
            Self::PreStop => "preStop",
        }
    }

    /// Where it is within its container, as a JSON pointer.
    pub(super) fn pointer(self) -> &'static str {
        match self {
            Self::ReadinessProbe => "/readinessProbe",
            Self::LivenessProbe => "/livenessProbe",
            Self::StartupProbe => "/startupProbe",
            Self::PostStart => "/lifecycle/postStart",
            Self::PreStop => "/lifecycle/preStop",
        }
    }
}

impl Original {
    /// What a change replaces.
    pub(super) fn new(was: &Value, now: &Value) -> Self {
        let empty = Map::new();
        let (was, now) = (was.as_object().unwrap_or(&empty), now.as_object().unwrap_or(&empty));
        let replaced = was.iter().filter(|(field, value)| now.get(*field) != Some(*value));
        Self {
            was: replaced.map(|(field, value)| (field.clone(), value.clone())).collect(),
            added: now.keys().filter(|field| !was.contains_key(*field)).cloned().collect(),
        }
    }

    /// The handler as it was, from what it is now.
    pub(super) fn restored(&self, now: &Value) -> Value {
        let mut fields = now.as_object().cloned().unwrap_or_default();
        fields.retain(|field, _| !self.added.contains(field));
        fields.extend(self.was.clone());
        Value::Object(fields)
    }
}

/// Whether a handler asks the proxy in the application's place. One that does not is the user's, or somebody replaced it.
pub(super) fn stands_in(handler: &Value) -> bool {
    let request = handler.get("httpGet");
    let field = |name: &str| request.and_then(|request| request.get(name));
    let path = field("path").and_then(Value::as_str).unwrap_or_default();
    field("port").and_then(Value::as_u64) == Some(u64::from(api::ports::METRICS))
        && [api::control::APP_HEALTH_PATH, api::control::APP_LIFECYCLE_PATH]
            .iter()
            .any(|prefix| path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/')))
}
