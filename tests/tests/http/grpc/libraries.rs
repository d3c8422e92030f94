//! Three libraries that know nothing of each other, each as client and as server, through two proxies and through none.

use serde_json::{Value, json};

use super::library::Library;
use super::{OF_ENDS, check_log, expected};
use crate::ways::{Way, Ways};

/// How many calls wait for each other.
pub(super) const CALLS: usize = 100;

/// Calls that a client makes.
const OF_A_ROUND: usize = CALLS + 27;

/// What is seen by a client of one library, of a server of another.
fn seen_between(client: Library, server: Library) -> Value {
    let mut expected = expected();
    let calls = expected.as_object_mut().expect("calls by their names");
    for name in OF_ENDS {
        calls.remove(name);
    }
    if client == Library::Tonic {
        // A call that was given up has no end.
        calls["cancel"] = json!(["begun", "1"]);
        calls["cancel after begin"] = json!(["1"]);
        calls["cancel after first response"] = json!(["1"]);
    }
    match server {
        Library::Grpcio => {}
        Library::Tonic => {
            // A server of tonic has no trailing metadata where a call ends well.
            calls["metadata"][2] = json!([]);
            calls["metadata of a stream"][2] = json!([]);
        }
        Library::GrpcJs => {
            for (name, path) in [("method", "Test/Missing"), ("service", "Other/Unary")] {
                let told = format!("The server does not implement the method /remora.{path}");
                calls[&format!("no such {name}")][2] = json!(told);
            }
        }
    }
    expected
}

/// Metadata has no order but that of the values of a name; and tonic, which may be the first to see that a deadline is over,
/// says that it has cancelled the call.
fn comparable(mut seen: Value, joins: bool) -> Value {
    for name in ["deadline", "asleep"] {
        if seen[name][0] == "CANCELLED" {
            seen[name][0] = json!("DEADLINE_EXCEEDED");
        }
    }
    for name in ["metadata", "metadata of a stream"] {
        for list in [1, 2] {
            let Some(list) = seen[name][list].as_array_mut() else { continue };
            list.sort_by(|one, other| one[0].as_str().cmp(&other[0].as_str()));
            if joins {
                join(list);
            }
        }
    }
    seen
}

/// Makes one pair of those that have the same name, as Node does with text.
fn join(pairs: &mut Vec<Value>) {
    pairs.dedup_by(|next, first| {
        let name = first[0].as_str().unwrap_or_default();
        let is_joined = next[0] == first[0] && !name.ends_with("-bin");
        if is_joined {
            let [first_text, next_text] = [&first[1], &next[1]].map(|text| text.as_str().expect("a text"));
            first[1] = json!(format!("{first_text}, {next_text}"));
        }
        is_joined
    });
}

#[track_caller]
fn assert_same((client, server, way): (Library, Library, Way), seen: Value) {
    let joins = [client, server].contains(&Library::GrpcJs);
    let [seen, expected] = [seen, seen_between(client, server)].map(|calls| comparable(calls, joins));
    let names = expected.as_object().expect("calls by their names").keys();
    let different: Vec<_> = names
        .filter(|name| seen[*name] != expected[*name])
        .map(|name| format!("{name}: {} and not {}", seen[name], expected[name]))
        .collect();
    assert!(different.is_empty(), "{client:?} calls {server:?} ({way:?}):\n{}", different.join("\n"));
}

#[test]
fn libraries_for_grpc_see_the_same_of_each_other() {
    let ways = Ways::new();
    for server in Library::ALL {
        let _running = server.serve(&ways);
        for client in Library::ALL {
            for way in [Way::Direct, Way::Both] {
                let seen = client.ask(&ways, way, server.port(), &["calls"]);
                assert_same((client, server, way), seen);
            }
        }
        for proxy in [&ways.client, &ways.server] {
            let seen = check_log(proxy, ways.address(server.port()), Library::ALL.len() * OF_A_ROUND);
            assert_eq!(seen.get("Together"), Some(&(Library::ALL.len() * CALLS)));
        }
    }
}
