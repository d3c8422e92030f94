//! The binary: exit codes, messages that name the thing and the remedy, signals.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use crate::support::{INBOUND, OUTBOUND};

fn proxy(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proxy"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn failure(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = proxy(arguments).output().unwrap();
    assert!(!status.success(), "{arguments:?} is an error");
    assert!(stdout.is_empty(), "stdout is for the access log");
    String::from_utf8(stderr).unwrap()
}

#[test]
fn bad_options_are_named() {
    for (arguments, named) in [
        (&["--no-such-option"][..], "--no-such-option"),
        (&["--inbound-port", "70000"], "--inbound-port"),
        (&["run", "--drain-delay", "soon"], "--drain-delay"),
        (&["--admin-port", "15020"], "--admin-port"),
        (&["--log", "proxy=loud"], "proxy=loud"),
        (&["drain", "--inbound-port", "1"], "--inbound-port"),
        (&["explode"], "explode"),
    ] {
        let message = failure(arguments);
        assert!(message.contains(named), "{message}");
    }
}

/// What Kubernetes would set for a Service named `remora-metrics`; the injector sets the same variables to numbers.
#[test]
fn the_contracts_variables_are_the_ports() {
    for (variable, port) in api::env::PORTS {
        let run = |value: &str| proxy(&["run", "--help"]).env(variable, value).output().unwrap();
        let shown = |value: &str| {
            let help = String::from_utf8(run(value).stdout).unwrap();
            help.split_whitespace().any(|word| word == format!("{variable}={value}]"))
        };
        assert!(shown(&port.to_string()), "{variable}");
        let output = proxy(&["drain"]).env(variable, "tcp://192.0.2.1:80").output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && message.contains("tcp://192.0.2.1:80"), "{message}");
    }
}

#[test]
fn drain_without_a_proxy_says_how_to_reach_one() {
    let message = failure(&["drain", "--control-socket", "/nonexistent/proxy.sock"]);
    assert!(
        message.contains("/nonexistent/proxy.sock") && message.contains("is the proxy running"),
        "{message}"
    );
}

#[test]
fn a_port_in_use_ends_the_process_with_the_remedy() {
    let taken = INBOUND.listener();
    let port = taken.local_addr().unwrap().port().to_string();
    let message = failure(&["--outbound-port", &port, "--inbound-port", "0"]);
    assert!(
        message.contains(&port) && message.contains("choose another port with --outbound-port"),
        "{message}"
    );
}

#[test]
fn every_option_has_help_and_an_environment_variable() {
    let help = String::from_utf8(proxy(&["run", "--help"]).output().unwrap().stdout).unwrap();
    let options = help.lines().filter(|line| line.trim().starts_with("--") && line.contains('<')).count();
    assert_eq!(help.matches("[env: ").count(), options, "{help}");
    assert_eq!(options, 15, "{help}");
}

/// Runs the proxy with ports that the kernel chooses, until it is ready; its log lines go on.
fn started(mut command: Command, socket: &str) -> (Child, impl Iterator<Item = String>) {
    let free = OUTBOUND.listener().local_addr().unwrap().port().to_string();
    for option in ["--inbound-port", "--metrics-port", "--readiness-port", "--admin-port"] {
        command.args([option, "0"]);
    }
    command.args(["--outbound-port", &free, "--control-socket", socket]);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("proxy is ready")), "it starts");
    (child, log)
}

#[test]
fn a_signal_ends_the_process_in_good_order() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("proxy.sock");
    let socket = socket.to_str().unwrap();
    let (mut child, mut log) = started(proxy(&[]), socket);
    let drained = proxy(&["drain", "--control-socket", socket]).status().unwrap();
    assert!(drained.success());
    terminate(&child);
    assert!(log.any(|line| line.contains("proxy ends") && line.contains("Idle")), "it says how it ended");
    assert!(child.wait().unwrap().success());
    assert!(!std::path::Path::new(socket).exists(), "the control socket is removed");
}

#[test]
fn it_takes_as_many_descriptors_as_it_may() {
    let directory = tempfile::tempdir().unwrap();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -S -n 256 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_proxy")]);
    let socket = directory.path().join("proxy.sock");
    let (mut child, _log) = started(limited, socket.to_str().unwrap());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    terminate(&child);
    child.wait().unwrap();
    let row = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let (soft, hard) = (row.split_whitespace().nth(3), row.split_whitespace().nth(4));
    assert_eq!(soft, hard, "{row}");
}

fn terminate(child: &Child) {
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
}
