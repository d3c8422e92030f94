//! init-redirect and proxy, the real programs, in pods' namespaces: applications that know nothing of a mesh talk, and what
//! they see, what the proxies log and what they count is what a user would expect. Each path is taken in both families.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::exec::Progress;
use tests::meshed::{Meshed, PATIENCE, PORT, as_app, servers};
use tests::netns::Switch;
use tests::peer::{self, Exchange, Service};
use tests::{binaries, tool};

/// The connection was made and then reset; refused would be another error. The client may see it when it ends its side.
fn assert_reset(exchange: &Exchange) {
    let error = exchange.error.as_deref();
    assert!(exchange.received.is_empty(), "{exchange:?}");
    assert!(matches!(error, Some("ConnectionReset" | "NotConnected")), "{exchange:?}");
}

fn ip(line: &Value, key: &str) -> IpAddr {
    let address: SocketAddr = line[key].as_str().expect("an address").parse().expect("an address");
    address.ip()
}

#[test]
fn meshed_to_meshed_is_carried_logged_and_counted_at_both_ends() {
    let mut switch = Switch::new("switch").expect("a switch");
    let [client, server] = ["client", "server"].map(|label| Meshed::new(&mut switch, label, &[]));
    let _servers = server.serves(Service::Landing);
    for (from, to) in client.node.addresses().into_iter().zip(server.node.addresses()) {
        let target = SocketAddr::new(to, PORT);
        let landing = client.calls(target).landing().expect("the application answers");
        let source: IpAddr =
            if to.is_ipv4() { Ipv4Addr::new(127, 0, 0, 6).into() } else { Ipv6Addr::from(6_u128).into() };
        assert_eq!((landing.peer.ip(), landing.local), (source, target));

        let line = &client.log(target, 1)[0];
        assert_eq!(
            (line["reporter"].as_str(), ip(line, "downstream_remote_address")),
            (Some("source"), from)
        );
        assert_eq!(
            (&line["upstream_host"], ip(line, "upstream_local_address")),
            (&target.to_string().into(), from)
        );
        assert_eq!(line["upstream_cluster"], "PassthroughCluster");
        let line = &server.log(target, 1)[0];
        assert_eq!(
            (line["reporter"].as_str(), ip(line, "downstream_remote_address")),
            (Some("destination"), from)
        );
        assert_eq!(ip(line, "upstream_local_address"), source);
        assert_eq!(line["upstream_cluster"], format!("inbound|{PORT}||"));
        assert!(line["bytes_sent"].as_u64() > Some(0) && line["response_flags"] == "-", "{line}");
    }
    for (pod, reporter) in [(&client, "source"), (&server, "destination")] {
        let workload = format!("{reporter}_workload=\"{}\"", pod.node.netns.name());
        let labels = [&format!("reporter=\"{reporter}\""), workload.as_str()];
        for name in ["opened", "closed"] {
            assert_eq!(
                pod.metric(&[&format!("istio_tcp_connections_{name}_total{{"), labels[0], labels[1]]),
                2
            );
        }
        assert!(pod.metric(&["istio_tcp_sent_bytes_total{", labels[0], labels[1]]) > 0);
    }
}

#[test]
fn where_lo_lacks_them_ipv6_applications_see_the_pods_address() {
    let mut switch = Switch::new("switch").expect("a switch");
    let node = switch.attach("server").expect("a namespace");
    let mut init = Command::new(binaries::init_redirect().expect("the program"));
    assert!(node.netns.output(init.env_clear()).expect("the program runs").status.success());
    for last in api::pod::INBOUND_SOURCES {
        node.netns.ip(&[&format!("-6 addr del ::{last:x}/128 dev lo")]).expect("an address");
    }
    let server = Meshed::with_proxy(node, &[]);
    let _servers = server.serves(Service::Landing);
    let target = SocketAddr::new(server.node.v6.into(), PORT);
    let exchange = switch.netns().run(|| peer::call(target, b"")).expect("the namespace");
    assert_eq!(exchange.landing().expect("an answer").peer.ip(), IpAddr::from(server.node.v6));
}

#[test]
fn meshed_and_unmeshed_reach_each_other() {
    let mut switch = Switch::new("switch").expect("a switch");
    let (meshed, plain) =
        (Meshed::new(&mut switch, "meshed", &[]), switch.attach("plain").expect("a namespace"));
    let _servers = (meshed.serves(Service::Landing), servers(&plain, Service::Landing));
    for (meshed_ip, plain_ip) in meshed.node.addresses().into_iter().zip(plain.addresses()) {
        let target = SocketAddr::new(plain_ip, PORT);
        let landing = meshed.calls(target).landing().expect("an answer");
        assert_eq!((landing.peer.ip(), meshed.log(target, 1).len()), (meshed_ip, 1));
        let target = SocketAddr::new(meshed_ip, PORT);
        let exchange = as_app(&plain.netns, || peer::call(target, b""));
        assert!(exchange.landing().is_ok(), "{exchange:?}");
        assert_eq!(meshed.log(target, 1).len(), 1);
        // Loopback is never captured, so this is no connection of the proxy's.
        assert!(meshed.calls(target).landing().is_ok());
        assert_eq!(meshed.log(target, 1).len(), 1);
    }
}

