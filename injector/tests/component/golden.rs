//! A few whole patches, so that a change of what pods get is seen in review. `UPDATE_GOLDEN=1` writes them anew.

use std::path::PathBuf;

use crate::common::{decision, pod, pods};

fn check(name: &str, pod: &serde_json::Value) {
    let operations = serde_json::to_value(decision(pod).operations).unwrap();
    let found = serde_json::to_string_pretty(&operations).unwrap() + "\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/component/golden/{name}.json"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} differs; UPDATE_GOLDEN=1 writes it anew. Now:\n{found}", path.display());
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
