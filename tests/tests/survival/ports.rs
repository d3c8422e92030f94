//! The kernel runs out of source ports.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};
use tests::meshed::{Meshed, PATIENCE, PORT, as_app, servers};
use tests::netns::Switch;
use tests::peer::Service;

/// So many ports the kernel gives.
const PORTS: u16 = 40;

/// From a port that the test chooses, since the kernel's are the proxy's; nothing if it was reset at once.
fn connect_from(source: IpAddr, port: u16, target: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(source, port).into()).expect("a port");
    match socket.connect_timeout(&target.into(), PATIENCE) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
        other => other.expect("the proxy accepts"),
    }
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("the option");
    Some(stream)
}

/// Whether the connection is carried; a reset is the only other answer.
fn works(stream: &mut Option<TcpStream>) -> bool {
    let Some(stream) = stream else { return false };
    // No protocol begins so, which the proxy would wait for; a reset that has come already fails the write.
    match stream.write_all(b"?").and_then(|()| stream.read_exact(&mut [0])) {
        Ok(()) => true,
        Err(error) => {
            let kind = error.kind();
            assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
            false
        }
    }
}

#[test]
fn a_destination_without_a_free_port_is_told_so_and_works_again() {
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", &[]);
    let plain = switch.attach("plain").expect("a namespace");
    let _servers = servers(&plain, Service::Echo);
    let range = format!("40000 {}", 40_000 + PORTS - 1);
    meshed.node.netns.set_sysctl("net/ipv4/ip_local_port_range", &range).expect("the setting");
    for (from, to) in meshed.node.addresses().into_iter().zip(plain.addresses()) {
        let target = SocketAddr::new(to, PORT);
        let connect = |port| as_app(&meshed.node.netns, || connect_from(from, port, target));
        let mut open: Vec<_> = (0..PORTS).map(|number| connect(20_000 + number)).collect();
        for stream in &mut open {
            assert!(works(stream), "there is a port for each");
        }
        assert!(!works(&mut connect(30_000)), "there is none left");
        let exhausted = meshed.log(target, 1);
        assert_eq!(exhausted[0]["response_flags"], "UO", "{exhausted:?}");
        // Reset, so that no port waits for the end of TIME_WAIT.
        for stream in open.into_iter().flatten() {
            socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).expect("the option");
        }
        meshed.log(target, 1 + usize::from(PORTS));
        assert!(works(&mut connect(30_001)), "ports are free again");
    }
}

#[test]
fn an_inbound_port_goes_on_to_the_next_source_address() {
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", &[]);
    let plain = switch.attach("plain").expect("a namespace");
    let _servers = meshed.serves(Service::Echo);
    let range = format!("40000 {}", 40_000 + PORTS - 1);
    meshed.node.netns.set_sysctl("net/ipv4/ip_local_port_range", &range).expect("the setting");
    let sources = u16::try_from(api::pod::INBOUND_SOURCES.count()).expect("a few");
    for to in meshed.node.addresses() {
        let target = SocketAddr::new(to, PORT);
        let connect =
            || as_app(&plain.netns, || Some(crate::traffic::connect(target).expect("a connection")));
        // One more than all but the last address have.
        let mut open: Vec<_> = (0..PORTS * (sources - 1) + 1).map(|_| connect()).collect();
        for (number, stream) in open.iter_mut().enumerate() {
            assert!(works(stream), "connection {number}");
        }
    }
}