#[test]
fn a_megabyte_and_a_half_close_go_through_two_proxies() {
    let mut switch = Switch::new("switch").expect("a switch");
    let [client, server] = ["client", "server"].map(|label| Meshed::new(&mut switch, label, &[]));
    let _servers = server.serves(Service::Echo);
    let text: String = (0..100_000).map(|number| format!("line {number}\n")).collect();
    for to in server.node.addresses() {
        let target = SocketAddr::new(to, PORT);
        let back = as_app(&client.node.netns, || echoed(target, &text));
        assert!(back == text, "{} of {} bytes came back", back.len(), text.len());
        for pod in [&client, &server] {
            let line = &pod.log(target, 1)[0];
            assert_eq!(
                (&line["bytes_received"], &line["bytes_sent"]),
                (&text.len().into(), &text.len().into())
            );
        }
    }
}

/// Sends and reads at once, since an echo server does not buffer; the end is sent before the last byte is read.
fn echoed(target: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE).expect("a connection");
    let mut sender = stream.try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::io::Write::write_all(&mut sender, text.as_bytes()).expect("everything is taken");
            sender.shutdown(std::net::Shutdown::Write).expect("FIN");
        });
        let mut back = String::new();
        stream.read_to_string(&mut back).expect("a clean end");
        back
    })
}

#[test]
fn a_closed_port_is_a_reset_through_two_proxies() {
    let mut switch = Switch::new("switch").expect("a switch");
    let [client, server] = ["client", "server"].map(|label| Meshed::new(&mut switch, label, &[]));
    for to in server.node.addresses() {
        let target = SocketAddr::new(to, PORT);
        assert_reset(&client.calls(target));
        assert_eq!(server.log(target, 1)[0]["response_flags"], "UF,URX");
        assert!(["UC", "UF,URX"].map(Value::from).contains(&client.log(target, 1)[0]["response_flags"]));
    }
}

#[test]
fn readiness_through_capture_proves_the_rules() {
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", &[]);
    let bare = Meshed::with_proxy(switch.attach("bare").expect("a namespace"), &[]);
    let probe = |address, port| {
        let target = SocketAddr::new(address, port);
        switch
            .netns()
            .run(|| peer::http_get(target, api::control::READY_PATH, PATIENCE))
            .expect("the namespace")
    };
    for address in meshed.node.addresses() {
        for port in [api::ports::READINESS_CAPTURED, api::ports::READINESS] {
            let (status, body) = probe(address, port).expect("an answer");
            assert_eq!((status, body.as_str()), (200, "ready\n"), "{address} {port}");
        }
    }
    for address in bare.node.addresses() {
        assert_eq!(probe(address, api::ports::READINESS).expect("an answer").0, 200);
        assert!(probe(address, api::ports::READINESS_CAPTURED).is_err(), "nobody listens there");
    }
    assert_eq!(meshed.metric(&["istio_tcp_connections_opened_total{", "destination"]), 0);
    assert!(meshed.proxy.progress().stdout.is_empty(), "a probe is no connection");
}

#[test]
fn calls_to_the_proxys_own_ports_are_reset_by_the_rules() {
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", &[]);
    for port in api::ports::LISTENERS {
        for address in meshed.node.addresses() {
            let target = SocketAddr::new(address, port);
            let exchange = switch.netns().run(|| peer::call(target, b"")).expect("the namespace");
            assert_eq!(exchange.error.as_deref(), Some("ConnectionRefused"), "from outside to {target}");
        }
        for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let target = SocketAddr::new(address, port);
            assert_eq!(
                meshed.calls(target).error.as_deref(),
                Some("ConnectionRefused"),
                "from inside to {target}"
            );
        }
    }
    assert_eq!(meshed.metric(&["remora_refused_connections_total{"]), 0, "they do not reach the proxy");
}

