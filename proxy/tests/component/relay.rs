//! What happens to bytes, ends and resets of one connection, in both directions and families.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use socket2::{Domain, SockRef, Socket, Type};

use crate::support::{INBOUND, OUTBOUND, Proxy, Seen, Way, accept, next, reset, unused_port};

const MEGABYTE: usize = 1 << 20;

/// Bytes that do not repeat early, from a seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn seed() -> u64 {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
    println!("seed {seed}");
    seed
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sends `bytes` and FIN from a thread of its own.
fn send_all(stream: &TcpStream, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
    let mut stream = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        stream.write_all(&bytes).expect("everything is taken");
        stream.shutdown(Shutdown::Write).expect("FIN");
    })
}

fn read_all(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("a clean end");
    bytes
}

#[test]
fn ten_megabytes_each_way_at_once() {
    let proxy = Proxy::start(&[]);
    let seed = seed();
    for way in Way::all() {
        let (client, server) = proxy.pair(way);
        let (request, response) = (noise(seed, 10 * MEGABYTE), noise(seed + 2, 10 * MEGABYTE));
        let expected = (digest(&request), digest(&response));
        let senders = [send_all(&client, request), send_all(&server, response)];
        let reader = std::thread::spawn({
            let server = server.try_clone().unwrap();
            move || digest(&read_all(&server))
        });
        let at_client = digest(&read_all(&client));
        assert_eq!((reader.join().unwrap(), at_client), expected, "{way:?}");
        for sender in senders {
            sender.join().unwrap();
        }
    }
    for line in proxy.stop() {
        assert_eq!(
            (line["bytes_received"].as_u64(), line["bytes_sent"].as_u64()),
            (Some(10 << 20), Some(10 << 20))
        );
    }
}

#[test]
fn after_the_clients_end_the_server_goes_on() {
    let proxy = Proxy::start(&[]);
    for way in Way::all() {
        let (mut client, server) = proxy.pair(way);
        client.write_all(b"?").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!((next(&server), next(&server)), (Seen::Byte(b'?'), Seen::End), "{way:?}");
        let response = noise(7, MEGABYTE);
        let sender = send_all(&server, response.clone());
        assert!(read_all(&client) == response, "{way:?}");
        sender.join().unwrap();
    }
    assert!(proxy.stop().iter().all(|line| line["response_flags"] == "-"));
}

#[test]
fn after_the_servers_end_the_client_goes_on() {
    let proxy = Proxy::start(&[]);
    for way in Way::all() {
        let (client, mut server) = proxy.pair(way);
        server.write_all(b"!").unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!((next(&client), next(&client)), (Seen::Byte(b'!'), Seen::End), "{way:?}");
        let request = noise(7, MEGABYTE);
        let sender = send_all(&client, request.clone());
        assert!(read_all(&server) == request, "{way:?}");
        sender.join().unwrap();
    }
    assert!(proxy.stop().iter().all(|line| line["response_flags"] == "-"));
}

/// A pair through which a byte has gone, so that the proxy's dial is over.
fn carried(proxy: &Proxy, way: Way) -> (TcpStream, TcpStream) {
    let (mut client, server) = proxy.pair(way);
    client.write_all(b"x").unwrap();
    assert_eq!(next(&server), Seen::Byte(b'x'));
    (client, server)
}

#[test]
fn a_reset_is_passed_on_as_a_reset() {
    let proxy = Proxy::start(&[]);
    for way in Way::all() {
        let (client, server) = carried(&proxy, way);
        reset(client);
        assert_eq!(next(&server), Seen::Reset, "client's, {way:?}");
        let (client, server) = carried(&proxy, way);
        reset(server);
        assert_eq!(next(&client), Seen::Reset, "server's, {way:?}");
    }
    let flags: Vec<_> = proxy.stop().iter().map(|line| line["response_flags"].clone()).collect();
    assert_eq!(flags.iter().filter(|flags| *flags == "DC").count(), 4, "{flags:?}");
    assert_eq!(flags.iter().filter(|flags| *flags == "UC").count(), 4, "{flags:?}");
}

#[test]
fn a_reset_after_a_half_close_is_passed_on_though_nothing_flows() {
    let proxy = Proxy::start(&[]);
    for way in Way::all() {
        let (client, server) = proxy.pair(way);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(next(&server), Seen::End);
        reset(client);
        // A socket that has seen FIN goes on reading an end; the reset is an error that poll would report.
        crate::support::eventually("reset after FIN", || {
            SockRef::from(&server).take_error().unwrap().is_some()
        });

        let (client, server) = proxy.pair(way);
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(next(&client), Seen::End);
        reset(server);
        crate::support::eventually("reset after FIN", || {
            SockRef::from(&client).take_error().unwrap().is_some()
        });
    }
}

#[test]
fn a_reset_reaches_a_peer_that_does_not_read() {
    let proxy = Proxy::start(&[]);
    for way in Way::all() {
        let (mut client, server) = proxy.pair(way);
        fill(&mut client);
        reset(client);
        crate::support::eventually("reset through full buffers", || {
            SockRef::from(&server).take_error().unwrap().is_some()
        });
    }
}

#[test]
fn an_answer_is_delivered_though_its_server_resets_what_it_did_not_read() {
    let proxy = Proxy::start(&[]);
    for round in 0..4 {
        let (mut client, mut server) = proxy.pair(OUTBOUND);
        fill(&mut client);
        server.write_all(b"!").unwrap();
        // Closing with unread bytes is a reset, which comes together with the answer.
        drop(server);
        assert_eq!((next(&client), next(&client)), (Seen::Byte(b'!'), Seen::Reset), "round {round}");
    }
}

