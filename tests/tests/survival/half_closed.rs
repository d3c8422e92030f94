//! Connections of which one side has ended and that both have forgotten.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use socket2::SockRef;
use tests::meshed::{Meshed, PATIENCE, PORT, as_app};
use tests::netns::{Netns, Node, Switch};
use tests::scale;

use crate::taken::{Descriptors, descriptors};
use crate::traffic::{connect, eventually};

/// Instead of the default, 1 h. What is made within it must have come to rest before it is over.
const OPTIONS: [&str; 4] = ["--half-closed-timeout", "3s", "--access-log", "off"];

/// The ends of a connection.
type Flow = (TcpStream, TcpStream);

/// Where connections come from, and the listener that they go to: each direction in each family.
fn ways<'a>(meshed: &'a Node, plain: &'a Node) -> Vec<(&'a Netns, TcpListener)> {
    let both = [(plain, meshed), (meshed, plain)].into_iter();
    let ways = both.flat_map(|(from, to)| to.addresses().map(|address| (&from.netns, &to.netns, address)));
    let listen = |netns: &Netns, address| {
        as_app(netns, || TcpListener::bind(SocketAddr::new(address, PORT))).expect("a listener")
    };
    ways.map(|(from, to, address)| (from, listen(to, address))).collect()
}

/// One that carries a byte each way.
fn flow(target: SocketAddr, listener: &TcpListener) -> Flow {
    let mut client = connect(target).expect("a connection");
    client.write_all(b"?").expect("it is taken");
    let (mut server, _) = listener.accept().expect("the connection");
    server.set_read_timeout(Some(PATIENCE)).expect("the option");
    server.read_exact(&mut [0]).expect("the client's byte");
    server.write_all(b"!").expect("it is taken");
    client.read_exact(&mut [0]).expect("the server's byte");
    (client, server)
}

/// So many of each way, every other one ended by the client, the rest by the server.
fn half_closed(ways: &[(&Netns, TcpListener)], each: usize) -> Vec<Flow> {
    let of = |(from, listener): &(&Netns, TcpListener)| {
        let target = listener.local_addr().expect("its address");
        as_app(from, || {
            let flows = (0..each).map(|number| {
                let (client, server) = flow(target, listener);
                let (ends, mut other) = if number % 2 == 0 { (&client, &server) } else { (&server, &client) };
                ends.shutdown(Shutdown::Write).expect("FIN");
                assert_eq!(other.read(&mut [0]).expect("the end is passed on"), 0);
                (client, server)
            });
            flows.collect::<Vec<_>>()
        })
    };
    ways.iter().flat_map(of).collect()
}

#[test]
fn forgotten_half_closed_flows_are_reaped_and_their_descriptors_are_back() {
    // A flow has two descriptors in this process and two in the proxy, and each may have 20,000.
    let each = scale::of("half-closed flows of each of 4 ways in each of 2 waves", 1_250, 250);
    let _descriptors = Descriptors::reserve(4 * 2 * each);
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", &OPTIONS);
    let plain = switch.attach("plain").expect("a namespace");
    let ways = ways(&meshed.node, &plain);
    let open = || {
        let of = |direction| meshed.metric(&["remora_open_connections{", direction]);
        of("inbound") + of("outbound")
    };
    // What is made once is there.
    drop(half_closed(&ways, 1));
    eventually("the first ones end", || open() == 0);
    let before = descriptors(meshed.proxy.pid());
    let shown_before = meshed.metric(&["remora_process_open_fds "]);
    for wave in 1..=2 {
        let flows = half_closed(&ways, each);
        println!("wave {wave}: {} descriptors", descriptors(meshed.proxy.pid()));
        let reaped = || meshed.metric(&["remora_relay_half_closed_resets_total "]);
        let all = (wave * flows.len()) as u64;
        eventually("all are reaped", || reaped() == all);
        for end in flows.iter().flat_map(|(client, server)| [client, server]) {
            eventually("a reset", || {
                SockRef::from(end).take_error().expect("the option").is_some_and(|error| {
                    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
                })
            });
        }
        assert_eq!(open(), 0);
        let after = descriptors(meshed.proxy.pid());
        assert!(after.abs_diff(before) <= 2, "{before} descriptors before, and {after} after wave {wave}");
        let shown = meshed.metric(&["remora_process_open_fds "]);
        assert!(shown.abs_diff(shown_before) <= 2, "{shown_before} shown before, and {shown}");
    }
    drop(half_closed(&ways, 1));
}
