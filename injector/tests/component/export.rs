//! What `export` prints is what lies in `manifests/`, but for comments.

use std::path::Path;

use injector::export::webhook_configuration;
use injector::inject::Settings;
use serde_json::Value;

fn file(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

#[test]
fn the_webhook_configuration_is_that_of_the_manifests() {
    assert_eq!(file("webhook.yaml"), [webhook_configuration(&Settings::default())]);
}
