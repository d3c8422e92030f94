//! WebSocket between three libraries that know nothing of each other, each as client and as server, through the mesh and past
//! it. What is between HTTP and the tunnel is a matter of bytes, and among the shapes.

use std::path::Path;

use serde_json::{Value, json};

use crate::client::PATIENCE;
use crate::origins::Origin;
use crate::program::{Program, USER, own, words};
use crate::python;
use crate::ways::{Way, Ways};

const SCRIPT: (&str, &str) = ("websocket.py", include_str!("apps/websocket.py"));
const NODE_SCRIPT: (&str, &str) = ("websocket.js", include_str!("apps/websocket.js"));

/// Each with a port for its server.
const LIBRARIES: [(Library, u16); 3] =
    [(Library::Websockets, 8201), (Library::Wsproto, 8202), (Library::Ws, 8203)];

/// Where Debian puts the last one.
const WS: &str = "/usr/share/nodejs/ws";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Library {
    Websockets,
    Wsproto,
    /// Of Node, which does not tell in which fragments a message came.
    Ws,
}

impl Library {
    fn program(self, role: &'static str, arguments: &[&str]) -> Program {
        match self {
            Self::Websockets => {
                python::program(role, SCRIPT, &[&[&own(SCRIPT.0), "websockets"], arguments].concat())
            }
            Self::Wsproto => {
                python::program(role, SCRIPT, &[&[&own(SCRIPT.0), "wsproto"], arguments].concat())
            }
            Self::Ws => Program {
                name: role,
                package: "node-ws",
                files: vec![(NODE_SCRIPT.0, NODE_SCRIPT.1.to_owned())],
                arguments: words([&["/usr/bin/node", &own(NODE_SCRIPT.0)], arguments].concat()),
                mounts: Vec::new(),
            },
        }
    }
}

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
fn call(ways: &Ways, way: Way, library: Library, port: u16) -> Value {
    let address = ways.address(port);
    let (host, port) = (address.ip().to_string(), port.to_string());
    let program = library.program("client", &["call", &host, &port]);
    // Whom the rules leave alone, or not.
    let user = if way == Way::Direct { api::pod::PROXY_UID } else { USER };
    let running = program.start(ways.netns(way), user);
    let code = running.process.wait_exit(3 * PATIENCE);
    let progress = running.process.progress();
    assert_eq!(code, Some(0), "{library:?} at {port} ({way:?}):\n{progress}");
    serde_json::from_str(&progress.stdout).expect("a line of JSON")
}

/// With the lengths of whole messages in the place of those of fragments.
fn without_fragments(mut seen: Value) -> Value {
    for entry in seen.as_array_mut().into_iter().flatten() {
        let lengths = entry[1].as_array().into_iter().flatten().map(Value::as_u64);
        if let Some(sum) = lengths.sum::<Option<u64>>()
            && entry[1].is_array()
        {
            entry[1] = json!([sum]);
        }
    }
    seen
}

#[test]
fn libraries_speak_it_with_each_other_through_the_mesh() {
    assert!(Path::new(WS).exists(), "{WS} is missing: install Debian's package node-ws");
    let ways = Ways::new();
    let servers = LIBRARIES.map(|(library, port)| {
        let program = library.program("server", &["serve", &port.to_string()]);
        (library, Origin::start(&ways, port, program))
    });
    for (library, server) in &servers {
        server.wait_until_it_listens(&ways);
        for (client, _) in LIBRARIES {
            for way in [Way::Direct, Way::Inbound, Way::Both] {
                let mut pair = (call(&ways, way, client, server.port), expected());
                if [client, *library].contains(&Library::Ws) {
                    pair = (without_fragments(pair.0), without_fragments(pair.1));
                }
                assert_eq!(pair.0, pair.1, "{client:?} calls {library:?} ({way:?})");
            }
        }
        // What the clients closed with has come to it, too.
        server.wait_until_it_has_written("closed with (4001, 'good bye')");
    }
}
