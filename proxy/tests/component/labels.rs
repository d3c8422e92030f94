//! What metrics call the two ends of a connection and the Service between them: this pod by its environment, the other end
//! and the Service by files.

use std::net::TcpListener;

use crate::discovery::{HEAD, Mesh, WEB, endpoint, exchange, listeners, web};
use crate::support::{INBOUND, THIS_POD, eventually};

const WORKLOADS: &str = "---\napiVersion: remora.dev/v1alpha1\nkind: Workload\nname: web-1\nnamespace: shop\n\
    addresses: [127.0.2.1]\nworkload: web-v1\ncanonicalService: web\ncanonicalRevision: v1\n\
    ---\napiVersion: remora.dev/v1alpha1\nkind: Workload\nname: caller-1\nnamespace: front\naddresses: [127.0.0.1]\n";

#[test]
fn metrics_name_both_ends_as_far_as_they_are_known() {
    let listeners = listeners(1);
    let port = listeners[0].local_addr().unwrap().port();
    let mesh = Mesh::start(&(web(&[format!("workload: web-1, ports: {{tcp: {port}}}")]) + WORKLOADS));
    let mut client = mesh.connect(WEB);
    exchange(&mut client, &listeners);
    drop(client);
    let labels = [
        "reporter=\"source\"",
        "source_workload=\"web\"",
        "destination_workload=\"web-v1\"",
        "destination_workload_namespace=\"shop\"",
        "destination_canonical_service=\"web\"",
        "destination_canonical_revision=\"v1\"",
        "destination_service=\"web.shop.svc.cluster.local\"",
        "destination_service_name=\"web\"",
        "destination_service_namespace=\"shop\"",
    ];
    for name in ["istio_tcp_connections_opened_total{", "istio_tcp_received_bytes_total{"] {
        eventually(name, || mesh.proxy.metric(&[&[name], &labels[..]].concat()) == 1);
    }
    // Directly, by its own address.
    let mut client = mesh.connect(&listeners[0].local_addr().unwrap().to_string());
    exchange(&mut client, &listeners);
    let direct =
        ["istio_tcp_connections_opened_total{", "\"PassthroughCluster\"", "destination_workload=\"web-v1\""];
    assert_eq!(mesh.proxy.metric(&direct), 1);
    // Inbound, from a peer that is known.
    let mut client = mesh.proxy.connect(INBOUND, listeners[0].local_addr().unwrap());
    exchange(&mut client, &listeners);
    let inbound = [
        "istio_tcp_connections_opened_total{",
        "reporter=\"destination\"",
        "source_workload=\"caller-1\"",
        "source_workload_namespace=\"front\"",
        "source_canonical_service=\"caller-1\"",
    ];
    assert_eq!(mesh.proxy.metric(&inbound), 1);
}

/// Of one end, in the order in which Istio names them.
const LABELS: [&str; 8] = [
    "workload",
    "workload_namespace",
    "principal",
    "app",
    "version",
    "canonical_service",
    "canonical_revision",
    "cluster",
];

/// What is told of a connection, label by label.
fn told(reporter: &str, ends: [(&str, [&str; 8]); 2], service: [&str; 3]) -> Vec<String> {
    let ends = ends.into_iter().flat_map(|(end, values)| {
        LABELS.iter().zip(values).map(move |(label, value)| format!("{end}_{label}=\"{value}\""))
    });
    let service = ["service", "service_name", "service_namespace"].iter().zip(service);
    let service = service.map(|(label, value)| format!("destination_{label}=\"{value}\""));
    ends.chain(service).chain([format!("reporter=\"{reporter}\"")]).collect()
}

#[test]
fn every_label_says_what_is_known() {
    let (own, other) = (TcpListener::bind((THIS_POD, 0)).unwrap(), &listeners(1)[0]);
    let [to_own, to_other] = [own.local_addr().unwrap(), other.local_addr().unwrap()];
    let cart = format!(
        "{HEAD}kind: Workload\nname: cart-1\nnamespace: shop\naddresses: [127.0.2.1]\n\
        workload: cart-v1\ncanonicalService: cart\ncanonicalRevision: v1\napp: cart-app\nversion: '1.2'\n"
    );
    let caller = format!(
        "{HEAD}kind: Workload\nname: caller-1\nnamespace: front\n\
        addresses: [127.0.0.1]\napp: caller-app\ncluster: west\n"
    );
    let called = web(&[endpoint(to_own)]);
    let called_too =
        web(&[endpoint(to_own)]).replace("name: web", "name: zoo").replace("192.0.2.10", "192.0.2.11");
    let sent = web(&[format!("workload: cart-1, ports: {{tcp: {}}}", to_other.port())])
        .replace("name: web", "name: cart")
        .replace("192.0.2.10", "192.0.2.12");
    let with = [&*called, &called_too, &sent, &cart, &caller].join("---\n");
    let mesh = Mesh::start(&with);
    let unknown = "unknown";
    let ours = ["web", unknown, unknown, "storefront", unknown, unknown, unknown, "east"];
    let known = ["cart-v1", "shop", unknown, "cart-app", "1.2", "cart", "v1", "east"];
    let caller = ["caller-1", "front", unknown, "caller-app", unknown, "caller-1", "latest", "west"];
    let opened = |labels: &[String]| {
        let labels = labels.iter().map(String::as_str);
        mesh.proxy
            .metric(&["istio_tcp_connections_opened_total{"].into_iter().chain(labels).collect::<Vec<_>>())
    };

    exchange(&mut mesh.connect("192.0.2.12:80"), std::slice::from_ref(other));
    let service = ["cart.shop.svc.cluster.local", "cart", "shop"];
    let labels = told("source", [("source", ours), ("destination", known)], service);
    assert_eq!(opened(&labels), 1);

    let call = || exchange(&mut mesh.proxy.connect(INBOUND, to_own), std::slice::from_ref(&own));
    call();
    let ends = [("source", caller), ("destination", ours)];
    let as_web = told("destination", ends, ["web.shop.svc.cluster.local", "web", "shop"]);
    assert_eq!(opened(&as_web), 1);
    // From nobody who is known, as the next Service, and then as none.
    mesh.change(&[&*called_too, &sent, &cart].join("---\n"));
    call();
    let ends = [("source", [unknown; 8]), ("destination", ours)];
    assert_eq!(opened(&told("destination", ends, ["zoo.shop.svc.cluster.local", "zoo", "shop"])), 1);
    mesh.change(&[&*sent, &cart].join("---\n"));
    call();
    assert_eq!(opened(&told("destination", ends, [unknown; 3])), 1);
    // A configuration that comes back goes on counting.
    mesh.change(&with);
    call();
    assert_eq!(opened(&as_web), 2);
}
