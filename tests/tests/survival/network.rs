//! Loss, delay, another order, and duplicates, each alone and all at once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tests::disturbance::{Disturbance, Faults};
use tests::meshed::{Meshed, PORT, as_app, servers};
use tests::netns::Switch;
use tests::peer::Service;
use tests::scale;

use crate::traffic::{bytes, echo};

const GOOD: Faults = Faults { loss: 0.0, late: 0.0, by: Duration::ZERO, twice: 0.0 };

const fn loss(share: f64) -> Faults {
    Faults { loss: share, ..GOOD }
}

const fn delay(milliseconds: u64) -> Faults {
    Faults { late: 1.0, by: Duration::from_millis(milliseconds), ..GOOD }
}

/// A bad network, and how many bytes each transfer has: in a soak, and else.
struct Row {
    name: &'static str,
    faults: Faults,
    whole: usize,
    part: usize,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const TABLE: [Row; 8] = [
    Row { name: "loss of 1 %", faults: loss(0.01), whole: 32 * MIB, part: 512 * KIB },
    Row { name: "loss of 5 %", faults: loss(0.05), whole: 8 * MIB, part: 256 * KIB },
    Row { name: "loss of 20 %", faults: loss(0.2), whole: MIB, part: 64 * KIB },
    Row { name: "delay of 50 ms", faults: delay(50), whole: 32 * MIB, part: 512 * KIB },
    Row { name: "delay of 200 ms", faults: delay(200), whole: 16 * MIB, part: 64 * KIB },
    Row {
        name: "another order",
        faults: Faults { late: 0.2, by: Duration::from_millis(5), ..GOOD },
        whole: 64 * MIB,
        part: MIB,
    },
    Row { name: "duplicates", faults: Faults { twice: 0.2, ..GOOD }, whole: 64 * MIB, part: MIB },
    Row {
        name: "all at once",
        faults: Faults { loss: 0.02, late: 0.2, by: Duration::from_millis(5), twice: 0.05 },
        whole: 64 * MIB,
        part: 2 * MIB,
    },
];

/// Several transfers at the same time in both directions, one family after the other.
fn costs_no_byte(faults: Faults, length: usize) {
    let mut switch = Switch::new("switch").expect("a switch");
    // Who connects tries for longer than any number of losses that ever follow one another.
    let meshed = Meshed::new(&mut switch, "meshed", &["--connect-timeout", "2m"]);
    let plain = switch.attach("plain").expect("a namespace");
    let _servers = (meshed.serves(Service::Echo), servers(&plain, Service::Echo));
    let disturbance =
        Disturbance::new(&plain.netns, &meshed.node.addresses(), faults).expect("a bad network");
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
    let counts = disturbance.counts().expect("the counts");
    println!("{counts:?}");
    let done = [counts.lost, counts.late, counts.twice].map(|count| count > 0);
    let asked = [faults.loss, faults.late, faults.twice].map(|share| share > 0.0);
    assert_eq!(done, asked, "the network was not as bad as it was to be");
}

#[test]
fn a_bad_network_costs_time_and_no_byte() {
    for Row { name, faults, whole, part } in TABLE {
        println!("{name}");
        let length = scale::of("bytes a transfer", whole, part);
        let began = Instant::now();
        costs_no_byte(faults, length);
        println!("{name}: {:?}", began.elapsed());
    }
}
