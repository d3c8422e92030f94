//! A run that is killed before any of its steps, and the run after it.

use std::process::Command;

use tests::binaries;
use tests::netns::{Node, Switch};
use tests::rules::{Backend, each_backend};

/// What changes anything outside the process, or waits for who does. The kill comes before the call, of whichever process
/// of the run comes to that number first.
const STEPS: &str =
    "bind,connect,accept4,setsockopt,sendto,sendmsg,clone,clone3,vfork,execve,wait4,waitid,write,setns";

/// More calls than any run has.
const END: usize = 1000;

/// A switch has as many ports.
const PORTS: usize = 250;

#[test]
fn a_first_run_that_was_killed_anywhere_is_made_good_by_the_next() {
    each_backend(|backend| killed_everywhere(backend, None, &[]));
}

#[test]
fn a_replacement_that_was_killed_anywhere_is_made_good_by_the_next() {
    let before = ["--exclude-inbound-ports=22", "--proxy-uid=2000", "--verify=off"];
    each_backend(|backend| killed_everywhere(backend, Some(&before), &["--verify=off"]));
}

/// For each step: what was `before`, a run that is killed there, and another.
fn killed_everywhere(backend: Backend, before: Option<&[&str]>, arguments: &[&str]) {
    let mut killed = 0;
    let mut switch = Switch::new("switch").expect("a switch");
    let intact = whole(backend, &switch.attach("pod").expect("a pod"), arguments);
    while killed < END {
        if killed % PORTS == PORTS - 1 {
            switch = Switch::new("switch").expect("a switch");
        }
        let pod = switch.attach("pod").expect("a pod");
        let before = before.map(|before| whole(backend, &pod, before).0).unwrap_or_default();
        if !killed_at(backend, &pod, arguments, killed + 1) {
            break;
        }
        let left = backend.saved(&pod.netns);
        if !backend.runs_programs {
            assert!(left == before || left == intact.0, "{} step {killed}:\n{left}", backend.name);
        }
        let place = format!("{} step {killed}, which left\n{left}", backend.name);
        assert_eq!(whole(backend, &pod, arguments), intact, "{place}");
        killed += 1;
    }
    assert!((3..END).contains(&killed), "{}: killed at {killed} steps", backend.name);
}

/// Runs the program, which must succeed, and gives the rules that are there then, and the interfaces
/// with how many addresses they have.
fn whole(backend: Backend, pod: &Node, arguments: &[&str]) -> (String, String) {
    let command = Command::new(binaries::init_redirect().expect("the program"));
    let output = pod.netns.output(program(backend, command).args(arguments)).expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    let links = pod.netns.tool("iproute2", Command::new("ip").args(["-o", "-brief", "address"]));
    let links = String::from_utf8(links.expect("the interfaces").stdout).expect("UTF-8");
    let counted = links.lines().map(|line| {
        let name = line.split(['@', ' ']).next().unwrap_or_default();
        format!("{name} {}\n", line.split_whitespace().count())
    });
    (backend.saved(&pod.netns), counted.collect())
}

fn program(backend: Backend, mut command: Command) -> Command {
    command.arg(format!("--backend={}", backend.name));
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// Kills a run before the call of this number; false when it had ended before.
fn killed_at(backend: Backend, pod: &Node, arguments: &[&str], step: usize) -> bool {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let mut strace = Command::new("strace");
    strace.arg("-f").arg("-o").arg(log.path()).arg("-e").arg(format!("trace={STEPS}"));
    strace.arg("-e").arg(format!("inject={STEPS}:signal=KILL:when={step}"));
    strace.arg(binaries::init_redirect().expect("the program"));
    pod.netns.output(program(backend, strace).args(arguments)).expect("Debian's package strace has it");
    std::fs::read_to_string(log.path()).expect("strace's log").contains("killed by SIGKILL")
}
