//! Connections to what a directory of files describes: Services and their endpoints, hosts outside, what is forbidden, and
//! this pod itself. Endpoints are listeners on loopback.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Mutex;

use proxy::app::Event;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::support::{INBOUND, OUTBOUND, Proxy, Seen, THIS_POD, accept, eventually, next, scale};

pub(crate) const HEAD: &str = "apiVersion: remora.dev/v1alpha1\n";

/// The address at which the Service `web` is called.
pub(crate) const WEB: &str = "192.0.2.10:80";

/// A directory, and a proxy that looks at it all the time.
pub(crate) struct Mesh {
    pub(crate) proxy: Proxy,
    directory: tempfile::TempDir,
}

impl Mesh {
    pub(crate) fn start(text: &str) -> Self {
        Self::with(text, &[])
    }

    pub(crate) fn with(text: &str, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("mesh.yaml"), text).unwrap();
        let path = directory.path().to_str().unwrap().to_owned();
        let ours = ["--discovery-directory", &path, "--discovery-interval", "1ms"];
        let mesh = Self { proxy: Proxy::start(&[&ours, options].concat()), directory };
        // The proxy reads the files in its own thread, after it has bound its ports.
        assert_eq!(mesh.generation(), 1);
        mesh
    }

    /// Replaces the file at once, and waits until `generation` is in force.
    pub(crate) fn change(&self, text: &str) {
        let next = self.generation() + 1;
        self.put("mesh.yaml", text);
        eventually("the change is in force", || self.generation() >= next);
    }

    /// A thousand changes, each of which is in force before the next one is made.
    pub(crate) fn change_often(&self, service: impl Fn(&[String]) -> String, endpoints: &[String]) {
        const CHANGES: usize = 1000;
        for change in 0..CHANGES {
            // Another one is there each time, none of those that are in use now and then, and sometimes nothing good.
            let mut fields: Vec<_> = endpoints.iter().skip(change % 5).cloned().collect();
            fields.push(format!("addresses: [127.0.9.{}], ready: {}", 1 + change % 200, change % 2 == 0));
            self.change(&service(&fields));
        }
        assert_eq!(self.proxy.metric(&["remora_discovery_reloads_total{", "applied"]), CHANGES as u64);
    }

    /// The file is there from one moment to the next, and never half.
    fn put(&self, name: &str, text: &str) {
        let at = |name: &str| -> PathBuf { self.directory.path().join(name) };
        fs::write(at("new"), text).unwrap();
        fs::rename(at("new"), at(name)).unwrap();
    }

    fn generation(&self) -> u64 {
        self.proxy.metric(&["remora_discovery_generation "])
    }

    pub(crate) fn connect(&self, to: &str) -> TcpStream {
        self.proxy.connect(OUTBOUND, to.parse().unwrap())
    }

    pub(crate) fn stop(self) -> Vec<Value> {
        self.proxy.stop()
    }
}

/// The Service `web` with endpoints that have the given fields besides their ports.
pub(crate) fn web(endpoints: &[String]) -> String {
    let list: String = endpoints.iter().map(|endpoint| format!("- {{{endpoint}}}\n")).collect();
    let endpoints =
        if list.is_empty() { "endpoints: []\n".to_owned() } else { format!("endpoints:\n{list}") };
    format!(
        "{HEAD}kind: Service\nname: web\nnamespace: shop\naddresses: [192.0.2.10]\n\
         ports: [{{name: tcp, port: 80}}]\n{endpoints}"
    )
}

/// An endpoint at a loopback address; several cannot have the same one.
pub(crate) fn endpoint(address: SocketAddr) -> String {
    format!("addresses: [{}], ports: {{tcp: {}}}", address.ip(), address.port())
}

/// A workload of this name.
pub(crate) fn workload(name: &str, address: IpAddr) -> String {
    format!("{HEAD}kind: Workload\nname: {name}\nnamespace: shop\naddresses: [{address}]\nworkload: {name}\n")
}

