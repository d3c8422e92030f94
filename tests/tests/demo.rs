//! The demo as a user runs it: that it succeeds, and that nothing is left of it however it ends.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::{binaries, leftovers};

/// The heading before which the pods have started, and after which more is told than the pipe holds.
const PODS_RUN: &str = "\n4. ";

/// A demo whose standard output is a pipe of one page: it cannot run ahead of its reader by more.
struct Demo {
    child: Child,
    output: Box<dyn Read>,
    text: String,
}

impl Demo {
    fn start() -> Self {
        let (output, input) = std::io::pipe().expect("a pipe");
        let output = OwnedFd::from(output);
        fcntl(&output, FcntlArg::F_SETPIPE_SZ(4096)).expect("a small pipe");
        let demo = binaries::demo().expect("the demo");
        let child = Command::new(demo).stdout(input).stderr(Stdio::piped()).spawn().expect("a process");
        Self { child, output: Box::new(fs::File::from(output)), text: String::new() }
    }

    /// Reads byte by byte until the text appears; the rest stays in the pipe.
    fn read_until(&mut self, wanted: &str) {
        let mut byte = [0];
        while !self.text.ends_with(wanted) {
            let length = self.output.read(&mut byte).expect("output");
            if length == 0 {
                let errors = self.errors();
                assert_eq!(self.text, wanted, "the demo ended too early: {errors}");
            }
            self.text.push(char::from(byte[0]));
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("a running demo");
    }

    fn finish(&mut self) -> (ExitStatus, String) {
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest).expect("output");
        self.text.push_str(&String::from_utf8_lossy(&rest));
        let errors = self.errors();
        (self.child.wait().expect("an end"), errors)
    }

    fn errors(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().expect("unread").read_to_string(&mut text).expect("text");
        text
    }

    fn leftovers(&self) -> Vec<String> {
        let prefix = format!("{}{}-", leftovers::PREFIX, self.child.id());
        let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
        let mut left = leftovers::of(self.child.id());
        left.extend(mounts.lines().filter(|line| line.contains(&prefix)).map(str::to_owned));
        left
    }

    /// The inodes of its network namespaces, by which processes in them are known.
    fn namespaces(&self) -> BTreeSet<u64> {
        let names = leftovers::of(self.child.id()).into_iter();
        names
            .filter_map(|name| fs::metadata(format!("/run/netns/{name}")).ok())
            .map(|file| file.ino())
            .collect()
    }
}

/// Command names of the processes in any of these network namespaces.
fn processes_in(namespaces: &BTreeSet<u64>) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
    let inside = processes
        .filter(|path| fs::metadata(path.join("ns/net")).is_ok_and(|ns| namespaces.contains(&ns.ino())));
    inside.filter_map(|path| fs::read_to_string(path.join("comm")).ok()).collect()
}

#[test]
fn it_succeeds_within_a_minute_and_leaves_nothing() {
    let began = Instant::now();
    let mut demo = Demo::start();
    let (status, errors) = demo.finish();
    assert!(status.success(), "{}\n{errors}", demo.text);
    assert!(demo.text.contains("All as it should be"), "{}", demo.text);
    assert!(demo.text.lines().all(|line| line.chars().count() <= 100), "{}", demo.text);
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(demo.leftovers(), Vec::<String>::new());
}

#[test]
fn without_root_it_says_so() {
    let directory = leftovers::directory("demo-copy").unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = directory.path().join("demo");
    fs::copy(binaries::demo().unwrap(), &copy).unwrap();
    let output = Command::new(&copy).uid(65534).gid(65534).current_dir("/").output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("run it as root"), "{errors}");
}

#[test]
fn what_it_does_not_know_it_refuses() {
    let output = Command::new(binaries::demo().unwrap()).arg("--nonsense").output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("--nonsense") && output.stdout.is_empty(), "{errors}");
}

#[test]
fn an_interrupt_leaves_nothing() {
    for (signal, heading) in
        [(Signal::SIGINT, "\n1. "), (Signal::SIGINT, PODS_RUN), (Signal::SIGTERM, PODS_RUN)]
    {
        let mut demo = Demo::start();
        demo.read_until(heading);
        let namespaces = demo.namespaces();
        assert!(!namespaces.is_empty());
        demo.signal(signal);
        let (status, errors) = demo.finish();
        assert_eq!(status.code(), Some(130), "{}\n{errors}", demo.text);
        assert!(errors.contains("everything that the demo made is gone"), "{errors}");
        assert_eq!(demo.leftovers(), Vec::<String>::new());
        assert_eq!(processes_in(&namespaces), Vec::<String>::new());
    }
}

#[test]
fn what_a_killed_demo_leaves_goes_with_the_next() {
    let mut demo = Demo::start();
    demo.read_until(PODS_RUN);
    let namespaces = demo.namespaces();
    assert!(!processes_in(&namespaces).is_empty(), "pods run by now");
    demo.signal(Signal::SIGKILL);
    let (status, _) = demo.finish();
    assert_eq!(status.signal(), Some(9));
    let deadline = Instant::now() + Duration::from_secs(10);
    // Its processes are told by the kernel, which nobody outside can wait for.
    let (_never, pause): (_, Receiver<()>) = channel();
    while !processes_in(&namespaces).is_empty() {
        assert!(Instant::now() < deadline, "still running: {:?}", processes_in(&namespaces));
        let _ = pause.recv_timeout(Duration::from_millis(5));
    }
    let mut next = Demo::start();
    let (status, errors) = next.finish();
    assert!(status.success(), "{}\n{errors}", next.text);
    assert_eq!(demo.leftovers(), Vec::<String>::new());
}
