//! A proxy that forwards whatever it accepts to where it was sent, itself included: the rules alone keep it from calling
//! itself.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nix::sys::socket::{getsockopt, sockopt};
use tests::lab::{APP, Lab, PROXY, direct, reset};
use tests::peer::{self, PATIENCE};
use tests::rules::each_backend;

/// What it accepts before it gives up.
const CAP: usize = 50;

#[test]
fn without_rules_it_calls_itself() {
    let lab = Lab::new();
    let target = SocketAddr::new(lab.pod.v4.into(), api::ports::INBOUND);
    let call = || lab.remote.netns.run(|| peer::call(target, b"")).expect("the namespace");
    assert_eq!(through(&lab, call).1, CAP);
}

#[test]
fn with_rules_it_accepts_nothing_twice() {
    each_backend(|backend| {
        let mut lab = Lab::on(backend);
        lab.install(&[]);
        lab.serve_others();
        for (pod, remote) in lab.pod.addresses().into_iter().zip(lab.remote.addresses()) {
            for port in api::ports::LISTENERS {
                let place = format!("{} {pod} {port}", backend.name);
                assert_eq!(through(&lab, || lab.remote_calls(pod, port)), (reset(), 0), "remote {place}");
                assert_eq!(through(&lab, || lab.pod_calls(APP, pod, port)), (reset(), 0), "app {place}");
            }
            assert_eq!(through(&lab, || lab.remote_calls(pod, 8080)), (direct("app"), 1), "{}", backend.name);
            let outbound = through(&lab, || lab.pod_calls(APP, remote, 80));
            assert_eq!(outbound, (direct("remote"), 1), "{}", backend.name);
        }
    });
}

/// Runs the proxy during a call; gives where that landed, and how many connections the proxy accepted.
fn through<T>(lab: &Lab, call: impl FnOnce() -> T) -> (T, usize) {
    let listen = |address: (IpAddr, u16)| {
        let listener = lab.pod.netns.run_as(PROXY.0, PROXY.1, || peer::again(|| TcpListener::bind(address)));
        listener.expect("the namespace").expect("a free port")
    };
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let listeners = any.map(|address| api::ports::LISTENERS.map(|port| listen((address, port))));
    let accepted = AtomicUsize::new(0);
    let result = thread::scope(|scope| {
        let _closing = Closing(&listeners);
        for listener in listeners.iter().flatten() {
            let accepted = &accepted;
            scope.spawn(move || {
                // The error is the shutdown of the listener at the end.
                while let Ok((client, _)) = listener.accept() {
                    if accepted.fetch_add(1, Ordering::SeqCst) + 1 < CAP {
                        scope.spawn(|| forward(lab, client));
                    }
                }
            });
        }
        call()
    });
    (result, accepted.into_inner())
}

/// Wakes who waits in accept, however a call ends.
struct Closing<'a>(&'a [[TcpListener; 2]; 2]);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        for listener in self.0.iter().flatten() {
            let _ = nix::sys::socket::shutdown(listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        }
    }
}

/// An end that is closed early is the client's business: it is who tells the test.
fn forward(lab: &Lab, mut client: TcpStream) -> Option<()> {
    let target = destination(&client)?;
    let connect = || TcpStream::connect_timeout(&target, PATIENCE);
    let mut server = lab.pod.netns.run_as(PROXY.0, PROXY.1, connect).ok()?.ok()?;
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).ok()?;
    server.write_all(&bytes).ok()?;
    server.shutdown(Shutdown::Write).ok()?;
    bytes.clear();
    server.read_to_end(&mut bytes).ok()?;
    client.write_all(&bytes).ok()
}

/// Where it was sent; where nothing translated it, here.
fn destination(client: &TcpStream) -> Option<SocketAddr> {
    let original: Option<SocketAddr> = if client.local_addr().ok()?.is_ipv4() {
        let raw = getsockopt(client, sockopt::OriginalDst).ok();
        raw.map(|raw| (u32::from_be(raw.sin_addr.s_addr).to_be_bytes(), u16::from_be(raw.sin_port)).into())
    } else {
        let raw = getsockopt(client, sockopt::Ip6tOriginalDst).ok();
        raw.map(|raw| (raw.sin6_addr.s6_addr, u16::from_be(raw.sin6_port)).into())
    };
    original.or(client.local_addr().ok())
}