/// Listeners at different loopback addresses.
pub(crate) fn listeners(count: u8) -> Vec<TcpListener> {
    let listen = |last| TcpListener::bind((IpAddr::from([127, 0, 2, last]), 0)).unwrap();
    (1..=count).map(listen).collect()
}

pub(crate) fn endpoints(listeners: &[TcpListener]) -> Vec<String> {
    listeners.iter().map(|listener| endpoint(listener.local_addr().unwrap())).collect()
}

/// A loopback address where nobody listens, nor will: the socket has the port, and another test's proxy cannot be given it.
fn dead(last: u8) -> String {
    static TAKEN: Mutex<Vec<Socket>> = Mutex::new(Vec::new());
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 3, last], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    TAKEN.lock().unwrap().push(socket);
    endpoint(address)
}

/// Passes a byte through; the server has one of `listeners`.
pub(crate) fn exchange(client: &mut TcpStream, listeners: &[TcpListener]) -> (usize, TcpStream) {
    client.write_all(b"x").unwrap();
    let (index, server) = accept_one(listeners);
    assert_eq!(next(&server), Seen::Byte(b'x'));
    (index, server)
}

/// The next connection of one of `listeners`, and of which.
fn accept_one(listeners: &[TcpListener]) -> (usize, TcpStream) {
    for listener in listeners {
        listener.set_nonblocking(true).unwrap();
    }
    let mut found = None;
    eventually("an endpoint gets the connection", || {
        let accepted = listeners.iter().map(TcpListener::accept).enumerate();
        found = accepted.filter_map(|(index, accepted)| Some((index, accepted.ok()?.0))).next();
        found.is_some()
    });
    let (index, server) = found.unwrap();
    server.set_nonblocking(false).unwrap();
    (index, crate::support::patient(server))
}

#[test]
fn connections_are_divided_among_the_endpoints_that_are_ready() {
    let listeners = listeners(4);
    let mut fields = endpoints(&listeners);
    fields[3].push_str(", ready: false");
    let mesh = Mesh::start(&web(&fields));
    let (mut open, mut counts) = (Vec::new(), BTreeMap::<usize, usize>::new());
    for _ in 0..60 {
        let mut client = mesh.connect(WEB);
        let (index, server) = exchange(&mut client, &listeners);
        *counts.entry(index).or_default() += 1;
        open.push((client, server));
    }
    // Two choices by load: open connections differ by a few at most, and the one that is not ready has none.
    assert!(counts.len() == 3 && counts.values().all(|count| (14..=26).contains(count)), "{counts:?}");
    drop(open);
    for line in mesh.stop() {
        assert_eq!(line["upstream_cluster"], "outbound|80||web.shop.svc.cluster.local");
        assert_eq!(line["original_destination"], WEB);
        assert!(line["upstream_host"].as_str().unwrap().starts_with("127.0.2."), "{line}");
    }
}

#[test]
fn a_dead_endpoint_loses_no_connection() {
    let listeners = listeners(1);
    let mesh = Mesh::start(&web(&[endpoints(&listeners), vec![dead(1), dead(2)]].concat()));
    for _ in 0..40 {
        let mut client = mesh.connect(WEB);
        exchange(&mut client, &listeners);
    }
    assert!(mesh.proxy.metric(&["remora_connect_retries_total"]) > 0, "the dead ones were tried");
    let lines = mesh.stop();
    assert!(lines.len() == 40 && lines.iter().all(|line| line["upstream_host"] != Value::Null), "{lines:?}");
}