#[test]
fn where_rules_let_them_through_the_proxy_refuses_them_itself() {
    let mut switch = Switch::new("switch").expect("a switch");
    let node = switch.attach("odd").expect("a namespace");
    // Rules that nobody should have: what the proxy may not carry is sent to it.
    for rule in [
        "add table inet odd",
        "add chain inet odd in { type nat hook prerouting priority -100 ; }",
        "add rule inet odd in tcp dport { 15000, 15001, 8080 } redirect to :15006",
    ] {
        let nft = node.netns.run(|| tool::run("nftables", Command::new("nft").arg(rule)));
        nft.expect("the namespace").expect("the rule");
    }
    let odd = Meshed::with_proxy(node, &[]);
    let _servers = odd.serves(Service::Landing);
    for (round, address) in (1..).zip(odd.node.addresses()) {
        for (port, reason) in [(15006, "direct"), (15001, "loop"), (15000, "own_port")] {
            let target = SocketAddr::new(address, port);
            let exchange = switch.netns().run(|| peer::call(target, b"")).expect("the namespace");
            assert_reset(&exchange);
            let labels = ["direction=\"inbound\"", &format!("reason=\"{reason}\"")];
            assert_eq!(
                odd.metric(&["remora_refused_connections_total{", labels[0], labels[1]]),
                round,
                "{target}"
            );
        }
        let target = SocketAddr::new(address, PORT);
        let exchange = switch.netns().run(|| peer::call(target, b"")).expect("the namespace");
        assert!(exchange.landing().is_ok(), "the control: {exchange:?}");
    }
}

#[test]
fn a_drain_closes_inbound_alone_and_the_signal_ends_the_proxy() {
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", &["--drain-delay", "0s"]);
    let plain = switch.attach("plain").expect("a namespace");
    let _servers = (meshed.serves(Service::Landing), servers(&plain, Service::Landing));
    let target = SocketAddr::new(meshed.node.v4.into(), PORT);
    let from_outside = || as_app(&plain.netns, || peer::call(target, b""));
    assert!(from_outside().landing().is_ok());
    meshed.drain();
    let closed = |progress: &Progress| progress.stderr.contains("listeners close").then_some(());
    meshed.proxy.wait_for("inbound closes", PATIENCE, closed).expect("the log says so");
    assert_eq!(from_outside().error.as_deref(), Some("ConnectionRefused"));
    let outside = SocketAddr::new(plain.v4.into(), PORT);
    assert!(meshed.calls(outside).landing().is_ok(), "outbound stays");
    meshed.proxy.signal(Signal::SIGTERM);
    assert_eq!(meshed.proxy.wait_exit(PATIENCE), Some(0));
    let end = meshed.proxy.progress();
    assert!(end.stderr.contains("exit=Idle"), "{end}");
    assert_eq!(end.stdout.lines().count(), 2, "every line was written before the end: {end}");
    assert!(!meshed.directory.path().join("state/proxy.sock").exists(), "its socket is gone");
}

#[test]
fn a_killed_proxy_resets_what_it_carried() {
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", &[]);
    let plain = switch.attach("plain").expect("a namespace");
    let _servers = servers(&plain, Service::Echo);
    let target = SocketAddr::new(plain.v4.into(), PORT);
    let mut open =
        as_app(&meshed.node.netns, || TcpStream::connect_timeout(&target, PATIENCE)).expect("a connection");
    open.set_read_timeout(Some(PATIENCE)).expect("the option");
    std::io::Write::write_all(&mut open, b"x").expect("a byte goes");
    open.read_exact(&mut [0]).expect("and comes back");
    meshed.proxy.signal(Signal::SIGKILL);
    let error = open.read(&mut [0]).expect_err("a truncation must not look like an end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn out_of_descriptors_it_neither_ends_nor_spins_and_comes_back() {
    const FLOOD: u64 = 100;
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", &[]);
    let _servers = meshed.serves(Service::Echo);
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--nofile=64:64", "--pid", &meshed.proxy.pid().to_string()]);
    prlimit.uid(api::pod::PROXY_UID).gid(api::pod::PROXY_GID);
    tool::run("util-linux", &mut prlimit).expect("the limit");
    let target = SocketAddr::new(meshed.node.v4.into(), PORT);
    let flood = switch.netns().run(|| {
        // Whoever comes when no descriptor is left is reset, perhaps before connect(2) has returned.
        let connect = |_| match TcpStream::connect_timeout(&target, PATIENCE) {
            Ok(stream) => Some(stream),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("neither accepted nor reset: {error}"),
        };
        (0..FLOOD).map(connect).collect::<Vec<_>>()
    });
    let short = |progress: &Progress| progress.stderr.contains("could not be accepted").then_some(());
    meshed.proxy.wait_for("descriptors run out", PATIENCE, short).expect("the log says so");
    drop(flood.expect("the namespace"));
    // What had been waiting in the listener is accepted first, all at once, and may use the descriptors up again.
    let answered = |_: &u32| {
        let exchange = switch.netns().run(|| peer::call(target, b"still there")).expect("the namespace");
        exchange.received == "still there"
    };
    assert!((0..20).any(|attempt| answered(&attempt)), "{}", meshed.proxy.progress());
    let errors = meshed.metric(&["remora_accept_errors_total{", "inbound"]);
    let turned_away =
        meshed.metric(&["remora_refused_connections_total{", "inbound", "reason=\"descriptors\""]);
    assert!(turned_away > 0, "nobody was reset with the spare descriptor");
    // Each that is turned away costs one failed accept; a proxy that spins would have thousands.
    assert!((1..2 * FLOOD).contains(&errors), "{errors} failed accepts: it waits in between");
}
