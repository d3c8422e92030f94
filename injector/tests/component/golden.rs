//! A few whole patches, so that a change of what pods get is seen in review. `UPDATE_GOLDEN=1` writes them anew.

use std::path::PathBuf;

use crate::common::{decision, pod, pods};

/// Holds a text against the file of this name.
pub(crate) fn same(name: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/component/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} differs; UPDATE_GOLDEN=1 writes it anew. Now:\n{found}", path.display());
}

fn check(name: &str, pod: &serde_json::Value) {
    let operations = serde_json::to_value(decision(pod).operations).unwrap();
    same(&format!("{name}.json"), &(serde_json::to_string_pretty(&operations).unwrap() + "\n"));
}

#[test]
fn a_deployments_pod() {
    check("deployment", &pods()[0]);
}

#[test]
fn the_legacy_form() {
    check("legacy", &pod("legacy"));
}

#[test]
fn all_annotations() {
    check("annotated", &pod("annotated"));
}