#[test]
fn attempts_are_bounded_and_no_endpoint_is_tried_twice() {
    for (count, attempts, retries) in [(4, "3", 2), (4, "1", 0), (2, "3", 1)] {
        let fields: Vec<_> = (1..=count).map(dead).collect();
        let mesh = Mesh::with(&web(&fields), &["--connect-attempts", attempts]);
        assert_eq!(next(&mesh.connect(WEB)), Seen::Reset);
        eventually("the line", || mesh.proxy.log.lines().len() == 1);
        assert_eq!(mesh.proxy.metric(&["remora_connect_retries_total"]), retries, "{count} {attempts}");
        let line = &mesh.stop()[0];
        assert_eq!(line["response_flags"], "UF,URX", "{line}");
        assert_eq!(line["upstream_transport_failure_reason"], "connection refused", "{line}");
        assert_eq!(line["upstream_cluster"], "outbound|80||web.shop.svc.cluster.local");
    }
}

#[test]
fn a_service_without_ready_endpoints_resets_and_says_so() {
    let unready = format!("{}, ready: false", endpoint("127.0.2.1:9".parse().unwrap()));
    for fields in [vec![], vec![unready]] {
        let mesh = Mesh::start(&web(&fields));
        assert_eq!(next(&mesh.connect(WEB)), Seen::Reset);
        let line = &mesh.stop()[0];
        assert_eq!((&line["response_flags"], &line["upstream_host"]), (&"UH".into(), &Value::Null));
        assert_eq!(line["upstream_cluster"], "outbound|80||web.shop.svc.cluster.local");
    }
}

#[test]
fn an_endpoint_that_is_our_own_listener_is_no_loop() {
    let [inbound, outbound] = [(); 2].map(|()| crate::support::unused_port().to_string());
    let mesh = Mesh::with(&web(&[]), &["--inbound-port", &inbound, "--outbound-port", &outbound]);
    for own in [mesh.proxy.port(OUTBOUND), mesh.proxy.port(INBOUND)] {
        mesh.change(&web(&[endpoint(own)]));
        assert_eq!(next(&mesh.connect(WEB)), Seen::Reset, "{own}");
    }
    let loops = ["remora_refused_connections_total{", "direction=\"outbound\"", "reason=\"loop\""];
    assert_eq!(mesh.proxy.metric(&loops), 2);
    assert_eq!(mesh.stop().len(), 2, "each came in once");
}

#[test]
fn forbidden_is_reset_logged_and_counted() {
    let mesh = Mesh::start(&format!("{HEAD}kind: Forbidden\nname: metadata\naddresses: [127.0.4.0/24]\n"));
    let listener = TcpListener::bind("127.0.4.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    assert_eq!(next(&mesh.connect(&to.to_string())), Seen::Reset);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came");
    eventually("the line", || mesh.proxy.log.lines().len() == 1);
    let refused = ["remora_refused_connections_total{", "outbound", "reason=\"forbidden\""];
    assert_eq!(mesh.proxy.metric(&refused), 1);
    let closed = ["istio_tcp_connections_closed_total{", "\"BlackHoleCluster\"", "response_flags=\"UH\""];
    assert_eq!(mesh.proxy.metric(&closed), 1);
    let line = &mesh.stop()[0];
    assert_eq!(
        (&line["upstream_cluster"], &line["response_flags"]),
        (&"BlackHoleCluster".into(), &"UH".into())
    );
    assert_eq!(line["connection_termination_details"], "forbidden by metadata");
}

#[test]
fn hosts_outside_and_the_unknown_are_dialed_as_the_client_asked() {
    let mesh = Mesh::start(&format!(
        "{HEAD}kind: External\nname: api\nnamespace: out\nhost: api.example.com\naddresses: [127.0.2.0/24]\n"
    ));
    let known = listeners(1);
    let unknown = TcpListener::bind("127.0.5.1:0").unwrap();
    for listener in [&known[0], &unknown] {
        let mut client = mesh.connect(&listener.local_addr().unwrap().to_string());
        client.write_all(b"x").unwrap();
        assert_eq!(next(&accept(listener)), Seen::Byte(b'x'));
    }
    let opened = [
        "istio_tcp_connections_opened_total{",
        "destination_service=\"api.example.com\"",
        "destination_service_name=\"api.example.com\"",
        "destination_service_namespace=\"out\"",
    ];
    assert_eq!(mesh.proxy.metric(&opened), 1);
    let port = known[0].local_addr().unwrap().port();
    let mut clusters: Vec<_> = mesh.stop().iter().map(|line| line["upstream_cluster"].to_string()).collect();
    clusters.sort();
    assert_eq!(
        clusters,
        ["\"PassthroughCluster\"".to_owned(), format!("\"outbound|{port}||api.example.com\"")]
    );
}

