//! A second library for gRPC: tonic calls grpcio, grpcio calls tonic, and tonic itself, through the mesh and past it.

mod client;
mod codec;
mod server;

use std::net::TcpListener;

use serde_json::{Value, json};
use tests::meshed::as_app;
use tonic::metadata::KeyAndValueRef;

use crate::grpc;
use crate::ways::{Way, Ways};
use server::Server;

/// Of tonic's server.
const PORT: u16 = 8311;

/// How many calls wait for each other.
const CALLS: usize = 100;

fn binary() -> Vec<u8> {
    (0..=255).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether metadata is that of the test.
fn is_ours(pair: &KeyAndValueRef<'_>) -> bool {
    let name = match pair {
        KeyAndValueRef::Ascii(name, _) => name.as_str(),
        KeyAndValueRef::Binary(name, _) => name.as_str(),
    };
    name.starts_with("x-") && name != "x-request-id"
}

/// What a client sees, of whatever library, of a server that is tonic's or grpcio's.
fn expected(is_served_by_tonic: bool) -> Value {
    let mut expected = grpc::expected();
    let calls = expected.as_object_mut().expect("calls by their names");
    for name in grpc::OF_ENDS {
        calls.remove(name);
    }
    if is_served_by_tonic {
        // A server of tonic has no trailing metadata where a call ends well.
        calls["metadata"][2] = json!([]);
    }
    expected
}

/// Metadata has no order but that of the values of a name; and tonic, which may be the first to see that a deadline is over,
/// says that it has cancelled the call.
fn comparable(mut seen: Value) -> Value {
    if seen["deadline"][0] == "CANCELLED" {
        seen["deadline"][0] = json!("DEADLINE_EXCEEDED");
    }
    for list in [1, 2] {
        if let Some(list) = seen["metadata"][list].as_array_mut() {
            list.sort_by(|one, other| one[0].as_str().cmp(&other[0].as_str()));
        }
    }
    seen
}

#[track_caller]
fn assert_same(way: Way, (seen, expected): (Value, Value)) {
    let (seen, expected) = (comparable(seen), comparable(expected));
    let names = expected.as_object().expect("calls by their names").keys();
    let different: Vec<_> = names
        .filter(|name| seen[*name] != expected[*name])
        .map(|name| format!("{name}: {} and not {}", seen[name], expected[name]))
        .collect();
    assert!(different.is_empty(), "{way:?}:\n{}", different.join("\n"));
}

#[test]
fn a_second_library_for_grpc_sees_the_same() {
    let ways = Ways::new();
    let listener = as_app(ways.pod(), || TcpListener::bind((Ways::ANY.ip(), PORT))).expect("a free port");
    let _tonic = Server::start(listener);
    let grpcio = grpc::serve(&ways);
    for way in [Way::Direct, Way::Inbound, Way::Both] {
        for (port, is_tonic) in [(PORT, true), (grpcio.port, false)] {
            let mut expected = expected(is_tonic);
            // A call that was given up has no end.
            expected["cancel"] = json!(["begun", "1"]);
            let seen = ways.on(way, || client::call(ways.address(port)));
            assert_same(way, (seen, expected));
        }
        let seen = grpc::call(&ways, way, ("calls", PORT));
        assert_same(way, (seen, expected(true)));
    }
    for (proxy, rounds) in [(&ways.server, 2), (&ways.client, 1)] {
        grpc::check_log(proxy, ways.address(PORT), rounds * 2 * OF_A_ROUND);
        grpc::check_log(proxy, ways.address(grpcio.port), rounds * OF_A_ROUND);
    }
}

/// Calls that a client makes.
const OF_A_ROUND: usize = CALLS + 17;
