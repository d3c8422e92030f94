//! Loss, delay, another order, and duplicates.

use std::net::SocketAddr;
use std::time::Duration;

use tests::disturbance::{Disturbance, Faults};
use tests::meshed::{Meshed, PORT, as_app, servers};
use tests::netns::Switch;
use tests::peer::Service;
use tests::scale;

use crate::traffic::{bytes, echo};

#[test]
fn a_bad_network_costs_time_and_no_byte() {
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", &[]);
    let plain = switch.attach("plain").expect("a namespace");
    let _servers = (meshed.serves(Service::Echo), servers(&plain, Service::Echo));
    let faults = Faults { loss: 0.02, late: 0.2, by: Duration::from_millis(5), twice: 0.05 };
    let disturbance =
        Disturbance::new(&plain.netns, &meshed.node.addresses(), faults).expect("a bad network");
    let length = scale::of("bytes a transfer", 64 << 20, 2 << 20);
    for (inbound, outbound) in meshed.node.addresses().into_iter().zip(plain.addresses()) {
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (text, meshed, plain) = (bytes(number, length), &meshed.node.netns, &plain.netns);
                scope.spawn(move || {
                    let target = SocketAddr::new(inbound, PORT);
                    as_app(plain, || echo(target, &text)).expect("inbound arrives");
                    let target = SocketAddr::new(outbound, PORT);
                    as_app(meshed, || echo(target, &text)).expect("outbound arrives");
                });
            }
        });
    }
    let counts = disturbance.counts();
    println!("{counts:?}");
    assert!(counts.lost > 0 && counts.late > 0, "the network was not bad: {counts:?}");
}