#[test]
fn workloads_beyond_the_limit_are_counted_together() {
    let listeners = listeners(3);
    let workload = |number| {
        format!(
            "{HEAD}kind: Workload\nname: web-{number}\nnamespace: shop\naddresses: [127.0.2.{number}]\n---\n"
        )
    };
    let mesh = Mesh::with(&[1, 2, 3].map(workload).concat(), &["--max-edges", "2"]);
    for listener in listeners.iter().cycle().take(6) {
        exchange(&mut mesh.connect(&listener.local_addr().unwrap().to_string()), &listeners);
    }
    let opened = |workload: &str| {
        let workload = format!("destination_workload=\"{workload}\"");
        mesh.proxy.metric(&["istio_tcp_connections_opened_total{", "reporter=\"source\"", &workload])
    };
    assert_eq!(["web-1", "web-2", "web-3", "unknown"].map(opened), [2, 2, 0, 2]);
    assert_eq!(mesh.proxy.metric(&["remora_unnamed_edges_total{", "outbound"]), 1);
}

#[test]
fn a_call_of_the_pod_to_itself_goes_on_in_the_inbound_story() {
    let own = TcpListener::bind((THIS_POD, 0)).unwrap();
    let to = own.local_addr().unwrap();
    let mesh = Mesh::start(&web(&[endpoint(to)]));
    for (round, target) in (1..).zip([WEB.to_owned(), to.to_string()]) {
        let mut client = mesh.connect(&target);
        client.write_all(b"hello").unwrap();
        let mut server = accept(&own);
        assert_eq!(server.peer_addr().unwrap().ip().to_string(), "127.0.0.6", "as from outside");
        assert_eq!(next(&server), Seen::Byte(b'h'));
        server.write_all(b"you").unwrap();
        assert_eq!(next(&client), Seen::Byte(b'y'));
        for direction in ["inbound", "outbound"] {
            let open = format!("direction=\"{direction}\"");
            assert_eq!(mesh.proxy.metric(&["remora_open_connections{", &open]), 1);
        }
        assert_eq!(mesh.proxy.metric(&["remora_open_self_calls "]), 1, "and one connection");
        crate::support::reset(client);
        eventually("both end", || mesh.proxy.log.lines().len() == 2 * round);
        eventually("no call", || mesh.proxy.metric(&["remora_open_self_calls "]) == 0);
    }
    let lines = mesh.stop();
    assert_eq!(lines.len(), 4, "one account in each direction: {lines:?}");
    for reporter in ["source", "destination"] {
        let ours: Vec<_> = lines.iter().filter(|line| line["reporter"] == reporter).collect();
        assert_eq!(ours.len(), 2, "{lines:?}");
        for line in ours {
            assert_eq!((&line["bytes_received"], &line["bytes_sent"]), (&5.into(), &3.into()), "{line}");
            assert_eq!(
                (&line["upstream_host"], &line["response_flags"]),
                (&to.to_string().into(), &"DC".into())
            );
        }
    }
    assert!(lines.iter().any(|line| line["upstream_cluster"] == format!("inbound|{}||", to.port())));
}

