//! `/connections`: what somebody sees of connections while they last.

use std::io::Write;

use serde_json::Value;

use crate::support::{INBOUND, OUTBOUND, Proxy, Seen, eventually, next};

fn page(proxy: &Proxy, query: &str) -> Value {
    let answer = proxy.get(&proxy.addresses.administration, &format!("/connections{query}"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).expect("JSON")
}

fn rows(page: &Value) -> &Vec<Value> {
    page["connections"].as_array().unwrap()
}

#[test]
fn an_open_connection_is_shown_with_what_is_known_of_it() {
    let proxy = Proxy::start(&[]);
    assert_eq!(page(&proxy, ""), serde_json::json!({"open": 0, "connections": [], "next": null}));
    let (mut client, mut server) = proxy.pair(INBOUND);
    client.write_all(b"abc").unwrap();
    for byte in *b"abc" {
        assert_eq!(next(&server), Seen::Byte(byte));
    }
    server.write_all(b"d").unwrap();
    assert_eq!(next(&client), Seen::Byte(b'd'));
    // The worker counts what it has passed on, a moment later.
    let shown = || rows(&page(&proxy, "?direction=inbound"))[0].clone();
    eventually("its bytes", || {
        let row = shown();
        (row["bytes_received"].as_u64(), row["bytes_sent"].as_u64()) == (Some(3), Some(1))
    });
    let row = shown();
    assert_eq!((&row["direction"], &row["state"]), (&"inbound".into(), &"open".into()));
    let to_server = server.local_addr().unwrap();
    for (key, value) in [
        ("downstream_remote_address", client.local_addr().unwrap()),
        ("original_destination", to_server),
        ("upstream_host", to_server),
        ("upstream_local_address", server.peer_addr().unwrap()),
    ] {
        assert_eq!(row[key], value.to_string(), "{key}");
    }
    assert_eq!(row["upstream_cluster"], format!("inbound|{}||", to_server.port()));
    assert!(row["duration"].is_u64() && row["start_time"].is_string(), "{row}");
    assert_eq!(rows(&page(&proxy, "?direction=outbound")).len(), 0);
    let text = proxy.get(&proxy.addresses.administration, "/connections?format=text");
    assert!(text.contains("DESTINATION") && text.contains(&to_server.to_string()), "{text}");
    drop((client, server));
    eventually("its end", || page(&proxy, "")["open"] == 0);
}

#[test]
fn many_are_shown_in_pages() {
    let proxy = Proxy::start(&["--workers", "2"]);
    let pairs: Vec<_> = (0..25).map(|number| proxy.pair([INBOUND, OUTBOUND][number % 2])).collect();
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let page = page(&proxy, &format!("?limit=10&after={after}"));
        assert_eq!(page["open"], 25);
        let clients =
            rows(&page).iter().map(|row| row["downstream_remote_address"].as_str().unwrap().to_owned());
        seen.extend(clients);
        let Some(next) = page["next"].as_u64() else { break };
        after = next;
    }
    let mut clients: Vec<_> =
        pairs.iter().map(|(client, _)| client.local_addr().unwrap().to_string()).collect();
    seen.sort();
    clients.sort();
    assert_eq!(seen, clients);
    let text = proxy.get(&proxy.addresses.administration, "/connections?format=text&limit=24");
    assert!(text.contains("there are more"), "{text}");
}

#[test]
fn other_questions_are_refused_with_those_that_are_known() {
    let proxy = Proxy::start(&[]);
    for bad in ["?limit=0", "?direction=up", "?x", "?after=-1"] {
        let answer = proxy.get(&proxy.addresses.administration, &format!("/connections{bad}"));
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.contains("direction=inbound|outbound"),
            "{answer}"
        );
    }
}

#[test]
fn memory_is_shown_with_what_takes_it() {
    let proxy = Proxy::start(&["--memory-limit", "1000000000000"]);
    let _pair = proxy.pair(INBOUND);
    let answer = proxy.get(&proxy.addresses.administration, "/memory");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    let memory: Value = serde_json::from_str(body).expect("JSON");
    assert!(memory["limit"].as_u64().unwrap() <= 1_000_000_000_000, "{memory}");
    assert_eq!((&memory["connections"], &memory["short"]), (&1.into(), &false.into()));
    for key in ["used", "resident", "proportional", "anonymous", "peak"] {
        assert!(memory[key].as_u64().unwrap() > 0, "{key}: {memory}");
    }
}
