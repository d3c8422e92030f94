//! Calls one after the other, for long: on one connection, and each on one of its own.

use serde_json::json;
use tests::scale;

use super::check_log;
use super::library::Library;
use crate::ways::{Way, Ways};

#[test]
fn calls_are_answered_one_after_the_other_and_each_on_its_connection() {
    let calls = scale::of("calls on a connection, of each library with each", 1_000_usize, 50);
    let connections = scale::of("connections with a call, of each library with each", 500_usize, 20);
    let ways = Ways::new();
    for server in Library::ALL {
        let _running = server.serve(&ways);
        for client in Library::ALL {
            let counts = [calls, connections].map(|count| count.to_string());
            let asked = ["soak", &counts[0], &counts[1]];
            let seen = client.ask(&ways, Way::Both, server.port(), &asked);
            let expected = json!({ "rpc soak": calls, "channel soak": connections });
            assert_eq!(seen, expected, "{client:?} calls {server:?}");
        }
        for proxy in [&ways.client, &ways.server] {
            let count = Library::ALL.len() * (calls + connections);
            let seen = check_log(proxy, ways.address(server.port()), count);
            assert_eq!(seen.into_iter().collect::<Vec<_>>(), [("Unary".to_owned(), count)]);
        }
    }
}
