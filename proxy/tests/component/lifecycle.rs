//! How a proxy begins and ends: readiness, drain in both sidecar modes, the deadline, and what happens to connections
//! meanwhile.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proxy::app::App;
use proxy::drain::Exit;

use crate::support::{
    INBOUND, OUTBOUND, Proxy, Seen, THIS_POD, Way, accept, config, eventually, next, unused_port,
};

/// Longer than any test.
const NEVER: &str = "1h";

fn accepts(proxy: &Proxy, way: Way) -> bool {
    match TcpStream::connect(proxy.port(way)) {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => false,
        // The kernel completed the handshake while the listener was being closed.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
        Err(error) => panic!("neither accepted nor refused: {error}"),
    }
}

fn is_ready(proxy: &Proxy) -> bool {
    proxy.get(&proxy.addresses.readiness, "/healthz/ready").starts_with("HTTP/1.1 200")
}

#[test]
fn an_idle_proxy_ends_at_once_on_a_signal() {
    let proxy = Proxy::start(&["--drain-delay", NEVER, "--drain-deadline", NEVER]);
    eventually("ready", || is_ready(&proxy));
    let asked = Instant::now();
    proxy.terminate();
    assert_eq!(proxy.exit(), Exit::Idle);
    assert!(asked.elapsed() < Duration::from_secs(5), "goal 1 s, asserted with slack: {:?}", asked.elapsed());
}

#[test]
fn a_signal_waits_for_the_last_connection() {
    let proxy = Proxy::start(&["--drain-deadline", NEVER]);
    let (mut client, server) = proxy.pair(OUTBOUND);
    let (other, _other_server) = proxy.pair(INBOUND);
    proxy.terminate();
    for way in [INBOUND, OUTBOUND] {
        eventually("listeners close", || !accepts(&proxy, way));
    }
    assert!(proxy.get(&proxy.addresses.readiness, "/healthz/ready").contains("draining"));
    client.write_all(b"x").unwrap();
    assert_eq!(next(&server), Seen::Byte(b'x'), "an open connection is carried on");
    drop((client, server, other));
    drop(_other_server);
    assert_eq!(proxy.exit(), Exit::Idle);
}

#[test]
fn at_the_deadline_the_rest_is_reset_counted_and_logged() {
    let proxy = Proxy::start(&["--drain-deadline", "50ms"]);
    let (client, server) = proxy.pair(OUTBOUND);
    let (client_in, server_in) = proxy.pair(INBOUND);
    let log = proxy.log.clone();
    proxy.terminate();
    for stream in [&client, &server, &client_in, &server_in] {
        assert_eq!(next(stream), Seen::Reset);
    }
    assert_eq!(proxy.exit(), Exit::Deadline { cut: 2 });
    let lines = log.lines();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line["response_flags"] == "LR"), "{lines:?}");
}

#[test]
fn a_call_of_the_pod_to_itself_is_cut_once() {
    let proxy = Proxy::start(&["--drain-deadline", "50ms"]);
    let own = TcpListener::bind((THIS_POD, 0)).unwrap();
    let client = proxy.connect(OUTBOUND, own.local_addr().unwrap());
    let server = accept(&own);
    assert_eq!(proxy.metric(&["remora_open_self_calls "]), 1);
    let log = proxy.log.clone();
    proxy.terminate();
    for stream in [&client, &server] {
        assert_eq!(next(stream), Seen::Reset);
    }
    assert_eq!(proxy.exit(), Exit::Deadline { cut: 1 });
    assert_eq!(log.lines().len(), 2, "one line in each direction, as between two pods");
}

#[test]
fn a_second_signal_does_not_wait() {
    let proxy = Proxy::start(&["--drain-deadline", NEVER]);
    let (client, _server) = proxy.pair(OUTBOUND);
    proxy.terminate();
    proxy.terminate();
    assert_eq!(next(&client), Seen::Reset);
    assert_eq!(proxy.exit(), Exit::SecondSignal { cut: 1 });
}

#[test]
fn a_drain_accepts_for_the_delay_and_leaves_outbound_open() {
    let proxy = Proxy::start(&["--drain-delay", NEVER]);
    proxy.drain();
    assert!(accepts(&proxy, INBOUND) && accepts(&proxy, OUTBOUND));
    eventually("ready during the delay", || is_ready(&proxy));
    proxy.stop();

    let proxy = Proxy::start(&["--drain-delay", "10ms"]);
    let (mut client, server) = proxy.pair(INBOUND);
    proxy.drain();
    eventually("inbound closes", || !accepts(&proxy, INBOUND));
    assert!(accepts(&proxy, OUTBOUND) && !is_ready(&proxy));
    client.write_all(b"x").unwrap();
    assert_eq!(next(&server), Seen::Byte(b'x'), "an open connection is carried on");
}

#[test]
fn a_legacy_signal_keeps_outbound_to_the_last_connection() {
    let proxy =
        Proxy::start(&["--sidecar-mode", "legacy", "--drain-delay", "10ms", "--drain-deadline", NEVER]);
    let (client, server) = proxy.pair(INBOUND);
    proxy.terminate();
    eventually("inbound closes", || !accepts(&proxy, INBOUND));
    let (mut late, late_server) = proxy.pair(OUTBOUND);
    late.write_all(b"x").unwrap();
    assert_eq!(next(&late_server), Seen::Byte(b'x'));
    drop((client, server, late, late_server));
    assert_eq!(proxy.exit(), Exit::Idle);
}

