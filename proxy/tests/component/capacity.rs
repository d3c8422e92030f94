//! What happens beyond the limits of connections: new ones are reset at once, those that are open notice nothing.

use std::io::Write;
use std::net::TcpStream;

use crate::support::{INBOUND, OUTBOUND, Proxy, Seen, eventually, http_get, next, patient};

#[test]
fn a_full_direction_resets_new_clients_and_no_others() {
    let proxy = Proxy::start(&["--max-inbound-connections", "2"]);
    let limit =
        |direction: &str| proxy.metric(&["remora_connection_limit{", &format!("direction=\"{direction}\"")]);
    assert_eq!((limit("inbound"), limit("outbound")), (2, 7308));
    let mut carried: Vec<_> = (0..2).map(|_| proxy.pair(INBOUND)).collect();
    let refused =
        || proxy.metric(&["remora_refused_connections_total{", "direction=\"inbound\"", "reason=\"limit\""]);
    for times in 1..=3 {
        let client = TcpStream::connect(proxy.port(INBOUND)).unwrap();
        assert_eq!(next(&patient(client)), Seen::Reset);
        assert_eq!(refused(), times);
    }
    for (client, server) in &carried {
        let mut sender = server;
        sender.write_all(b"x").unwrap();
        assert_eq!(next(client), Seen::Byte(b'x'));
    }
    // The other direction has its own limit.
    let (client, server) = proxy.pair(OUTBOUND);
    drop((client, server));
    // One that ends makes room for one.
    let (client, server) = carried.pop().unwrap();
    drop(server);
    assert_eq!(next(&client), Seen::End);
    drop(client);
    let open = || proxy.metric(&["remora_open_connections{", "direction=\"inbound\""]);
    eventually("the end of one", || open() == 1);
    let (client, mut server) = proxy.pair(INBOUND);
    server.write_all(b"y").unwrap();
    assert_eq!(next(&client), Seen::Byte(b'y'));
    assert_eq!(refused(), 3);
}

/// This process takes more than a megabyte already.
#[test]
fn short_of_memory_it_resets_new_clients_and_no_others() {
    let proxy = Proxy::start(&["--memory-limit", "1000000"]);
    let (mut client, server) = proxy.pair(INBOUND);
    let refused =
        || proxy.metric(&["remora_refused_connections_total{", "direction=\"inbound\"", "reason=\"memory\""]);
    eventually("somebody new is reset", || {
        drop(TcpStream::connect(proxy.port(INBOUND)).unwrap());
        refused() > 0
    });
    let before = refused();
    let other = TcpStream::connect(proxy.port(INBOUND)).unwrap();
    assert_eq!(next(&patient(other)), Seen::Reset);
    assert_eq!(refused(), before + 1);
    client.write_all(b"x").unwrap();
    assert_eq!(next(&server), Seen::Byte(b'x'), "who is carried notices nothing");
    let probe = proxy.connect(INBOUND, ([192, 0, 2, 1], api::ports::READINESS_CAPTURED).into());
    assert!(http_get(probe, api::control::READY_PATH).starts_with("HTTP/1.1 200"));
}

/// A proxy that is full works: to call it unready would take the pod out of its Service for having much to do.
#[test]
fn a_full_proxy_answers_the_kubelet() {
    let proxy = Proxy::start(&["--max-inbound-connections", "1"]);
    let _carried = proxy.pair(INBOUND);
    let probe = proxy.connect(INBOUND, ([192, 0, 2, 1], api::ports::READINESS_CAPTURED).into());
    let answer = http_get(probe, api::control::READY_PATH);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
