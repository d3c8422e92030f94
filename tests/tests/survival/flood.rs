//! Many short connections to one port, as fast as they come.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tests::meshed::{Meshed, PORT, as_app, servers};
use tests::netns::{Netns, Switch};
use tests::peer::Service;

use crate::traffic::{bytes, echo};

/// In 6 s they would be 1,000 a second, twice what one source address of the inbound leg can carry.
const CONNECTIONS: u64 = 6_000;
const CLIENTS: u64 = 8;

/// From `from` to `target`, each with bytes of its own.
fn flood(from: &Netns, target: SocketAddr) {
    let (next, began) = (AtomicU64::new(0), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                as_app(from, || {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= CONNECTIONS {
                            break;
                        }
                        echo(target, &bytes(number, 100)).expect("no connection fails");
                    }
                });
            });
        }
    });
    println!("{CONNECTIONS} connections to {target} in {:?}", began.elapsed());
}

#[test]
fn thousands_of_short_connections_to_one_port_all_succeed() {
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", &["--access-log", "off"]);
    let plain = switch.attach("plain").expect("a namespace");
    let _servers = (meshed.serves(Service::Echo), servers(&plain, Service::Echo));
    let (inbound, outbound) = (meshed.node.addresses(), plain.addresses());
    for (inbound, outbound) in inbound.into_iter().zip(outbound) {
        flood(&plain.netns, SocketAddr::new(inbound, PORT));
        flood(&meshed.node.netns, SocketAddr::new(outbound, PORT));
    }
    for reporter in ["destination", "source"] {
        let series = [
            "istio_tcp_connections_closed_total{",
            &format!("reporter=\"{reporter}\""),
            "response_flags=\"-\"",
        ];
        assert_eq!(meshed.metric(&series), 2 * CONNECTIONS, "{reporter}");
    }
}
