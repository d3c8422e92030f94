//! The program: exit codes, what it says of whom it cannot judge, and that it finds what is wrong.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Output};

use tokio::net::{TcpListener, TcpSocket};

use crate::origin::{self, Http1};
use crate::support::{Direction, Proxy};

/// Exit code, standard output and standard error.
async fn run(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
    command.args(arguments).env_clear();
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let Output { status, stdout, stderr } = output;
    let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (status.code().unwrap(), stdout, stderr)
}

async fn assert_cannot_judge(arguments: &[&str], why: &str) {
    let (code, stdout, stderr) = run(arguments).await;
    assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
    assert!(stderr.contains(why), "{arguments:?}: {stderr}");
}

#[tokio::test]
async fn bad_arguments_are_named() {
    for (arguments, why) in [
        (&[][..], "<SUITE>"),
        (&["http1"], "<ADDRESS>"),
        (&["http3", "127.0.0.1:1"], "http3"),
        (&["http1", "127.0.0.1:1", "--patience=soon"], "--patience"),
        (&["http1", "127.0.0.1:1", "--at-once=0"], "--at-once"),
        (&["http1", "127.0.0.1:1", "more"], "more"),
        (&["http1", "127.0.0.1"], "127.0.0.1: no connection: "),
        (&["http1", "127.0.0.1:http"], "127.0.0.1:http: no connection: "),
    ] {
        assert_cannot_judge(arguments, why).await;
    }
}

#[tokio::test]
async fn who_is_no_server_is_not_judged() {
    let absent = TcpSocket::new_v4().unwrap();
    absent.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let [absent_at, silent_at] = [absent.local_addr(), silent.local_addr()].map(|at| at.unwrap().to_string());
    let http1 = Http1::start().await.address.to_string();
    for (suite, at, why) in [
        ("http1", &absent_at, "Connection refused"),
        ("attacks", &absent_at, "does somebody listen there?"),
        ("http1", &silent_at, "a good GET is not answered with success, but by nothing happened for 100ms"),
        ("http2", &silent_at, "nothing happened for 100ms"),
        ("http2", &http1, "HTTP/2 without TLS"),
    ] {
        assert_cannot_judge(&[suite, at, "--patience=100ms"], why).await;
    }
}

/// Hyper takes some of the messages: what its users are told to look after.
#[tokio::test]
async fn a_lenient_server_is_found_to_be_one() {
    let origin = Http1::start().await;
    let (code, report, _) = run(&["http1", &origin.address.to_string(), "--patience=3s"]).await;
    assert_eq!(code, 1, "{report}");
    for accepted in ["9112 3.2     host_missing: GET / HTTP/1.1", "9112 3.2     fragment: GET /#a HTTP/1.1"] {
        assert!(report.contains(&format!("FAIL  {accepted}")), "{report}");
    }
    assert!(report.contains("pass  9112 6.3     content_length_repeated: "), "{report}");
    assert!(report.lines().last().unwrap().starts_with("http1: 275 cases, "), "{report}");
}

async fn assert_passes(suite: &str, origin: SocketAddr) {
    let proxy = Proxy::start(Direction::Inbound, &[]);
    let (code, report, error) =
        run(&[suite, &proxy.all_to(origin).to_string(), "--quiet", "--patience=5s"]).await;
    assert_eq!((code, error.as_str()), (0, ""), "{report}");
    assert!(report.lines().count() == 1 && report.contains(" 0 failed, 0 skipped"), "{report}");
    proxy.stop().await;
}

#[tokio::test]
async fn the_proxy_passes_by_its_address_alone() {
    assert_passes("http1", Http1::start().await.address).await;
    assert_passes("attacks", origin::http2().await).await;
}