/// Writes until nobody takes any more; returns how much was taken.
fn fill(stream: &mut TcpStream) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let (block, mut taken) = (vec![0; 64 * 1024], 0);
    while let Ok(written) = stream.write(&block) {
        taken += written;
    }
    taken
}

#[test]
fn a_server_that_never_reads_holds_back_its_client_and_nobody_else() {
    let proxy = Proxy::start(&[]);
    for way in [OUTBOUND, INBOUND] {
        let (mut stuck, _server) = proxy.pair(way);
        let taken = fill(&mut stuck);
        assert!(taken < 64 * MEGABYTE, "{taken} bytes are held by the kernel's buffers and one of ours");
        let (mut client, server) = proxy.pair(way);
        client.write_all(b"x").unwrap();
        assert_eq!(next(&server), Seen::Byte(b'x'), "{way:?}");
    }
}

#[test]
fn a_slow_reader_gets_everything() {
    let proxy = Proxy::start(&[]);
    let response = noise(seed(), 4 * MEGABYTE);
    for way in [OUTBOUND, INBOUND] {
        let (mut client, server) = proxy.pair(way);
        SockRef::from(&client).set_recv_buffer_size(64 * 1024).unwrap();
        let sender = send_all(&server, response.clone());
        let (mut got, mut piece) = (Vec::new(), [0; 517]);
        loop {
            match client.read(&mut piece).unwrap() {
                0 => break,
                length => got.extend_from_slice(&piece[..length]),
            }
        }
        assert!(got == response, "{way:?}");
        sender.join().unwrap();
    }
}

#[test]
fn a_refused_connection_is_a_reset_at_once() {
    let proxy = Proxy::start(&[]);
    for way in Way::all() {
        let nobody = way.listener().local_addr().unwrap();
        assert_eq!(next(&proxy.connect(way, nobody)), Seen::Reset, "{way:?}");
    }
    for line in proxy.stop() {
        assert_eq!(
            (line["response_flags"].as_str(), &line["upstream_host"]),
            (Some("UF,URX"), &serde_json::Value::Null)
        );
        assert_eq!(line["upstream_transport_failure_reason"], "connection refused");
    }
}

/// A listener whose queue is full: the kernel drops what else would connect.
fn deaf() -> (Socket, Vec<TcpStream>, SocketAddr) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(stream);
    }
    (listener, waiting, address)
}

#[test]
fn a_destination_that_does_not_answer_is_a_reset_after_the_timeout() {
    let proxy = Proxy::start(&["--connect-timeout", "50ms"]);
    let (_listener, _waiting, address) = deaf();
    assert_eq!(next(&proxy.connect(OUTBOUND, address)), Seen::Reset);
    let lines = proxy.stop();
    assert_eq!(lines[0]["upstream_transport_failure_reason"], "no answer within 50ms");
}

#[test]
fn a_client_that_gives_up_ends_the_attempt() {
    let proxy = Proxy::start(&["--connect-timeout", "1h"]);
    let (_listener, _waiting, address) = deaf();
    reset(proxy.connect(OUTBOUND, address));
    crate::support::eventually("the attempt ends", || {
        proxy.metric(&["istio_tcp_connections_closed_total", "response_flags=\"DC\""]) == 1
    });
}

#[test]
fn the_application_sees_127_0_0_6_and_others_do_not() {
    let proxy = Proxy::start(&[]);
    let source = |way: Way| proxy.pair(way).1.peer_addr().unwrap().ip().to_string();
    assert_eq!(source(INBOUND), "127.0.0.6");
    assert_eq!(source(OUTBOUND), "127.0.0.1");
}

#[test]
fn an_urgent_byte_is_not_lost() {
    let proxy = Proxy::start(&[]);
    for way in [OUTBOUND, INBOUND] {
        let (client, server) = proxy.pair(way);
        for (from, to) in [(&client, &server), (&server, &client)] {
            SockRef::from(from).send_out_of_band(b"!").unwrap();
            assert_eq!(next(to), Seen::Byte(b'!'), "{way:?}");
        }
    }
}

#[test]
fn both_legs_are_kept_alive_and_without_delay() {
    let proxy = Proxy::start(&[]);
    let (client, server) = proxy.pair(OUTBOUND);
    // The proxy's own sockets are the peers of these two; the kernel tells of their timers in /proc/net/tcp: 02 is
    // keep-alive.
    let ports = [client.local_addr().unwrap().port(), server.local_addr().unwrap().port()];
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    for port in ports {
        let peer = format!(":{port:04X}");
        let timers: Vec<&str> = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|row| row.get(2).is_some_and(|remote| remote.ends_with(&peer)) && row[3] == "01")
            .map(|row| row[5].split(':').next().unwrap())
            .collect();
        assert_eq!(timers, ["02"], "port {port}");
    }
}

#[test]
fn several_workers_share_the_ports() {
    let (inbound, outbound) = (unused_port().to_string(), unused_port().to_string());
    let proxy = Proxy::start(&["--workers", "2", "--inbound-port", &inbound, "--outbound-port", &outbound]);
    for _ in 0..50 {
        let listener = OUTBOUND.listener();
        let mut client = proxy.connect(OUTBOUND, listener.local_addr().unwrap());
        client.write_all(b"x").unwrap();
        assert_eq!(next(&accept(&listener)), Seen::Byte(b'x'));
    }
    assert_eq!(proxy.stop().len(), 50);
}
