//! The versions of the API server and of the nodes: native sidecars need Kubernetes 1.29.

use serde_json::Value;

use super::super::live::name;
use super::Check;
use super::seen::Seen;

/// From this minor version on, an init container may go on running (KEP-753, on by default).
const NATIVE_SIDECARS: u32 = 29;

pub(super) fn checks(seen: &Seen) -> Vec<Check> {
    vec![server(&seen.version), nodes(seen)]
}

fn server(version: &Value) -> Check {
    let text = version.get("gitVersion").and_then(Value::as_str).unwrap_or("?");
    match minor(text) {
        Some(minor) if minor >= NATIVE_SIDECARS => Check::ok("api-server", format!("version {text}")),
        Some(_) => Check::fail(
            "api-server",
            format!("version {text} has no native sidecars: pods would be refused or never start"),
            format!(
                "upgrade to 1.{NATIVE_SIDECARS} or later, or set {}=\"false\" for the mesh",
                api::annotations::NATIVE_SIDECAR
            ),
        ),
        None => Check::warn(
            "api-server",
            format!("version {text:?} is not one that is understood"),
            "look whether this is a Kubernetes API server",
        ),
    }
}

fn nodes(seen: &Seen) -> Check {
    let nodes = match &seen.nodes {
        Ok(nodes) => nodes,
        Err(error) => return Check::unseen("nodes", error),
    };
    let version = |node: &Value| {
        node.pointer("/status/nodeInfo/kubeletVersion").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let old: Vec<String> = nodes
        .iter()
        .filter(|node| minor(&version(node)).is_some_and(|minor| minor < NATIVE_SIDECARS))
        .map(|node| format!("{} ({})", name(node), version(node)))
        .collect();
    if old.is_empty() {
        return Check::ok("nodes", format!("{}, all with native sidecars", nodes.len()));
    }
    Check::fail(
        "nodes",
        format!("without native sidecars, so that injected pods never start there: {}", old.join(", ")),
        format!("upgrade their kubelets to 1.{NATIVE_SIDECARS} or later"),
    )
}

/// The minor version of `v1.34.1+k3s1`; of a later major version, the largest.
fn minor(text: &str) -> Option<u32> {
    let (major, rest) = text.strip_prefix('v')?.split_once('.')?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let minor = digits.parse().ok()?;
    Some(if major.parse::<u32>().ok()? > 1 { u32::MAX } else { minor })
}

#[cfg(test)]
mod tests {
    use super::minor;

    #[test]
    fn versions_of_distributions_are_understood() {
        for (text, expected) in [
            ("v1.34.1", Some(34)),
            ("v1.28.9-gke.1000", Some(28)),
            ("v1.29+", Some(29)),
            ("v2.0.0", Some(u32::MAX)),
            ("1.29", None),
            ("", None),
        ] {
            assert_eq!(minor(text), expected, "{text}");
        }
    }
}
