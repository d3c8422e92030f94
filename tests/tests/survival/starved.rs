//! Little processor time, none for a while, and nobody who takes what it says.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::cgroup::Cgroup;
use tests::meshed::{Meshed, PATIENCE, PORT, as_app};
use tests::netns::Switch;
use tests::peer::{self, Service};
use tests::scale;

use crate::traffic::{bytes, connect, echo};

#[test]
fn with_a_tenth_of_a_processor_it_is_slower_and_its_probes_succeed() {
    let cgroup = Cgroup::of_cpu("starved", 0.1).expect("a limit");
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::within(&cgroup, &mut switch, "meshed", &[]);
    let plain = switch.attach("plain").expect("a namespace");
    let _servers = meshed.serves(Service::Echo);
    let target = SocketAddr::new(meshed.node.v4.into(), PORT);
    let (end, carried) = (AtomicBool::new(false), AtomicU64::new(0));
    let text = bytes(2, 1 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            as_app(&plain.netns, || {
                while !end.load(Ordering::Relaxed) {
                    echo(target, &text).expect("no connection fails");
                    carried.fetch_add(1, Ordering::Relaxed);
                }
            });
        });
        let ready = SocketAddr::new(meshed.node.v4.into(), api::ports::READINESS_CAPTURED);
        let mut probes = 0;
        // As many as a kubelet sends in minutes, and until something was carried and throttled.
        while probes < 50 || carried.load(Ordering::Relaxed) < 5 || cgroup.throttled().expect("a count") == 0
        {
            let answer = switch.netns().run(|| peer::http_get(ready, api::control::READY_PATH, PATIENCE));
            let (status, body) = answer.expect("the namespace").expect("an answer");
            assert_eq!(status, 200, "probe {probes}: {body}");
            probes += 1;
        }
        end.store(true, Ordering::Relaxed);
        println!("{probes} probes, {} throttled periods", cgroup.throttled().expect("a count"));
    });
    drop(meshed);
}

#[test]
fn frozen_for_a_while_it_goes_on_where_it_was() {
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", &[]);
    let plain = switch.attach("plain").expect("a namespace");
    let _servers = meshed.serves(Service::Echo);
    let target = SocketAddr::new(meshed.node.v4.into(), PORT);
    let connect = || as_app(&plain.netns, || connect(target)).expect("a connection");
    let mut open: Vec<_> = (0..200).map(|_| connect()).collect();
    let exchange = |stream: &mut std::net::TcpStream| {
        stream.write_all(b"before").expect("it is taken");
        stream.read_exact(&mut [0; 6]).expect("it comes back");
    };
    open.iter_mut().for_each(exchange);
    meshed.proxy.signal(Signal::SIGSTOP);
    for stream in &mut open {
        stream.write_all(b"during").expect("the kernel takes it");
    }
    // They wait in the listener.
    let mut late: Vec<_> = (0..50).map(|_| connect()).collect();
    thaw_after(scale::of("frozen for", Duration::from_secs(30), Duration::from_secs(2)));
    meshed.proxy.signal(Signal::SIGCONT);
    for stream in &mut open {
        stream.read_exact(&mut [0; 6]).expect("what was sent meanwhile comes back");
    }
    late.iter_mut().chain(&mut open).for_each(exchange);
    assert_eq!(meshed.metric(&["remora_refused_connections_total{"]), 0);
}

#[expect(clippy::disallowed_methods, reason = "the time is the fault; nothing is awaited")]
fn thaw_after(frozen: Duration) {
    std::thread::sleep(frozen);
}
