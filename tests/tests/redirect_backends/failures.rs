//! Programs that fail, are absent or hang: everything is as it was, and the message says what it is about.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tests::lab::Lab;
use tests::rules::{BACKENDS, Backend};

/// iptables' programs, some of them replaced by scripts.
pub(crate) struct Programs(tempfile::TempDir);

impl Programs {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for family in ["iptables", "ip6tables"] {
            for variant in ["nft", "legacy"] {
                for tool in ["save", "restore"] {
                    let name = format!("{family}-{variant}-{tool}");
                    symlink(Path::new("/usr/sbin").join(&name), directory.path().join(&name))
                        .expect("a link");
                }
            }
        }
        Self(directory)
    }

    /// Another program under this name; the script finds the true one in `/usr/sbin`.
    pub(crate) fn replace(&self, name: &str, script: &str) {
        let path = self.0.path().join(name);
        std::fs::remove_file(&path).expect("a program of that name");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("its mode");
    }

    pub(crate) fn run(&self, lab: &Lab, arguments: &[&str]) -> Output {
        let mut command = lab.command(arguments);
        lab.pod.netns.output(command.env("PATH", self.0.path())).expect("the program runs")
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn with_programs() -> impl Iterator<Item = Backend> {
    BACKENDS.into_iter().filter(|backend| backend.runs_programs)
}

fn v6(backend: Backend, tool: &str) -> String {
    format!("{}-{tool}", backend.name.replacen("iptables", "ip6tables", 1))
}

/// Everything that is not an empty chain.
fn rules(lab: &Lab, backend: Backend) -> Vec<String> {
    let saved = backend.saved(&lab.pod.netns);
    saved
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with('-') || line.contains("REMORA"))
        .map(str::to_owned)
        .collect()
}

fn log(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn where_one_family_is_refused_both_are_as_they_were() {
    for backend in with_programs() {
        for first in [&[][..], &["--exclude-inbound-ports=22", "--hold-until-ready"]] {
            let lab = Lab::on(backend);
            lab.tool(&format!("{} -t nat -A OUTPUT -p udp -j ACCEPT", backend.name));
            if !first.is_empty() {
                lab.install(first);
            }
            let before = rules(&lab, backend);
            let programs = Programs::new();
            // The last table is refused, after the others were taken.
            let name = v6(backend, "restore");
            programs.replace(
                &name,
                &format!("/bin/sed 's/--to-ports 15006/--no-such-word/' | exec /usr/sbin/{name} \"$@\""),
            );
            let output = programs.run(&lab, &["--exclude-outbound-ports=9"]);
            assert_eq!(output.status.code(), Some(30), "{output:?}");
            assert!(log(&output).contains("no-such-word"), "{output:?}");
            assert_eq!(rules(&lab, backend), before, "{}", backend.name);
        }
    }
}

#[test]
fn a_rollback_that_fails_is_said_with_its_cause() {
    for backend in with_programs() {
        let lab = Lab::on(backend);
        let programs = Programs::new();
        // IPv4 is taken the first time and refused the second; IPv6 is always refused.
        let (name, mark) = (format!("{}-restore", backend.name), programs.path().join("ran"));
        let mark = mark.display();
        programs.replace(
            &name,
            &format!(
                "[ -e {mark} ] && {{ echo stuck >&2; exit 1; }}; : >{mark}; exec /usr/sbin/{name} \"$@\""
            ),
        );
        programs.replace(&v6(backend, "restore"), "echo refused >&2; exit 1");
        let output = programs.run(&lab, &[]);
        assert_eq!(output.status.code(), Some(31), "{output:?}");
        assert!(log(&output).contains("refused") && log(&output).contains("stuck"), "{output:?}");
        // The next run finishes it.
        assert_eq!(lab.install(&[])["changed"], true);
    }
}

#[test]
fn a_program_that_is_not_there_is_named_with_the_image_that_has_it() {
    for backend in with_programs() {
        let lab = Lab::on(backend);
        let mut command = lab.command(&[]);
        let output = lab.pod.netns.output(command.env("PATH", "/nonexistent")).expect("the program runs");
        assert_eq!(output.status.code(), Some(20), "{output:?}");
        assert!(log(&output).contains(backend.name), "{output:?}");
        assert!(log(&output).contains(api::pod::INIT_IPTABLES_IMAGE), "{output:?}");
        assert!(rules(&lab, backend).is_empty());
    }
}

/// Waits are bounded by 5 seconds each; a machine may be slow.
const BOUND: Duration = Duration::from_secs(25);

#[test]
fn iptables_lock_that_is_held_for_ever_is_named() {
    let backend =
        BACKENDS.into_iter().find(|backend| backend.name == "iptables-legacy").expect("the backend");
    let lab = Lab::on(backend);
    // A /run of its own, so that nobody else waits.
    let script = "mount -t tmpfs tmpfs /run && exec flock /run/xtables.lock \"$@\"";
    let program = lab.command(&[]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(program.get_program()).args(program.get_args());
    let begun = Instant::now();
    let output =
        lab.pod.netns.output(&mut command).expect("Debian's package util-linux has unshare and flock");
    assert_eq!(output.status.code(), Some(30), "{output:?}");
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    assert!(log(&output).contains("/run/xtables.lock") && log(&output).contains("held"), "{output:?}");
    assert!(rules(&lab, backend).is_empty());
}

#[test]
fn our_own_lock_that_is_held_for_ever_is_named() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    for backend in BACKENDS {
        let lab = Lab::on(backend);
        let address = SocketAddr::from_abstract_name("remora-init-redirect").expect("a name");
        let hold = || UnixListener::bind_addr(&address).expect("the lock");
        let held = lab.pod.netns.run(hold).expect("the namespace");
        let begun = Instant::now();
        let output = lab.run(&[]);
        assert_eq!(output.status.code(), Some(30), "{output:?}");
        assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
        assert!(log(&output).contains("held") && log(&output).contains("remora-init-redirect"), "{output:?}");
        drop(held);
        lab.install(&[]);
    }
}
