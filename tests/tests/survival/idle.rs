//! Very many connections at once that are silent, and work nevertheless when they say something.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tests::meshed::{Meshed, PATIENCE, PORT, as_app};
use tests::netns::{Netns, Switch};
use tests::scale;

use crate::taken::{Descriptors, descriptors, processor_time, waits_of_workers};
use crate::traffic::{connect, eventually, silent_for};

/// How many connections wait in a listener until the application takes them.
const QUEUE: i32 = 16_384;

/// Has them wait there: an idle connection then costs this process one descriptor instead of two.
fn listen(netns: &Netns, address: SocketAddr) -> TcpListener {
    netns.set_sysctl("net/core/somaxconn", &QUEUE.to_string()).expect("the setting");
    as_app(netns, || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        socket.bind(&address.into()).expect("a free port");
        socket.listen(QUEUE).expect("a listener");
        socket.set_read_timeout(Some(PATIENCE)).expect("the option, which accept(2) obeys");
        socket.into()
    })
}

/// Connections of one direction and family.
struct Way<'a> {
    from: &'a Netns,
    listener: TcpListener,
    open: Vec<TcpStream>,
}

impl<'a> Way<'a> {
    fn new(from: &'a Netns, to: &Netns, address: IpAddr) -> Self {
        let listener = listen(to, SocketAddr::new(address, PORT));
        Self { from, listener, open: Vec::new() }
    }

    /// Opens more; of two one says something at once, so that its protocol is known, and the other one nothing.
    fn open(&mut self, count: usize) {
        let target = self.listener.local_addr().expect("its address");
        let more = as_app(self.from, || {
            let connect = |number: usize| {
                let mut stream = connect(target).expect("a connection");
                if number.is_multiple_of(2) {
                    stream.write_all(&[number as u8]).expect("it is taken");
                }
                stream
            };
            (self.open.len()..self.open.len() + count).map(connect).collect::<Vec<_>>()
        });
        self.open.extend(more);
    }

    /// Each carries a byte to the server, which gives back another one, and ends in order.
    fn all_work(self) {
        for (number, mut stream) in self.open.iter().enumerate() {
            if !number.is_multiple_of(2) {
                stream.write_all(&[number as u8]).expect("it is taken");
            }
        }
        for _ in &self.open {
            let (mut server, _) = self.listener.accept().expect("a connection");
            server.set_read_timeout(Some(PATIENCE)).expect("the option");
            let mut byte = [0];
            server.read_exact(&mut byte).expect("the client's byte");
            server.write_all(&[!byte[0]]).expect("it is taken");
        }
        for (number, mut stream) in self.open.into_iter().enumerate() {
            let mut back = Vec::new();
            stream.read_to_end(&mut back).expect("an answer and a clean end");
            assert_eq!(back, [!(number as u8)], "connection {number}");
        }
    }
}

/// With so many connections the proxy is to rest.
const AT_REST: usize = 1_000;

/// What it may take then: 0.1 % of a processor, with five times the slack.
const SHARE: f64 = 0.001 * 5.0;

/// A timer that each connection had would wake the worker by the hundred, where its own wakes it twice a second; and what looks at
/// all of them, from time to time, is to be cheap.
fn rests(meshed: &Meshed, stream: &TcpStream) {
    // Several looks for dead peers, which come every 5 s.
    let time = scale::of("at rest for", Duration::from_secs(60), Duration::from_secs(8));
    let pid = meshed.proxy.pid();
    let (began, spent, waits) = (Instant::now(), processor_time(pid), waits_of_workers(pid));
    silent_for(time, stream);
    let (spent, waits) = (processor_time(pid) - spent, waits_of_workers(pid) - waits);
    let elapsed = began.elapsed();
    println!("at rest with {AT_REST} connections: {spent:?} of {elapsed:?}, {waits} waits of the workers");
    assert!(waits < AT_REST as u64 / 2, "{waits} in {elapsed:?}");
    assert!(spent < elapsed.mul_f64(SHARE), "{spent:?} in {elapsed:?}");
}

#[test]
fn as_many_as_the_descriptors_allow_cost_nothing_at_rest_and_all_of_them_work() {
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", &["--access-log", "off"]);
    let plain = switch.attach("plain").expect("a namespace");
    let most = meshed.metric(&["remora_limit{", "\"connections\""]);
    let whole = usize::try_from(most).expect("thousands") / 4;
    let each = scale::of("idle connections of each of 4 ways", whole, 600);
    let _descriptors = Descriptors::reserve(4 * each);
    let (ours, theirs) = (&meshed.node, &plain);
    let mut ways: Vec<_> = [(theirs, ours), (ours, theirs)]
        .into_iter()
        .flat_map(|(from, to)| to.addresses().map(|address| Way::new(&from.netns, &to.netns, address)))
        .collect();
    ways.iter_mut().for_each(|way| way.open(AT_REST / 4));
    // All are as far as they come without another byte: both legs are there, and what was said is carried.
    eventually("all are at rest", || {
        descriptors(meshed.proxy.pid()) >= 2 * AT_REST
            && meshed.metric(&["istio_tcp_received_bytes_total{"]) == AT_REST as u64 / 2
    });
    rests(&meshed, &ways[3].open[0]);
    ways.iter_mut().for_each(|way| way.open(each - AT_REST / 4));
    println!("{} of {most} connections, two descriptors each", 4 * each);
    eventually("all are open at once", || descriptors(meshed.proxy.pid()) >= 2 * 4 * each);
    ways.into_iter().for_each(Way::all_work);
    assert_eq!(meshed.metric(&["remora_refused_connections_total{"]), 0);
}
