//! The proxy has no descriptor left.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use tests::meshed::{Meshed, PATIENCE, PORT, as_app, servers};
use tests::netns::{Netns, Node, Switch};
use tests::peer::{self, Service};
use tests::tool;

use crate::taken::processor_time;
use crate::traffic::{bytes, connect, echo, silent_for};

const LIMIT: u64 = 64;

/// So many are turned away before it is clear that nobody else gets in.
const TURNED_AWAY: usize = 100;

/// While all descriptors are taken it may take 5 % of a processor, with five times the slack: one that spins takes all.
const SHARE: f64 = 0.05 * 5.0;

/// It is to work again within 1 s, with five times the slack.
const BACK: Duration = Duration::from_secs(5);

/// A connection that works, or nothing if it was reset.
fn try_connect(target: SocketAddr) -> Option<TcpStream> {
    let carried = connect(target).and_then(|mut stream| {
        // No protocol begins so, which the proxy would wait for.
        stream.write_all(b"?")?;
        stream.read_exact(&mut [0])?;
        Ok(stream)
    });
    let turned_away = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    carried
        .inspect_err(|error| {
            assert!(turned_away.contains(&error.kind()), "neither carried nor turned away: {error}");
        })
        .ok()
}

/// Takes what there is, and sees that the proxy neither ends nor spins, and works as soon as it can.
fn exhausted_and_back(meshed: &Meshed, from: &Netns, target: SocketAddr) {
    let pid = meshed.proxy.pid();
    as_app(from, || {
        let (mut held, mut away) = (Vec::new(), 0);
        while away < TURNED_AWAY {
            match try_connect(target) {
                Some(stream) => held.push(stream),
                None => away += 1,
            }
        }
        println!("{target}: {} connections with {LIMIT} descriptors", held.len());
        assert!((4..LIMIT as usize / 2).contains(&held.len()), "{} connections", held.len());
        std::thread::scope(|scope| {
            // Who asks for metrics now waits until it gets them.
            let asking = scope.spawn(|| meshed.metric(&["remora_open_connections{"]));
            let (began, before) = (Instant::now(), processor_time(pid));
            silent_for(Duration::from_secs(1), held.first().expect("a few"));
            let (spent, elapsed) = (processor_time(pid) - before, began.elapsed());
            println!("exhausted: {spent:?} of {elapsed:?}");
            assert!(spent < elapsed.mul_f64(SHARE), "{spent:?} of {elapsed:?}");
            for stream in &mut held {
                stream.write_all(b"y").expect("those that are carried notice nothing");
                stream.read_exact(&mut [0]).expect("those that are carried notice nothing");
            }
            let freed = Instant::now();
            drop(held);
            while try_connect(target).is_none() && freed.elapsed() < BACK {}
            println!("back after {:?}", freed.elapsed());
            assert!(freed.elapsed() < BACK, "{:?}", freed.elapsed());
            asking.join().expect("the metrics");
        });
    });
    assert_eq!(meshed.proxy.progress().exit, None);
}

/// In each direction and family.
fn survives(meshed: &Meshed, plain: &Node) {
    let _servers = (meshed.serves(Service::Echo), servers(plain, Service::Echo));
    for (from, to) in [(plain, &meshed.node), (&meshed.node, plain)] {
        for address in to.addresses() {
            let target = SocketAddr::new(address, PORT);
            exhausted_and_back(meshed, &from.netns, target);
            as_app(&from.netns, || echo(target, &bytes(1, 1 << 20))).expect("all is as before");
        }
    }
    let ready = SocketAddr::new(meshed.node.v4.into(), api::ports::READINESS_CAPTURED);
    let answer = plain.netns.run(|| peer::http_get(ready, api::control::READY_PATH, PATIENCE));
    assert_eq!(answer.expect("the namespace").expect("an answer").0, 200);
}

#[test]
fn when_its_descriptors_run_out_it_turns_away_and_comes_back() {
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", &["--access-log", "off"]);
    let plain = switch.attach("plain").expect("a namespace");
    // What it has counted on is taken from it, by its own user, who may.
    let mut prlimit = Command::new("prlimit");
    prlimit.args([format!("--pid={}", meshed.proxy.pid()), format!("--nofile={LIMIT}:{LIMIT}")]);
    prlimit.uid(api::pod::PROXY_UID).gid(api::pod::PROXY_GID);
    tool::run("util-linux", &mut prlimit).expect("the limit");
    survives(&meshed, &plain);
    assert!(meshed.metric(&["remora_accept_errors_total{"]) > 0, "no descriptor was missing");
}

#[test]
fn started_with_few_descriptors_it_says_so_and_carries_what_they_allow() {
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::with_descriptors(LIMIT, &mut switch, "meshed", &["--access-log", "off"]);
    let plain = switch.attach("plain").expect("a namespace");
    let log = meshed.proxy.progress().stderr;
    let said = log.lines().find(|line| line.contains("WARN") && line.contains("few descriptors"));
    let said = said.unwrap_or_else(|| panic!("it does not tell: {log}"));
    assert!(said.contains("descriptors=64") && said.contains("connections=16"), "{said}");
    survives(&meshed, &plain);
}
