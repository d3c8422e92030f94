//! The binary: exit codes, messages that name the thing and the remedy, signals.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use crate::app::ask_at;
use crate::support::{INBOUND, Seen, next, patient, unused_port};

pub(crate) fn proxy(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proxy"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

pub(crate) fn failure(arguments: &[&str]) -> String {
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
        (&["run", "--memory-limit", "64Mi"], "write a number of bytes"),
        (&["explode"], "explode"),
    ] {
        let message = failure(arguments);
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn what_the_injector_wrote_is_named_where_it_is_wrong() {
    for (variable, value, part) in [
        (api::env::APP_PROBERS, "{", "not a table of probes"),
        (api::env::APP_PROBERS, r#"{"/app-health/a/readyz":{}}"#, "/app-health/a/readyz"),
        (api::env::PROMETHEUS_ANNOTATIONS, r#"{"scrape":"true","port":"15020"}"#, "the proxy's own"),
        (api::env::INSTANCE_IP, "here", "--pod-ip"),
    ] {
        let output = proxy(&["run"]).env(variable, value).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && message.contains(part), "{message}");
        assert!(variable == api::env::INSTANCE_IP || message.contains(variable), "{message}");
    }
}

/// And what Kubernetes sets for Services is none of them, or it would be told.
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
fn a_cause_is_told_once() {
    let port = unused_port().to_string();
    for arguments in [
        &["limits", "--running", "--admin-port", &port][..],
        &[
            "--discovery-directory",
            "/nonexistent",
            "--inbound-port=0",
            "--outbound-port=0",
            "--metrics-port=0",
            "--readiness-port=0",
            "--admin-port=0",
        ],
        &["drain", "--control-socket", "/nonexistent/proxy.sock"],
    ] {
        let message = failure(arguments);
        let last = message.lines().last().unwrap_or_default();
        assert_eq!(last.matches("os error").count(), 1, "{last}");
    }
}

#[test]
fn an_error_is_one_line_also_where_backtraces_are_asked_for() {
    let mut command = proxy(&["drain", "--control-socket", "/nonexistent/proxy.sock"]);
    let stderr = String::from_utf8(command.env("RUST_BACKTRACE", "1").output().unwrap().stderr).unwrap();
    assert!(stderr.starts_with("proxy: ") && stderr.lines().count() == 1, "{stderr}");
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
    assert!(options >= 26, "{help}");
}

/// Nobody listens at first, then somebody who is not ready; the hook of a container waits for both.
#[test]
fn wait_returns_when_the_proxy_is_ready() {
    let taken = INBOUND.listener();
    let port = taken.local_addr().unwrap().port();
    let mut waiting = proxy(&["wait", "--readiness-port", &port.to_string()]).spawn().unwrap();
    for status in ["503 Service Unavailable", "200 OK"] {
        let (mut stream, _) = taken.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        assert_eq!(line, format!("GET {} HTTP/1.1\r\n", api::control::READY_PATH));
        assert!(waiting.try_wait().unwrap().is_none(), "it still waits");
        // In one piece: who has read the status leaves.
        stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).unwrap();
    }
    assert!(waiting.wait().unwrap().success());
}

#[test]
fn wait_says_what_it_waited_for() {
    let port = unused_port().to_string();
    let message = failure(&["wait", "--readiness-port", &port, "--timeout", "50ms"]);
    assert!(message.contains(&port) && message.contains("not ready after 50ms"), "{message}");
    assert!(message.contains("refused"), "{message}");
}

/// A proxy in a process of its own; killed if its test fails.
struct Running {
    child: Child,
    log: Option<BufReader<ChildStderr>>,
    outbound: SocketAddr,
    administration: SocketAddr,
}

impl Running {
    /// With ports that the kernel chooses; returns when it is ready.
    fn start(mut command: Command, socket: &str) -> Self {
        for port in
            ["--inbound-port", "--outbound-port", "--metrics-port", "--readiness-port", "--admin-port"]
        {
            command.args([port, "0"]);
        }
        command.args(["--control-socket", socket]);
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut starts = String::new();
        log.read_line(&mut starts).unwrap();
        let first_of = |purpose: &str| {
            let listed = starts.split(&format!("{purpose}: [")).nth(1)?;
            listed.split([',', ']']).next()?.parse().ok()
        };
        let [outbound, administration] =
            ["outbound", "administration"].map(|purpose| first_of(purpose).expect(&starts));
        let mut running = Self { child, log: Some(log), outbound, administration };
        assert!(running.says(&["is ready"]), "it starts");
        running
    }

    /// Reads the log up to a line with all of `parts`; false when the log ends before.
    fn says(&mut self, parts: &[&str]) -> bool {
        let log = self.log.as_mut().expect("the log is read");
        log.lines().map(Result::unwrap).any(|line| parts.iter().all(|part| line.contains(part)))
    }

    fn terminate(&self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_signal_ends_the_process_in_good_order() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("proxy.sock");
    let socket = socket.to_str().unwrap();
    let mut running = Running::start(proxy(&[]), socket);
    let drained = proxy(&["drain", "--control-socket", socket]).status().unwrap();
    assert!(drained.success());
    running.terminate();
    assert!(running.says(&["proxy ends", "Idle"]), "it says how it ended");
    assert!(running.child.wait().unwrap().success());
    assert!(!std::path::Path::new(socket).exists(), "the control socket is removed");
}

#[test]
fn what_a_running_proxy_logs_is_changed_by_a_command() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("proxy.sock");
    let socket = socket.to_str().unwrap();
    let mut running = Running::start(proxy(&[]), socket);
    let logging = |arguments: &[&str]| {
        let output = proxy(&[&["logging", "--control-socket", socket], arguments].concat()).output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    assert_eq!(logging(&[]), (true, "info\n".to_owned()));
    assert_eq!(logging(&["debug"]), (true, "debug\n".to_owned()));
    assert!(running.says(&["what is logged was changed", "debug"]));
    let (done, said) = logging(&["loud"]);
    assert!(!done && said.contains("\"loud\"") && said.contains("allowed are"), "{said}");
    assert_eq!(logging(&[]), (true, "debug\n".to_owned()));
}

#[test]
fn what_it_runs_with_is_shown_with_its_source() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("proxy.sock");
    let socket = socket.to_str().unwrap();
    for subcommand in [&[][..], &["run"]] {
        let mut command = proxy(subcommand);
        command.env("REMORA_CONNECT_TIMEOUT", "7s");
        let running = Running::start(command, socket);
        let answer = ask_at(running.administration, "/config_dump", &[]).expect("an answer");
        let dump: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let option = |name: &str| {
            let options = dump["options"].as_array().unwrap();
            options.iter().find(|option| option["option"] == name).cloned().expect(name)
        };
        assert_eq!(dump["version"], env!("CARGO_PKG_VERSION"));
        let timeout = option("--connect-timeout");
        assert_eq!((&timeout["value"], &timeout["source"]), (&"7s".into(), &"environment".into()));
        let path = option("--control-socket");
        assert_eq!((&path["value"], &path["source"]), (&socket.into(), &"command-line".into()));
        assert_eq!(option("--workers")["source"], "default");
    }
}

#[test]
fn it_takes_as_many_descriptors_as_it_may() {
    let directory = tempfile::tempdir().unwrap();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -S -n 256 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_proxy")]);
    let running = Running::start(limited, directory.path().join("proxy.sock").to_str().unwrap());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.child.id())).unwrap();
    let row = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let (soft, hard) = (row.split_whitespace().nth(3), row.split_whitespace().nth(4));
    assert_eq!(soft, hard, "{row}");
}

/// Leaves no room in the pipe that `reader` reads.
fn fill(reader: &impl AsRawFd) {
    let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
    let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let mut pipe = OpenOptions::new().write(true).custom_flags(nonblocking).open(path).unwrap();
    while pipe.write(b"\n").is_ok() {}
}

#[test]
fn a_log_that_nobody_takes_stops_nothing() {
    for is_gone in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("proxy.sock");
        let mut running = Running::start(proxy(&[]), socket.to_str().unwrap());
        match running.log.take().expect("the log is read") {
            log if is_gone => drop(log),
            log => {
                fill(log.get_ref());
                running.log = Some(log);
            }
        }
        // A direct connection is refused, and that is logged.
        let seen = match TcpStream::connect(running.outbound) {
            Ok(client) => next(&patient(client)),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Seen::Reset,
            Err(error) => panic!("neither accepted nor reset: {error}"),
        };
        assert_eq!(seen, Seen::Reset, "the worker goes on; reader gone: {is_gone}");
        running.terminate();
        assert!(running.child.wait().unwrap().success(), "it ends in good order; reader gone: {is_gone}");
    }
}