#[test]
fn a_legacy_signal_accepts_for_the_delay() {
    let proxy =
        Proxy::start(&["--sidecar-mode", "legacy", "--drain-delay", NEVER, "--drain-deadline", NEVER]);
    proxy.terminate();
    let (mut client, server) = proxy.pair(INBOUND);
    client.write_all(b"x").unwrap();
    assert_eq!(next(&server), Seen::Byte(b'x'));
    proxy.terminate();
    assert_eq!(proxy.exit(), Exit::SecondSignal { cut: 1 });
}

/// Answers each connection with one byte.
fn answering(listener: TcpListener) {
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut byte = [0];
            if stream.read_exact(&mut byte).is_ok() {
                stream.write_all(&byte).expect("the proxy reads");
            }
        }
    });
}

/// Sends a byte; whether it came back.
fn exchange(mut stream: TcpStream) -> bool {
    let mut answer = [0];
    stream.write_all(b"x").and_then(|()| stream.read_exact(&mut answer)).is_ok() && answer == *b"x"
}

#[test]
fn a_drain_under_load_loses_nothing_that_was_accepted() {
    let proxy = Proxy::start(&["--drain-delay", "300ms", "--drain-deadline", NEVER]);
    let listener = INBOUND.listener();
    proxy.redirect.set(Some(listener.local_addr().unwrap()));
    answering(listener);
    let (answered, draining, port) = (AtomicUsize::new(0), AtomicBool::new(false), proxy.port(INBOUND));
    let exchange_until_refused = || {
        while let Ok(stream) = TcpStream::connect(port) {
            if !exchange(crate::support::patient(stream)) {
                // The kernel completes handshakes until the moment of closing, and resets what nobody can accept any more.
                eventually("only the close itself cuts", || !accepts(&proxy, INBOUND));
                break;
            }
            if draining.load(Ordering::SeqCst) {
                answered.fetch_add(1, Ordering::SeqCst);
            }
        }
        assert!(!accepts(&proxy, INBOUND), "each client goes on until it is refused");
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(exchange_until_refused);
        }
        proxy.drain();
        draining.store(true, Ordering::SeqCst);
    });
    let answered = answered.load(Ordering::SeqCst);
    assert!(answered > 8, "{answered} exchanges during the delay");
    proxy.terminate();
    assert_eq!(proxy.exit(), Exit::Idle);
}

#[test]
fn a_port_in_use_is_named_with_its_option_and_nothing_is_left_bound() {
    for (option, way) in
        [("--inbound-port", INBOUND), ("--outbound-port", OUTBOUND), ("--admin-port", OUTBOUND)]
    {
        for workers in ["1", "2"] {
            // A port that is taken on loopback collides with the wildcard too.
            let taken = way.listener();
            let port = taken.local_addr().unwrap().port().to_string();
            let directory = tempfile::tempdir().unwrap();
            let error = App::bind(config(&directory, &[option, &port, "--workers", workers]))
                .err()
                .expect("an error");
            let error = error.to_string();
            assert!(error.contains(option) && error.contains(&port), "{error}");
            assert!(std::fs::read_dir(&directory).unwrap().next().is_none(), "no socket file is left");
        }
    }
}

#[test]
fn a_second_proxy_of_several_workers_does_not_join_the_first() {
    let port = unused_port().to_string();
    let directory = tempfile::tempdir().unwrap();
    let options = ["--workers", "2", "--inbound-port", &port, "--outbound-port", "0"];
    let _first = App::bind(config(&directory, &options)).unwrap();
    let error =
        App::bind(config(&tempfile::tempdir().unwrap(), &options)).err().expect("an error").to_string();
    assert!(error.contains(&port), "{error}");
}

#[test]
fn probes_through_capture_are_answered_by_the_proxy_itself() {
    let proxy = Proxy::start(&[]);
    for v6 in [false, true] {
        let way = Way { inbound: true, v6 };
        let probe = proxy.connect(way, (way.loopback(), api::ports::READINESS_CAPTURED).into());
        let answer = crate::support::http_get(probe, "/healthz/ready");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ready\n"), "{answer}");
        let probe = proxy.connect(way, (way.loopback(), api::ports::READINESS_CAPTURED).into());
        assert!(crate::support::http_get(probe, "/metrics").starts_with("HTTP/1.1 404"), "health only");
    }
    assert_eq!(proxy.metric(&["istio_tcp_connections_opened_total", "reporter=\"destination\""]), 0);
    assert!(proxy.stop().is_empty(), "not logged");
}

#[test]
fn outbound_to_the_probe_port_is_a_connection_like_any_other() {
    let proxy = Proxy::start(&[]);
    let Ok(listener) = TcpListener::bind(("127.0.0.1", api::ports::READINESS_CAPTURED)) else {
        panic!("port {} of loopback must be free for this test", api::ports::READINESS_CAPTURED)
    };
    let mut client = proxy.connect(OUTBOUND, listener.local_addr().unwrap());
    client.write_all(b"x").unwrap();
    assert_eq!(next(&accept(&listener)), Seen::Byte(b'x'));
}
