//! kill -9, and the kubelet starts it again.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use nix::sys::signal::Signal;
use tests::meshed::{Meshed, PATIENCE, PORT, as_app, servers};
use tests::netns::{Netns, Switch};
use tests::peer::Service;

use crate::traffic::{bytes, echo};

fn rules(netns: &Netns) -> String {
    let mut list = Command::new("nft");
    list.args(["--stateless", "list", "ruleset"]);
    let output = netns.tool("nftables", &mut list).expect("the rules");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn killed_under_load_it_is_back_with_the_same_rules_and_no_byte_was_wrong() {
    let mut switch = Switch::new("switch").expect("a switch");
    let mut meshed = Meshed::new(&mut switch, "meshed", &[]);
    let plain = switch.attach("plain").expect("a namespace");
    let _servers = (meshed.serves(Service::Echo), servers(&plain, Service::Echo));
    let before = rules(&meshed.node.netns);
    let (inbound, outbound) = ((meshed.node.v4, PORT).into(), (std::net::IpAddr::V6(plain.v6), PORT).into());
    let (end, good) = (AtomicBool::new(false), AtomicU64::new(0));
    let text = bytes(1, 100_000);
    let load = |netns: &Netns, target| {
        as_app(netns, || {
            while !end.load(Ordering::Relaxed) {
                // While nobody listens it is refused; what was being carried is reset.
                if echo(target, &text).is_ok() {
                    good.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    };
    // A second handle, as starting the proxy again takes the first.
    let own = Netns::of_process("load", meshed.proxy.pid()).expect("the namespace");
    let carries = || {
        let before = good.load(Ordering::Relaxed);
        while good.load(Ordering::Relaxed) < before + 10 {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| load(&plain.netns, inbound));
        scope.spawn(|| load(&own, outbound));
        for _ in 0..3 {
            carries();
            meshed.proxy.signal(Signal::SIGKILL);
            assert_eq!(meshed.proxy.wait_exit(PATIENCE), Some(128 + 9));
            let began = Instant::now();
            meshed.start_again();
            println!("ready again {:?} after the kubelet started it", began.elapsed());
        }
        carries();
        end.store(true, Ordering::Relaxed);
    });
    assert_eq!(rules(&meshed.node.netns), before);
    as_app(&plain.netns, || echo(inbound, &text)).expect("inbound works");
    as_app(&meshed.node.netns, || echo(outbound, &text)).expect("outbound works");
}
