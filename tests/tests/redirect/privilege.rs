//! What the program needs, what it says when it does not have it, and that nothing is half done then.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tests::binaries;
use tests::init_container::InitContainer;

use tests::lab::{Lab, report};

/// Runs the program as its container would, with these capabilities as the bound. Gives exit code and log.
fn in_container(
    lab: &Lab,
    binary: &Path,
    capabilities: &[&'static str],
    arguments: &[&str],
) -> (i32, String) {
    InitContainer::new(binary).with_capabilities(capabilities).run(&lab.pod.netns, arguments)
}

#[test]
fn net_admin_by_file_capability_is_all_it_needs() {
    let lab = Lab::new();
    let directory = tempfile::tempdir().unwrap();
    let binary = binaries::init_redirect_as_in_image(directory.path()).unwrap();
    let (code, log) = in_container(&lab, &binary, &["CAP_NET_ADMIN"], &[]);
    assert_eq!(code, 0, "{log}");
    assert!(lab.ruleset().contains("REMORA_INBOUND"));
    // It ran in an empty root, so it is static.
    assert!(binary.metadata().unwrap().len() <= 2 << 20, "the program is larger than 2 MiB");
}

#[test]
fn the_report_goes_to_the_state_directory_and_its_absence_is_no_fault() {
    let lab = Lab::new();
    let directory = tempfile::tempdir().unwrap();
    let binary = binaries::init_redirect_as_in_image(directory.path()).unwrap();
    let state = directory.path().join("state");
    std::fs::create_dir(&state).unwrap();
    for (mode, expected) in [(0o755, false), (0o777, true)] {
        std::fs::set_permissions(&state, Permissions::from_mode(mode)).unwrap();
        let container = InitContainer::new(&binary).with_mount(&state, api::pod::STATE_PATH, false);
        let (code, log) = container.run(&lab.pod.netns, &[]);
        assert_eq!(code, 0, "{log}");
        assert_eq!(log.contains("redirect.json"), !expected, "{log}");
        assert_eq!(state.join("redirect.json").exists(), expected);
    }
    assert_eq!(report(&state.join("redirect.json"))["result"], "unchanged");
}

#[test]
fn a_missing_capability_is_named_with_its_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let with_file_capabilities = binaries::init_redirect_as_in_image(directory.path()).unwrap();
    let without = binaries::init_redirect().unwrap();
    for (binary, capabilities) in [
        (&with_file_capabilities, &[][..]),
        (&with_file_capabilities, &["CAP_NET_RAW"]),
        (&without, &["CAP_NET_ADMIN"]),
    ] {
        let lab = Lab::new();
        let (code, log) = in_container(&lab, binary, capabilities, &[]);
        assert_eq!(code, 21, "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("NET_ADMIN") && log.contains("securityContext.capabilities.add"), "{log}");
        assert_eq!(lab.ruleset(), "");
    }
}

fn refused(lab: &Lab, arguments: &[&str]) -> String {
    let output = lab.run(arguments);
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert_eq!(lab.ruleset(), "", "{arguments:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn bad_input_is_named_and_nothing_is_done() {
    let lab = Lab::new();
    let log = refused(&lab, &["--outbound-port=0", "--exclude-outbound-cidrs=10.0.0.0/40", "--proxy-uid=x"]);
    assert_eq!(log.lines().count(), 3, "{log}");
    for part in ["--outbound-port", "--exclude-outbound-cidrs", "10.0.0.0/40", "--proxy-uid"] {
        assert!(log.contains(part), "{part}: {log}");
    }
    for (arguments, part) in [
        (&["--no-such-flag"][..], "--no-such-flag"),
        (&["apply"], "apply"),
        (&["plan", "--output=yaml"], "yaml"),
        (&["--report=/nonexistent/report"], "/nonexistent/report"),
    ] {
        let log = refused(&lab, arguments);
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains(part), "{part}: {log}");
    }
}

#[test]
fn the_environment_is_read_and_checked_too() {
    let lab = Lab::new();
    let run = |name: &str, value: &str| {
        let mut command = Command::new(binaries::init_redirect().unwrap());
        lab.pod.netns.output(command.env_clear().env(name, value)).unwrap()
    };
    let output = run("REMORA_EXCLUDE_INBOUND_PORTS", "twenty-two");
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(10), "{log}");
    assert!(log.contains("REMORA_EXCLUDE_INBOUND_PORTS") && log.contains("twenty-two"), "{log}");
    assert!(run("REMORA_EXCLUDE_INBOUND_PORTS", "22").status.success());
    assert_eq!(lab.install(&["--exclude-inbound-ports=22"])["changed"], false);
}

#[test]
fn a_failure_is_reported_too() {
    let lab = Lab::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report");
    let script = format!("exec {} --report {}", binaries::init_redirect().unwrap().display(), path.display());
    let output = lab
        .pod
        .netns
        .output(Command::new("setpriv").args([
            "--bounding-set=-net_admin",
            "--inh-caps=-net_admin",
            "sh",
            "-c",
            &script,
        ]))
        .unwrap();
    assert_eq!(output.status.code(), Some(21), "{output:?}");
    let report = report(&path);
    assert_eq!((&report["result"], &report["exit_code"]), (&"failed".into(), &21.into()));
    assert_eq!(report["error"]["reason"], "not-permitted");
}

#[test]
fn the_plan_needs_no_privilege_and_touches_nothing() {
    let lab = Lab::new();
    let (code, log) = in_container(&lab, &binaries::init_redirect().unwrap(), &[], &["plan"]);
    assert_eq!(code, 0, "{log}");
    assert_eq!(lab.ruleset(), "");
}
