//! What hostile peers cost: the proxy takes at most ten times the processor time that its attacker takes.
//!
//! An attacker is a thread that says what was made before, in as few calls of the kernel as it likes, and reads what it is told.
//! It does so again and again, each time on a new connection, and leaves to its victim to end it. What the peer at the other
//! end takes counts for nobody. Requests in good order are no attack, however many: they cost what they are for.

mod http1;
mod http2;
mod peers;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tests::exec::Progress;
use tests::meshed::{Meshed, PATIENCE, PORT, as_app};
use tests::netns::{Node, Switch};
use tests::scale;

use crate::taken::{own_processor_time, processor_time};
use peers::{Part, Server, play};

/// The most that an attack may take of the proxy, in what it takes of the attacker.
const MOST: f64 = 10.0;

/// Of the two peers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Attacker {
    Client,
    Server,
}

/// An attack, and what stands in the proxy's access log of each.
struct Attack {
    name: &'static str,
    client: Part,
    server: Part,
    told: &'static str,
    most: f64,
}

/// A pod with the proxy, and a host of clients.
struct Lab {
    meshed: Meshed,
    plain: Node,
    listener: TcpListener,
    _switch: Switch,
}

impl Lab {
    fn new() -> Self {
        let mut switch = Switch::new("switch").expect("a switch");
        let meshed = Meshed::new(&mut switch, "meshed", &[]);
        let plain = switch.attach("plain").expect("a namespace");
        let target = SocketAddr::new(meshed.node.v4.into(), PORT);
        let listener = as_app(&meshed.node.netns, || TcpListener::bind(target)).expect("a listener");
        Self { meshed, plain, listener, _switch: switch }
    }

    /// Plays an attack until the attacker has taken `amount`; what it took then, what the proxy did, and how often it was played.
    fn play(&self, attacker: Attacker, attack: &Attack, amount: Duration) -> (Duration, Duration, usize) {
        let target = self.listener.local_addr().expect("its address");
        let server = Server::new(&self.listener, &attack.server);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let serving = scope.spawn(|| server.serve_until(&is_over));
            let played = as_app(&self.plain.netns, || {
                let spent = || match attacker {
                    Attacker::Client => own_processor_time(),
                    Attacker::Server => server.spent(),
                };
                let once = || play(&peers::connect(target), &attack.client);
                // What the proxy makes once for all.
                assert!(once() > 0, "{}: nothing was said", attack.name);
                let (proxy, peer, mut times) = (processor_time(self.meshed.proxy.pid()), spent(), 0);
                while spent() < peer + amount {
                    assert!(once() > 0, "{}: nothing was said", attack.name);
                    times += 1;
                }
                (spent() - peer, processor_time(self.meshed.proxy.pid()) - proxy, times)
            });
            is_over.store(true, Ordering::Relaxed);
            // Wakes it.
            drop(as_app(&self.plain.netns, || peers::connect(target)));
            serving.join().expect("a server that ends");
            played
        })
    }
}

/// Each attack of a list costs what it may, and is what it is meant to be.
fn measure(attacker: Attacker, attacks: &[Attack]) {
    let amount =
        scale::of("processor time of each attack", Duration::from_millis(300), Duration::from_millis(30));
    let lab = Lab::new();
    let mut failures = Vec::new();
    for attack in attacks {
        let told =
            |progress: &Progress| progress.stdout.lines().filter(|line| line.contains(attack.told)).count();
        let before = told(&lab.meshed.proxy.progress());
        let (spent, taken, times) = lab.play(attacker, attack, amount);
        let ratio = taken.as_secs_f64() / spent.as_secs_f64();
        let line = format!("{}: {ratio:.1}, {taken:?} for {spent:?} in {times} connections", attack.name);
        println!("{line}");
        let is_told = |progress: &Progress| (told(progress) >= before + times).then_some(());
        lab.meshed.proxy.wait_for(attack.told, PATIENCE, is_told).expect(attack.name);
        if ratio > attack.most {
            failures.push(line);
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), attacks.len(), failures.join("\n"));
}
