//! What the proxy logs: a level for everything, and levels of single parts of it.

use std::fmt;

use super::draft::Draft;
use super::modes::{AccessLog, LogFormat};
use super::{MOST_ITEMS, Parsed, Setting, malformed, quoted};

/// The proxy's log.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Log {
    pub(super) level: Setting<Option<Level>>,
    pub(super) components: Setting<Vec<(Component, Level)>>,
    pub(in super::super) format: Setting<Option<LogFormat>>,
    pub(in super::super) access: Setting<Option<AccessLog>>,
}

/// A level, by its name in the proxy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Level(&'static str);

/// A part of the proxy; absent for the whole of it, without the libraries under it.
pub(super) type Component = Option<&'static str>;

/// By Istio's and Linkerd's names, with the proxy's.
const LEVELS: [(&str, &str); 8] = [
    ("trace", "trace"),
    ("debug", "debug"),
    ("info", "info"),
    ("warning", "warn"),
    ("warn", "warn"),
    ("error", "error"),
    ("critical", "error"),
    ("off", "off"),
];

const DEFAULT_LEVEL: Level = Level("info");

/// The proxy's modules, whose names are the targets of its log.
pub(super) const COMPONENTS: &[&str] = &[
    "admin",
    "app",
    "app_metrics",
    "app_probes",
    "application",
    "balance",
    "budget",
    "config",
    "config_dump",
    "control_socket",
    "detect",
    "direction",
    "discovery",
    "drain",
    "http",
    "inbound",
    "limits",
    "net",
    "outbound",
    "probe",
    "tcp",
    "telemetry",
    "trace",
    "wait",
];

impl Level {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        let level = LEVELS.iter().find(|(name, _)| *name == text);
        level.map_or_else(
            || malformed(format!("{} is not a level", quoted(text))),
            |(_, filter)| Ok(Self(filter)),
        )
    }
}

impl Log {
    /// As the proxy takes it; nothing where nothing was said.
    pub(in super::super) fn filter(&self) -> Option<String> {
        if self.level.is_none() && self.components.is_empty() {
            return None;
        }
        let mut filter = self.level.unwrap_or(DEFAULT_LEVEL).0.to_owned();
        for (component, level) in self.components.iter() {
            let module = component.map(|module| format!("::{module}")).unwrap_or_default();
            filter.push_str(&format!(",{PROXY}{module}={}", level.0));
        }
        Some(filter)
    }
}

/// The target under which the whole proxy logs.
const PROXY: &str = "proxy";

/// Istio's form: `component:level,...`. Envoy's components mean nothing here, and are told.
pub(super) fn components(draft: &mut Draft<'_>, text: &str) -> Parsed<()> {
    let mut found = Vec::new();
    for item in items(text)? {
        let Some((name, level)) = item.split_once(':') else {
            return malformed(format!("{} is not of the form component:level", quoted(item)));
        };
        let level = Level::parse(level.trim())?;
        match COMPONENTS.iter().find(|component| **component == name.trim()) {
            Some(component) => found.push((Some(*component), level)),
            None => draft.note(&format!(
                "component {} is none of the proxy's and has no effect; it has {}",
                quoted(name),
                COMPONENTS.join(", ")
            )),
        }
    }
    draft.put(|o| &mut o.log.components, found)
}

/// Linkerd's form: a level and `target=level`s, of which those for its own proxy count for ours.
pub(super) fn filter(draft: &mut Draft<'_>, text: &str) -> Parsed<()> {
    let (mut whole, mut found) = (None, Vec::new());
    for item in items(text)? {
        let Some((target, level)) = item.rsplit_once('=') else {
            whole = Some(Level::parse(item)?);
            continue;
        };
        let level = Level::parse(level.trim())?;
        match target.trim() {
            PROXY | "linkerd" | "linkerd2_proxy" => found.push((None, level)),
            other => match other
                .strip_prefix("proxy::")
                .and_then(|module| COMPONENTS.iter().find(|c| **c == module))
            {
                Some(component) => found.push((Some(*component), level)),
                None => draft.note(&format!("{} is no part of the proxy and has no effect", quoted(other))),
            },
        }
    }
    if let Some(level) = whole {
        draft.give(|o| &mut o.log.level, level)?;
    }
    draft.put(|o| &mut o.log.components, found)
}

fn items(text: &str) -> Parsed<impl Iterator<Item = &str>> {
    if text.split(',').nth(MOST_ITEMS).is_some() {
        return malformed(format!("it has more than {MOST_ITEMS} items"));
    }
    Ok(text.split(',').map(str::trim))
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
