//! The configuration file as a running injector follows it.

use serde_json::Value;
use tests::webhook::{apply, review};

use crate::common::pod;
use crate::running::{Injector, api_server, bundle, options};

const HEAD: &str = "apiVersion: remora.dev/v1alpha1\nkind: InjectorConfiguration\n";

/// The images of the proxy's container, whose pod names the hash of the configuration that was in force.
fn proxy_image(pod: &Value) -> &str {
    let containers =
        ["initContainers", "containers"].into_iter().filter_map(|list| pod["spec"][list].as_array());
    let proxy = containers.flatten().find(|container| container["name"] == api::pod::PROXY_CONTAINER);
    proxy.unwrap()["image"].as_str().unwrap()
}

#[tokio::test]
async fn a_change_of_the_file_is_in_force_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("injector.yaml");
    let write = |text: &str| std::fs::write(&file, format!("{HEAD}{text}")).unwrap();
    write("images: {proxy: 'proxy:1'}\n");
    let api = api_server();
    let injector = Injector::start(&api, |args| args.configuration.config = Some(file.clone())).await;
    injector.becomes_ready().await;
    let reviewed = async || {
        let pod = pod("bare");
        apply(&review(injector.webhook, &bundle(&api), &pod).await.unwrap(), &pod).unwrap()
    };
    let first = reviewed().await;
    assert_eq!(proxy_image(&first), "proxy:1");
    write("images: {proxy: 'proxy:2'}\n");
    let applied = |_, text: &str| text.contains("injector_configuration_reloads_total{result=\"applied\"} 1");
    let metrics = injector.admin_until("/metrics", applied).await;
    let second = reviewed().await;
    assert_eq!(proxy_image(&second), "proxy:2");
    let status = |pod: &Value| -> Value {
        let text = pod["metadata"]["annotations"][api::annotations::STATUS].as_str().unwrap().to_owned();
        serde_json::from_str(&text).unwrap()
    };
    let hash = status(&second)["config"].as_str().unwrap().to_owned();
    assert_ne!(status(&first)["config"], status(&second)["config"]);
    assert!(metrics.contains(&format!("injector_configuration_info{{hash=\"{hash}\"}} 1")), "{metrics}");
    write("images: {prox: 'proxy:3'}\n");
    injector.admin_until("/metrics", |_, text| text.contains("injector_configuration_good 0")).await;
    assert_eq!(proxy_image(&reviewed().await), "proxy:2");
}

/// There is no last good one at start.
#[tokio::test]
async fn a_file_that_cannot_be_used_ends_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let bad = directory.path().join("bad.yaml");
    std::fs::write(&bad, format!("{HEAD}image: {{}}\n")).unwrap();
    for (file, text) in [
        (bad, "line 3: `image: {}`: there is no field \"image\" here; did you mean images?"),
        (directory.path().join("absent.yaml"), "No such file"),
        (directory.path().to_owned(), "Is a directory"),
    ] {
        let mut args = options();
        args.configuration.config = Some(file.clone());
        let error = injector::app::App::start(&args).await.err().unwrap().to_string();
        assert!(error.contains(text) && error.contains(&file.display().to_string()), "{error}");
    }
}

/// What the manifests install is a configuration that changes nothing.
#[test]
fn the_file_of_the_manifests_is_the_defaults() {
    let text = include_str!("../../../manifests/config.yaml");
    let map: Value = serde_saphyr::from_str(text).unwrap();
    let file = map["data"]["injector.yaml"].as_str().unwrap();
    let checked = injector::configuration::check(file).unwrap();
    let defaults = injector::inject::Settings::default();
    assert_eq!(checked.settings.hash(), defaults.hash());
    // And so does what is commented out there, but for the example of an annotation.
    let is_field = |line: &str| line.starts_with("#   ") || line.ends_with(':') || !line.ends_with('.');
    let uncommented = |line: &str| match line.strip_prefix("# ") {
        Some(field) if is_field(line) => format!("{field}\n"),
        _ => format!("{line}\n"),
    };
    let shown: String = file.lines().map(uncommented).collect();
    let checked =
        injector::configuration::check(&shown).unwrap_or_else(|problems| panic!("{problems}\n{shown}"));
    assert_eq!(checked.settings.images.proxy, api::pod::PROXY_IMAGE);
    assert_eq!(checked.settings.defaults.texts().len(), 1, "{shown}");
}
