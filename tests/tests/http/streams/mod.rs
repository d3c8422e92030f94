//! HTTP/2 with prior knowledge through the mesh and past it: the same frames are sent on each way to servers that people use, and what
//! comes of each stream is the same but for a list of differences.

mod cases;
mod client;
mod differences;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use cases::{Case, ask_all_at_once, ask_in_turn};
use client::{Got, Stream};
use conformance::frames::{NO_ERROR, REFUSED_STREAM};
use differences::DIFFERENCES;

use crate::origins::{self, Origin};
use crate::ways::{Way, Ways};

/// Requests that a server takes on a connection, and that are asked.
const FEW: u32 = 3;
const MANY: usize = 10;

fn converse(ways: &Ways, way: Way, origin: &Origin, case: &Case) -> Got {
    let target = ways.address(origin.port);
    ways.on(way, || client::converse(target, case))
}

/// What is found, and the differences that were needed.
#[derive(Default)]
struct Found {
    failures: Vec<String>,
    used: BTreeSet<usize>,
}

impl Found {
    fn compare(&mut self, ways: &Ways, origin: &Origin, case: &Case) {
        let direct = converse(ways, Way::Direct, origin, case);
        let told = |what: String| format!("{}, {}: {what}", origin.name, case.name);
        // Or nothing would be compared.
        if direct.stopped.is_some() || direct.streams.iter().any(|stream| !is_answered(stream)) {
            self.failures.push(told(format!("without a mesh: {direct:#?}")));
        }
        for way in Way::MESHED {
            match differences::between(case, &direct, &converse(ways, way, origin, case)) {
                Ok(used) => self.used.extend(used),
                Err(found) => self.failures.push(told(format!("({way:?})\n  {found}"))),
            }
        }
    }
}

fn is_answered(stream: &Stream) -> bool {
    stream.status().is_some() || stream.reset.is_some()
}

#[test]
fn streams_of_servers_that_people_use_are_the_same_through_the_mesh() {
    let ways = Ways::new();
    let origins = origins::start_http2(&ways);
    let cases = cases::all();
    let mut found = Found::default();
    for origin in &origins {
        let began = Instant::now();
        let own: Vec<_> = cases.iter().filter(|case| case.of.contains(&origin.name)).collect();
        for case in &own {
            found.compare(&ways, origin, case);
        }
        println!("{}: {} cases, {:?}", origin.name, own.len(), began.elapsed());
    }
    let Found { failures, used } = found;
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    let unused = DIFFERENCES.iter().enumerate().filter(|(number, _)| !used.contains(number));
    let unused: Vec<_> = unused.map(|(_, other)| (other.what, other.reason)).collect();
    assert!(unused.is_empty(), "nothing differs so any more: {unused:?}");
    // It was no detour, and taken for what it is.
    for meshed in [&ways.server, &ways.client] {
        assert!(meshed.metric(&["istio_requests_total{"]) >= cases.len() as u64);
    }
}

/// What is asked on connections of which each takes a few requests: all answers, and how many connections it took.
fn answers(ways: &Ways, way: Way, origin: &Origin, case: fn(&[String]) -> Case) -> (Vec<Stream>, usize) {
    let mut paths: Vec<_> = (0..MANY).map(|number| format!("/?{number}")).collect();
    let (mut answers, mut connections) = (BTreeMap::new(), 0);
    while !paths.is_empty() {
        let got = converse(ways, way, origin, &case(&paths));
        connections += 1;
        assert!(connections <= MANY, "{way:?}: {got:?}");
        assert!(got.goaway.is_none_or(|(_, code)| code == NO_ERROR), "{way:?}: {got:?}");
        // What was not taken may be asked again (RFC 9113, 8.7).
        let is_answer = |stream: &Stream| stream.has_ended() && stream.reset != Some(REFUSED_STREAM);
        let (answered, rest): (Vec<_>, Vec<_>) =
            paths.into_iter().zip(got.streams).partition(|(_, stream)| is_answer(stream));
        answers.extend(answered);
        paths = rest.into_iter().map(|(path, _)| path).collect();
    }
    (answers.into_values().collect(), connections)
}

#[test]
fn a_server_that_leaves_takes_no_client_with_it() {
    let ways = Ways::new();
    let origin = origins::start_leaving(&ways, FEW);
    for case in [ask_in_turn, ask_all_at_once] {
        let (direct, connections) = answers(&ways, Way::Direct, &origin, case);
        assert!(connections > 1, "it stays, and nothing is compared");
        for way in Way::MESHED {
            let (meshed, connections) = answers(&ways, way, &origin, case);
            println!("{way:?}: {connections} connections");
            let [direct, meshed] = [direct.clone(), meshed].map(|streams| Got { streams, ..Got::default() });
            let found = differences::between(&case(&[]), &direct, &meshed);
            assert!(found.is_ok(), "{way:?}: {found:?}");
        }
    }
    // Whoever asks in turn never hears of it.
    for way in Way::MESHED {
        assert_eq!(answers(&ways, way, &origin, ask_in_turn).1, 1, "{way:?}");
    }
}
