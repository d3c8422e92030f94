//! What `export` prints is what lies in `manifests/`, but for comments.

use std::path::Path;

use clap::Parser;
use injector::command::{Outcome, Style, run};
use injector::config::{Cli, Command};
use injector::export::{Kind, Origin, render};
use injector::inject::Settings;
use serde_json::Value;

use crate::selection::settings;

fn file(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let line = ["injector", "export"].iter().chain(arguments);
    let Command::Tool(command) = Cli::try_parse_from(line).unwrap().command else { panic!("a tool") };
    let Outcome { output, notes, exit } = run(&command, Style::plain());
    assert_eq!((exit as u8, notes.len()), (0, 0), "{notes:?}");
    output
}

#[test]
fn the_manifests_are_what_is_exported() {
    let settings = Settings::default();
    assert_eq!(file("webhook.yaml"), render(Kind::Webhook, &settings, Origin::default()));
    assert_eq!(file("rbac.yaml"), render(Kind::Rbac, &settings, Origin::default()));
    let kustomization = file("kustomization.yaml");
    let listed = kustomization[0]["resources"].as_array().unwrap().iter();
    let all: Vec<Value> = listed.flat_map(|name| file(name.as_str().unwrap())).collect();
    assert_eq!(all, render(Kind::Manifests, &settings, Origin::default()));
}

#[test]
fn what_is_printed_is_yaml_or_json_of_the_same() {
    for kind in ["webhook", "rbac", "manifests"] {
        let yaml: Vec<Value> = serde_saphyr::from_multiple(&printed(&[kind])).unwrap();
        let json: Value = serde_json::from_str(&printed(&[kind, "--output=json"])).unwrap();
        assert_eq!(Value::Array(yaml), json["items"]);
        assert_eq!(printed(&[kind]), printed(&[kind]), "deterministic");
    }
}

/// Selection is configuration; its requirements and conditions are in the entries that it concerns.
#[test]
fn a_configuration_changes_the_webhook() {
    let configuration = &render(Kind::Webhook, &settings(), Origin::default())[0];
    let entries: Vec<_> = configuration["webhooks"].as_array().unwrap().iter().collect();
    let names: Vec<_> = entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    let suffix = api::control::WEBHOOK_ENTRY_SUFFIX;
    assert_eq!(names, ["namespace", "object", "always-0", "always-1"].map(|name| format!("{name}{suffix}")));
    let conditions = |entry: &Value| entry["matchConditions"].as_array().unwrap().len();
    // Two selectors of neverInject; a pod that asks by its label is not asked about them.
    assert_eq!(entries.iter().map(|entry| conditions(entry)).collect::<Vec<_>>(), [5, 3, 5, 5]);
    let team = entries[2]["objectSelector"]["matchExpressions"].as_array().unwrap();
    assert!(team.iter().any(|one| one["key"] == "team" && one["values"][0] == "mesh"), "{team:?}");
}

#[test]
fn another_namespace_is_named_everywhere() {
    let arguments = ["injector", "serve"];
    let Command::Serve(args) = Cli::try_parse_from(arguments).unwrap().command else { panic!("serve") };
    let settings = Settings::new(&args.configuration.inject, "mesh-system");
    let all = serde_json::to_string(&render(Kind::Manifests, &settings, Origin::default())).unwrap();
    assert!(all.contains("\"mesh-system\"") && !all.contains("\"remora-system\""), "{all}");
}

/// What is applied is what was given, comments included, and the webhook is made for it.
#[test]
fn a_given_configuration_is_the_one_that_is_installed() {
    let text = "# ours\napiVersion: remora.dev/v1alpha1\nkind: InjectorConfiguration\n\
                selection: {ignoredNamespaces: [legacy]}\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let flag = format!("--config={}", file.path().display());
    let all: Vec<Value> =
        serde_saphyr::from_multiple(&printed(&["manifests", "--control-namespace=mesh", &flag])).unwrap();
    let of = |kind: &str| all.iter().find(|object| object["kind"] == kind).unwrap();
    assert_eq!(of("ConfigMap")["data"], serde_json::json!({ api::control::CONFIGURATION_KEY: text }));
    assert_eq!(of("ConfigMap")["metadata"]["namespace"], "mesh");
    assert!(of("MutatingWebhookConfiguration").to_string().contains("\"legacy\""));
    // The Deployment reads it where it is.
    let arguments = of("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    assert!(arguments.contains(&format!("/{}\"", api::control::CONFIGURATION_KEY)), "{arguments}");
}

#[test]
fn given_options_are_those_of_the_installed_injector() {
    let given = ["--proxy-image=registry.example.com/proxy:2", "--redirect-backend=iptables-nft"];
    let all: Vec<Value> =
        serde_saphyr::from_multiple(&printed(&[&["manifests"], &given[..]].concat())).unwrap();
    let deployment = all.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    let line: Vec<&str> = arguments.iter().map(|argument| argument.as_str().unwrap()).collect();
    assert!(line.ends_with(&given), "{line:?}");
    let parsed = Cli::try_parse_from(["injector"].iter().chain(&line)).unwrap();
    let Command::Serve(args) = parsed.command else { panic!("serve") };
    assert_eq!(args.configuration.inject.arguments(), given);
}
