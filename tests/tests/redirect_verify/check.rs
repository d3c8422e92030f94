//! `check` tells whether the kernel holds the rules, by exit code and in words, and changes nothing.

use serde_json::Value;
use tests::init_container::{InitContainer, binary_as_in_image};
use tests::lab::Lab;
use tests::rules::BACKENDS;

/// Exit code and what was printed.
fn check(lab: &Lab, arguments: &[&str]) -> (Option<i32>, String) {
    let output = lab.run(&[&["check"], arguments].concat());
    (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
}

fn json(lab: &Lab, arguments: &[&str]) -> (Option<i32>, Value) {
    let (code, text) = check(lab, &[arguments, &["--output=json"]].concat());
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value.get("exit_code"), code.map(Value::from).as_ref());
    (code, value.get("result").cloned().expect("a result"))
}

#[test]
fn it_tells_rules_that_hold_from_others_and_from_none() {
    for backend in BACKENDS {
        let lab = Lab::on(backend);
        let options = ["--exclude-inbound-ports=9999"];
        assert_eq!(json(&lab, &options), (Some(40), "absent".into()), "{}", backend.name);
        lab.install(&options);
        let installed = backend.saved(&lab.pod.netns);
        assert_eq!(json(&lab, &options), (Some(0), "as-planned".into()), "{}", backend.name);
        assert_eq!(json(&lab, &[]), (Some(40), "different".into()), "{}", backend.name);
        assert_eq!(backend.saved(&lab.pod.netns), installed);
        let (code, text) = check(&lab, &options);
        assert_eq!((code, text.lines().count()), (Some(0), 1), "{text}");
    }
}

#[test]
fn it_finds_a_rule_that_was_changed() {
    let lab = Lab::new();
    lab.install(&[]);
    lab.nft(&["insert rule inet remora REMORA_OUTBOUND accept"]);
    assert_eq!(json(&lab, &[]), (Some(40), "different".into()));
}

#[test]
fn it_needs_net_admin_and_says_so() {
    let lab = Lab::new();
    let (binary, _directory) = binary_as_in_image();
    let container = InitContainer::new(&binary).with_capabilities(&[]);
    let (code, log) = container.run(&lab.pod.netns, &["check"]);
    assert_eq!((code, log.lines().count()), (21, 1), "{log}");
    assert!(log.contains("NET_ADMIN"), "{log}");
}