#[test]
fn inbounds_rules_hold_for_a_call_to_itself() {
    // The port for administration is closed to everybody but loopback, so to the pod's own address too.
    let mesh = Mesh::start(&web(&[]));
    let admin = crate::support::unused_port().to_string();
    let closed = Mesh::with(&web(&[]), &["--admin-port", &admin]);
    let _somebody = TcpListener::bind((THIS_POD, admin.parse().unwrap()));
    closed.change(&web(&[endpoint(SocketAddr::new(THIS_POD, admin.parse().unwrap()))]));
    assert_eq!(next(&closed.connect(WEB)), Seen::Reset);
    let refused = ["remora_refused_connections_total{", "direction=\"inbound\"", "reason=\"own_port\""];
    assert_eq!(closed.proxy.metric(&refused), 1);
    let lines = closed.stop();
    assert_eq!((lines.len(), &lines[0]["response_flags"]), (1, &"UF,URX".into()), "{lines:?}");
    // Its own port where nobody listens is refused as another pod's would be, with an account each.
    let nobody = TcpListener::bind((THIS_POD, 0)).unwrap().local_addr().unwrap();
    mesh.change(&web(&[endpoint(nobody)]));
    assert_eq!(next(&mesh.connect(WEB)), Seen::Reset);
    let lines = mesh.stop();
    assert!(lines.len() == 2 && lines.iter().all(|line| line["response_flags"] == "UF,URX"), "{lines:?}");
}

/// Whatever the scale, every stream is used after the last change.
#[test]
fn a_thousand_changes_close_none_of_the_open_streams() {
    changes_close_none(scale("open streams", 1000, 300), &web, |mut client, listeners| {
        let (_, server) = exchange(&mut client, listeners);
        (client, server)
    });
}

#[test]
fn a_thousand_changes_close_none_of_the_open_web_sockets() {
    let http = |endpoints: &[String]| web(endpoints).replace("tcp", "http");
    changes_close_none(scale("open streams", 1000, 100), &http, |mut client, listeners| {
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            .unwrap();
        let (_, mut server) = accept_one(listeners);
        head(&server);
        server
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            )
            .unwrap();
        head(&client);
        (client, server)
    });
}

/// Takes a whole head.
fn head(mut stream: &TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
}

fn changes_close_none(
    open: usize,
    service: &dyn Fn(&[String]) -> String,
    begin: fn(TcpStream, &[TcpListener]) -> (TcpStream, TcpStream),
) {
    let listeners = listeners(4);
    let all = endpoints(&listeners);
    let mesh = Mesh::start(&service(&all));
    let mut streams: Vec<_> = (0..open).map(|_| begin(mesh.connect(WEB), &listeners)).collect();
    mesh.change_often(service, &all);
    for (client, server) in &mut streams {
        client.write_all(b"?").unwrap();
        assert_eq!(next(server), Seen::Byte(b'?'));
        server.write_all(b"!").unwrap();
        assert_eq!(next(client), Seen::Byte(b'!'));
    }
    assert_eq!(mesh.proxy.metric(&["remora_open_connections{", "outbound"]), open as u64);
    assert!(mesh.proxy.log.lines().is_empty(), "a closed stream has a line");
}

#[test]
fn a_broken_file_keeps_the_last_good_one_and_is_told() {
    let listeners = listeners(1);
    let mesh = Mesh::start(&web(&endpoints(&listeners)));
    mesh.put("other.yaml", &format!("{HEAD}kind: Service\nname: [\n"));
    eventually("it is seen", || mesh.proxy.metric(&["remora_discovery_good "]) == 0);
    let mut client = mesh.connect(WEB);
    exchange(&mut client, &listeners);
    let dump = mesh.proxy.get(&mesh.proxy.addresses.administration, "/config_dump");
    assert!(dump.contains("other.yaml, document 1") && dump.contains("\"generation\":1"), "{dump}");
    fs::remove_file(mesh.directory.path().join("other.yaml")).unwrap();
    eventually("it is mended", || mesh.proxy.metric(&["remora_discovery_good "]) == 1);
    mesh.proxy.send(Event::Terminate("test"));
}
