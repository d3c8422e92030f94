//! Where a verdict is told: the log, the state directory, the termination message.

use tests::init_container::{InitContainer, binary_as_in_image};
use tests::lab::{Lab, report};

use crate::verdict::Verdict;

/// As many bytes as Kubernetes takes of a termination message.
const LIMIT: u64 = 4096;

#[test]
fn the_termination_message_is_the_report_in_short() {
    let lab = Lab::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("termination-log");
    std::fs::write(&path, "x".repeat(10_000)).unwrap();
    let mut command = lab.command(&["--exclude-inbound-ports=1", "--exclude-outbound-ports=2,4,6-8"]);
    let output = lab.pod.netns.output(command.env("REMORA_TERMINATION_MESSAGE", &path)).unwrap();
    let log = Verdict::read(&String::from_utf8(output.stderr).unwrap());
    assert!(path.metadata().unwrap().len() <= LIMIT);
    let message = report(&path);
    for key in ["result", "exit_code", "backend", "counts"] {
        assert_eq!(message[key], log.report[key], "{key}: {message}");
    }
    assert_eq!(message["unproven"], serde_json::json!([]), "{message}");
}

#[test]
fn a_failure_is_a_termination_message_too() {
    let lab = Lab::new();
    let (binary, directory) = binary_as_in_image();
    let path = directory.path().join("termination-log");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    // The kubelet mounts it there.
    let container = InitContainer::new(&binary).with_capabilities(&[]);
    let container = container.with_mount(&path, "/termination-log", false);
    let (code, log) = container.run(&lab.pod.netns, &["--termination-message=/termination-log"]);
    assert_eq!(code, 21, "{log}");
    assert_eq!(report(&path)["error"]["reason"], "not-permitted");
}

#[test]
fn a_termination_message_that_nobody_can_write_is_bad_input() {
    let lab = Lab::new();
    let output = lab.run(&["--termination-message=/nonexistent/message"]);
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("--termination-message") && log.contains("/nonexistent/message"), "{log}");
    assert_eq!(lab.ruleset(), "");
}

#[test]
fn every_step_has_its_duration() {
    let lab = Lab::new();
    let verdict = Verdict::of(&lab, &[]);
    let steps = verdict.report["steps"].as_array().unwrap();
    for step in ["plan", "write", "verify-outbound", "verify-inbound", "verify-rules"] {
        let found = steps.iter().find(|found| found["step"] == step).expect(step);
        assert!(found["microseconds"].is_u64(), "{found}");
    }
}
