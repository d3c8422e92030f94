//! What hostile peers cost: the proxy takes at most ten times the processor time that its attacker takes.
//!
//! An attacker is a thread that says what was made before, in as few calls of the kernel as it likes, and reads what it is told.
//! It does so again and again, each time on a new connection, and leaves to its victim to end it. What the peer at the other
//! end takes counts for nobody. Requests in good order are no attack, however many: they cost what they are for.

mod connections;
mod http1;
mod http2;
mod peers;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tests::exec::Progress;
use tests::meshed::{Meshed, PATIENCE, PORT, as_app};
use tests::netns::{Netns, Node, Switch};
use tests::scale;

use crate::taken::{own_processor_time, processor_time};
use peers::{Part, Server, play};

/// The most that an attack may take of the proxy, in what it takes of the attacker.
const MOST: f64 = 10.0;

/// What the log has of whatever is carried.
const CARRIED: &str = "\"reporter\":\"";

/// Where connections go, as the pod sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Direction {
    Inbound,
    Outbound,
}

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

/// A pod with the proxy, and a host beside it: one has the clients, and the other the server.
struct Lab {
    meshed: Meshed,
    plain: Node,
    direction: Direction,
    listener: TcpListener,
    next_port: AtomicU16,
    _switch: Switch,
}

/// Above those of the proxy, and below those that the kernel chooses from.
const FIRST_PORT: u16 = 16_000;

impl Lab {
    fn new(direction: Direction, options: &[&str]) -> Self {
        let mut switch = Switch::new("switch").expect("a switch");
        let meshed = Meshed::new(&mut switch, "meshed", options);
        let plain = switch.attach("plain").expect("a namespace");
        let node = if direction == Direction::Inbound { &meshed.node } else { &plain };
        let target = SocketAddr::new(node.v4.into(), PORT);
        let listener = as_app(&node.netns, || TcpListener::bind(target)).expect("a listener");
        Self { meshed, plain, direction, listener, next_port: AtomicU16::new(FIRST_PORT), _switch: switch }
    }

    /// Where clients are.
    fn clients(&self) -> &Netns {
        match self.direction {
            Direction::Inbound => &self.plain.netns,
            Direction::Outbound => &self.meshed.node.netns,
        }
    }

    /// Plays an attack until the attacker has taken `amount`, and waits until the log tells of all.
    fn play(&self, attacker: Attacker, attack: &Attack, amount: Duration) -> Played {
        let target = self.listener.local_addr().expect("its address");
        let server = Server::new(&self.listener, &attack.server);
        let before = self.told(attack);
        std::thread::scope(|scope| {
            let serving = Serving { server: &server, lab: self };
            scope.spawn(|| server.serve());
            let played = as_app(self.clients(), || {
                let spent = || match attacker {
                    Attacker::Client => own_processor_time(),
                    Attacker::Server => server.spent(),
                };
                let once = || {
                    // A server that attacks may have ended it before it has begun.
                    let is_played = self.connect(target).is_some_and(|stream| play(&stream, &attack.client));
                    assert!(is_played || attacker == Attacker::Server, "{}: nothing was said", attack.name);
                };
                // What the proxy makes once for all.
                once();
                let (proxy_before, before, mut times) = (self.taken(), spent(), 0);
                while spent() < before + amount {
                    once();
                    times += 1;
                }
                (spent() - before, proxy_before, times)
            });
            let (spent, proxy_before, times) = played;
            let is_told = |progress: &Progress| (tell(progress, attack) > before + times).then_some(());
            self.meshed.proxy.wait_for(attack.told, PATIENCE, is_told).expect(attack.name);
            drop(serving);
            Played { spent, taken: self.taken() - proxy_before, times }
        })
    }

    /// A client's connection. Out of the pod it has a port that nobody else had: what the proxy has called a server from, and was reset
    /// by the server, is a way past the rules for some seconds, since its conntrack entry lives on and is not translated.
    fn connect(&self, target: SocketAddr) -> Option<TcpStream> {
        let port = match self.direction {
            Direction::Inbound => 0,
            Direction::Outbound => self.next_port.fetch_add(1, Ordering::Relaxed),
        };
        peers::connect(target, port)
    }

    /// The processor time of the proxy so far.
    fn taken(&self) -> Duration {
        processor_time(self.meshed.proxy.pid())
    }

    fn told(&self, attack: &Attack) -> usize {
        tell(&self.meshed.proxy.progress(), attack)
    }
}

/// Lines of the log that tell of an attack.
fn tell(progress: &Progress, attack: &Attack) -> usize {
    progress.stdout.lines().filter(|line| line.contains(attack.told)).count()
}

/// A server that serves until this is dropped.
struct Serving<'a> {
    server: &'a Server<'a>,
    lab: &'a Lab,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.server.stop();
        // Wakes it.
        let target = self.lab.listener.local_addr().expect("its address");
        drop(as_app(self.lab.clients(), || self.lab.connect(target)));
    }
}

/// What was played, apart from the first time.
struct Played {
    /// By the attacker.
    spent: Duration,
    /// By the proxy.
    taken: Duration,
    times: usize,
}

impl Played {
    /// What it took of the proxy, in what it took of the attacker.
    fn ratio(&self) -> f64 {
        self.taken.as_secs_f64() / self.spent.as_secs_f64()
    }
}

/// An attacker's processor time that is enough to see that an attack is far from what it may take; and one that decides.
const FIRST: Duration = Duration::from_millis(30);
const WHOLE: Duration = Duration::from_millis(300);

/// The part of what an attack may take that is far from it.
const FAR: f64 = 0.5;

/// What an attack costs, as exactly as it has to be known. The whole of one that may take much is shorter, for the proxy takes
/// all the longer.
fn cost(lab: &Lab, attacker: Attacker, attack: &Attack, first: Duration) -> Played {
    let played = lab.play(attacker, attack, first);
    let whole = if attack.most > MOST { WHOLE / 3 } else { WHOLE };
    if first >= whole || played.ratio() < FAR * attack.most {
        return played;
    }
    println!("{}: {:.1} at first", attack.name, played.ratio());
    lab.play(attacker, attack, whole)
}

/// Each attack of a list costs what it may, and is what it is meant to be.
fn measure(attacker: Attacker, attacks: &[Attack]) {
    measure_in(&Lab::new(Direction::Inbound, &[]), attacker, attacks);
}

/// The same of what goes out of the pod, where clients share connections to servers. The server has one at a time, and so no unused
/// one may wait for long.
fn measure_outbound(attacker: Attacker, attacks: &[Attack]) {
    // Each has the ports of a namespace for itself.
    for attack in attacks {
        let lab = Lab::new(Direction::Outbound, &["--http-pool-idle-timeout=200ms"]);
        measure_in(&lab, attacker, std::slice::from_ref(attack));
    }
}

/// The same of a proxy with these options.
fn measure_with(options: &[&str], attacker: Attacker, attacks: &[Attack]) {
    measure_in(&Lab::new(Direction::Inbound, options), attacker, attacks);
}

fn measure_in(lab: &Lab, attacker: Attacker, attacks: &[Attack]) {
    let first = scale::of("processor time of each attack at first", WHOLE, FIRST);
    let mut failures = Vec::new();
    for attack in attacks {
        let played = cost(lab, attacker, attack, first);
        let (ratio, Played { spent, taken, times }) = (played.ratio(), played);
        let line = format!("{}: {ratio:.1}, {taken:?} for {spent:?} in {times} connections", attack.name);
        println!("{line}");
        if ratio > attack.most {
            failures.push(line);
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), attacks.len(), failures.join("\n"));
}
