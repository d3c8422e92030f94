//! How long webhooks take: by the API server's own histogram of admission webhooks, and by the injector's.

use std::collections::BTreeMap;

use anyhow::Result;
use tests::control_plane::Client;

const HISTOGRAM: &str = "apiserver_admission_webhook_admission_duration_seconds_";

/// From the last byte in to the answer.
const COMPUTED: &str = "injection_duration_seconds_";

/// By the name of the webhook's entry.
pub(super) type Waits = BTreeMap<String, Waited>;

/// How long a webhook was waited for, the application of its patch included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waited {
    seconds: f64,
    pub(super) calls: f64,
}

impl Waited {
    pub(super) fn since(self, before: Self) -> Self {
        Self { seconds: self.seconds - before.seconds, calls: self.calls - before.calls }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { seconds: self.seconds + other.seconds, calls: self.calls + other.calls }
    }

    /// In seconds.
    pub(super) fn mean(self) -> f64 {
        self.seconds / self.calls
    }
}

/// What injectors have counted; `text` has the metrics of each.
pub(super) fn computed(text: &str) -> Waited {
    let mut computed = Waited::default();
    for line in text.lines().filter_map(|line| line.strip_prefix(COMPUTED)) {
        let Some((kind, Ok(value))) = line.split_once(' ').map(|(kind, value)| (kind, value.parse::<f64>()))
        else {
            continue;
        };
        match kind {
            "sum" => computed.seconds += value,
            "count" => computed.calls += value,
            _ => {}
        }
    }
    computed
}

/// What the API server has counted.
pub(super) async fn all(client: &mut Client) -> Result<Waits> {
    let text = client.get("/metrics").await?.text();
    let mut found = Waits::new();
    for line in text.lines().filter_map(|line| line.strip_prefix(HISTOGRAM)) {
        let Some((kind, rest)) = line.split_once('{') else { continue };
        let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
        let name = labels.split(',').find_map(|label| label.strip_prefix("name=\"")?.strip_suffix('"'));
        let (Some(name), Ok(value)) = (name, value.parse::<f64>()) else { continue };
        let waited = found.entry(name.to_owned()).or_default();
        match kind {
            "sum" => waited.seconds += value,
            "count" => waited.calls += value,
            _ => {}
        }
    }
    Ok(found)
}
