//! The control socket: `drain`, and everything else, which changes nothing.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;

use proxy::control_socket::{self, ControlError, Request, Settings};

use crate::support::{INBOUND, OUTBOUND, PATIENCE, Proxy, Seen, eventually, next};

fn settings(path: PathBuf) -> Settings {
    Settings { control_socket: path }
}

fn socket_of(proxy: &Proxy) -> PathBuf {
    proxy.directory.path().join("proxy.sock")
}

fn drain(socket: PathBuf) -> Result<String, ControlError> {
    control_socket::ask(&settings(socket), &Request::Drain)
}

fn ask(proxy: &Proxy, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket_of(proxy)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn drain_is_acknowledged_and_takes_effect() {
    let proxy = Proxy::start(&["--drain-delay", "0s"]);
    drain(socket_of(&proxy)).unwrap();
    eventually("inbound closes", || std::net::TcpStream::connect(proxy.port(INBOUND)).is_err());
    drain(socket_of(&proxy)).expect("asking again is no error");
    let (mut client, server) = proxy.pair(OUTBOUND);
    client.write_all(b"x").unwrap();
    assert_eq!(next(&server), Seen::Byte(b'x'));
}

#[test]
fn bad_input_is_answered_and_changes_nothing() {
    let proxy = Proxy::start(&["--drain-delay", "0s"]);
    for bad in [&b""[..], b"\n", b"drain now\n", b"DRAIN\n", b"\xff\xfe\n", &[b'd'; 63], b"drainage"] {
        assert!(ask(&proxy, bad).starts_with("error: unknown request"), "{bad:?}");
    }
    drop(UnixStream::connect(socket_of(&proxy)).unwrap());
    let (mut client, server) = proxy.pair(INBOUND);
    client.write_all(b"x").unwrap();
    assert_eq!(next(&server), Seen::Byte(b'x'), "inbound still accepts");
    assert_eq!(ask(&proxy, b"drain\n"), "ok\n");
}

#[test]
fn the_file_is_for_its_owner_alone() {
    let proxy = Proxy::start(&[]);
    assert_eq!(fs::metadata(socket_of(&proxy)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_stale_socket_is_replaced_and_nothing_else_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.sock");
    drop(UnixListener::bind(&path).unwrap());
    let running = control_socket::bind(&settings(path.clone())).unwrap();
    assert!(running.is_some());
    assert!(matches!(control_socket::bind(&settings(path.clone())), Err(ControlError::InUse(_))));
    let file = directory.path().join("file");
    fs::write(&file, "precious").unwrap();
    assert!(matches!(control_socket::bind(&settings(file.clone())), Err(ControlError::NotASocket(_))));
    assert_eq!(fs::read_to_string(file).unwrap(), "precious");
    let datagrams = directory.path().join("datagrams.sock");
    let _others = UnixDatagram::bind(&datagrams).unwrap();
    assert!(matches!(control_socket::bind(&settings(datagrams.clone())), Err(ControlError::Create(..))));
    assert!(datagrams.exists(), "somebody uses it");
}

#[test]
fn a_proxy_that_ends_before_it_answers_is_said_to_have_ended() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let ending = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 6]).unwrap();
    });
    let error = drain(path).unwrap_err();
    assert!(matches!(error, ControlError::Talk(..)), "{error}");
    ending.join().unwrap();
}

#[test]
fn without_its_directory_the_proxy_runs_and_drain_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("absent/proxy.sock");
    assert!(control_socket::bind(&settings(path.clone())).unwrap().is_none());
    let error = drain(path.clone()).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()) && error.contains("--control-socket"), "{error}");
}

#[test]
fn what_is_logged_can_be_seen_and_changed_and_a_bad_filter_changes_nothing() {
    let proxy = Proxy::start(&[]);
    let logging = |filter: Option<&str>| {
        control_socket::ask(&settings(socket_of(&proxy)), &Request::Logging(filter.map(str::to_owned)))
    };
    assert_eq!(logging(None).unwrap(), "off");
    for bad in ["loud", "proxy=loud", ""] {
        let error = logging(Some(bad)).unwrap_err().to_string();
        assert!(error.contains(&format!("{bad:?}")) && error.contains("allowed are"), "{error}");
        assert_eq!(logging(None).unwrap(), "off");
    }
    assert_eq!(logging(Some("error,proxy::net=warn")).unwrap(), "proxy::net=warn,error");
    assert_eq!(logging(Some("off")).unwrap(), "off");
}

#[test]
fn what_answers_otherwise_is_no_proxy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 6]).unwrap();
        stream.write_all(b"okay then\n").unwrap();
    });
    let error = drain(path).unwrap_err();
    assert!(matches!(error, ControlError::Answer(..)), "{error}");
    other.join().unwrap();
}
