//! WebSocket between two libraries that know nothing of each other, each as client and as server, through the mesh and past
//! it. What is between HTTP and the tunnel is a matter of bytes, and among the shapes.

use serde_json::{Value, json};

use crate::client::PATIENCE;
use crate::origins::Origin;
use crate::program::{USER, own};
use crate::python;
use crate::ways::{Way, Ways};

const SCRIPT: (&str, &str) = ("websocket.py", include_str!("apps/websocket.py"));

/// Each with a port for its server.
const LIBRARIES: [(&str, u16); 2] = [("websockets", 8201), ("wsproto", 8202)];

/// Of a client: messages as the lengths of the fragments that came back, and what closed the connections.
fn expected() -> Value {
    json!([
        ["subprotocol", "echo"],
        ["text", [7]],
        ["nothing", [0]],
        ["binary", [256]],
        ["fragments of text", [5, 5, 5]],
        ["fragments of bytes", [1, 4, 16]],
        ["1 MB", [1_048_576]],
        ["1 MB of fragments", [300_000, 748_576]],
        ["pong", true],
        ["ping", ["there"]],
        ["closed by the client", [4001, "good bye"]],
        ["closed by the server", [4002, "asked for"]],
    ])
}

/// What a client of this library saw.
fn call(ways: &Ways, way: Way, library: &str, port: u16) -> Value {
    let address = ways.address(port);
    let (host, port) = (address.ip().to_string(), port.to_string());
    let program = python::program("client", SCRIPT, &[&own(SCRIPT.0), library, "call", &host, &port]);
    // Whom the rules leave alone, or not.
    let user = if way == Way::Direct { api::pod::PROXY_UID } else { USER };
    let running = program.start(ways.netns(way), user);
    let code = running.process.wait_exit(3 * PATIENCE);
    let progress = running.process.progress();
    assert_eq!(code, Some(0), "{library} at {port} ({way:?}):\n{progress}");
    serde_json::from_str(&progress.stdout).expect("a line of JSON")
}

#[test]
fn two_libraries_speak_it_with_each_other_through_the_mesh() {
    let ways = Ways::new();
    let servers = LIBRARIES.map(|(library, port)| {
        let arguments = [&own(SCRIPT.0), library, "serve", &port.to_string()];
        Origin::start(&ways, port, python::program(library, SCRIPT, &arguments))
    });
    for server in &servers {
        server.wait_until_it_listens(&ways);
        for (client, _) in LIBRARIES {
            for way in [Way::Direct, Way::Inbound, Way::Both] {
                let seen = call(&ways, way, client, server.port);
                assert_eq!(seen, expected(), "{client} calls {} ({way:?})", server.name);
            }
        }
        // What the clients closed with has come to it, too.
        server.wait_until_it_has_written("closed with (4001, 'good bye')");
    }
}
