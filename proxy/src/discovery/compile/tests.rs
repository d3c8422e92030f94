//! What becomes of resources that agree with each other.

use std::net::{IpAddr, SocketAddr};

use super::compile;
use crate::balance::Policy;
use crate::detect::Hint;
use crate::discovery::file::parsed;
use crate::discovery::{Snapshot, Target};
use crate::telemetry::edge::Cluster;

/// The documents, each without its first line, for a pod with the address 192.0.2.9.
fn snapshot(documents: &[&str], previous: Option<&Snapshot>) -> Snapshot {
    let own: IpAddr = "192.0.2.9".parse().unwrap();
    compile(parsed(documents), "hash".to_owned(), &[own], previous).unwrap()
}

fn find(snapshot: &Snapshot, to: &str) -> Target {
    snapshot.find(to.parse().unwrap())
}

/// All addresses that can be chosen, in the order in which they are when chance always names the first.
fn endpoints(target: &Target) -> Vec<String> {
    let Target::Service(service) = target else { panic!("{target:?}") };
    let mut tried: Vec<SocketAddr> = Vec::new();
    while let Some(endpoint) = service.choose(Policy::LeastRequest, &tried, |_| 0) {
        tried.push(endpoint.address);
    }
    tried.iter().map(ToString::to_string).collect()
}

const CART: &str = "kind: Service\nname: cart\nnamespace: shop\naddresses: [192.0.2.100, '2001:db8::100']
ports: [{name: http, port: 80, targetPort: 8080, appProtocol: http}, {name: db, port: 5432}]
endpoints:
- workload: cart-1
- {workload: cart-2, ports: {http: 8081}}
- {workload: cart-3, ready: false}
- addresses: [192.0.2.4]
";
const ONE: &str =
    "kind: Workload\nname: cart-1\nnamespace: shop\naddresses: [192.0.2.1, '2001:db8::1']\nzone: a\n";
const TWO: &str = "kind: Workload\nname: cart-2\nnamespace: shop\naddresses: [192.0.2.2]\nzone: b\n";
const THREE: &str = "kind: Workload\nname: cart-3\nnamespace: shop\naddresses: [192.0.2.3]\n";

#[test]
fn endpoints_are_ready_have_the_ports_target_and_the_clients_family_where_they_can() {
    let snapshot = snapshot(&[CART, ONE, TWO, THREE], None);
    for (to, expected) in [
        ("192.0.2.100:80", ["192.0.2.1:8080", "192.0.2.2:8081", "192.0.2.4:8080"]),
        ("192.0.2.100:5432", ["192.0.2.1:5432", "192.0.2.2:5432", "192.0.2.4:5432"]),
        ("[2001:db8::100]:80", ["[2001:db8::1]:8080", "192.0.2.2:8081", "192.0.2.4:8080"]),
    ] {
        let target = find(&snapshot, to);
        assert_eq!(endpoints(&target), expected, "{to}");
    }
    let Target::Service(service) = find(&snapshot, "192.0.2.100:80") else { panic!("a Service") };
    assert_eq!(service.cluster().to_string(), "outbound|80||cart.shop.svc.cluster.local");
    assert_eq!(find(&snapshot, "192.0.2.100:80").hint(), Some(Hint::Http));
    assert!(
        matches!(find(&snapshot, "192.0.2.100:81"), Target::Passthrough),
        "another port is not the Service's"
    );
}

#[test]
fn the_own_zone_is_preferred_where_the_service_says_so() {
    let own = "kind: Workload\nname: own\nnamespace: shop\naddresses: [192.0.2.9]\nzone: b\n";
    let prefers = format!("{CART}trafficDistribution: PreferSameZone\n");
    let near = |cart: &str| {
        endpoints(&find(&snapshot(&[cart, ONE, TWO, THREE, own], None), "192.0.2.100:80"))[0].clone()
    };
    assert_eq!(near(&prefers), "192.0.2.2:8081");
    assert_eq!(near(CART), "192.0.2.1:8080");
    let all = endpoints(&find(&snapshot(&[&prefers, ONE, TWO, THREE, own], None), "192.0.2.100:80"));
    assert_eq!(all.len(), 3, "the others are there when those of the zone have failed");
}

#[test]
fn a_workload_is_called_at_its_address_and_as_the_only_headless_service_that_has_it() {
    let headless = |name: &str| {
        format!(
            "kind: Service\nname: {name}\nnamespace: shop\nports: [{{port: 7000}}]\nendpoints: [{{workload: cart-1}}]\n"
        )
    };
    let (one, other) = (headless("ring"), headless("circle"));
    let cluster = |snapshot: &Snapshot, to: &str| {
        let Target::Workload(host) = find(snapshot, to) else { panic!("no workload") };
        host.cluster(7000)
    };
    let single = snapshot(&[ONE, &one], None);
    assert_eq!(
        cluster(&single, "192.0.2.1:7000"),
        Cluster::Outbound(7000, "ring.shop.svc.cluster.local".into())
    );
    assert_eq!(cluster(&single, "192.0.2.1:7001"), Cluster::Passthrough);
    let both = snapshot(&[ONE, &one, &other], None);
    assert_eq!(cluster(&both, "192.0.2.1:7000"), Cluster::Passthrough, "nobody knows as which");
}

#[test]
fn this_pod_is_called_as_the_first_service_that_has_its_port() {
    let own = "kind: Workload\nname: own\nnamespace: shop\naddresses: [192.0.2.9]\n";
    let of = |namespace: &str, name: &str, port: u16, endpoint: &str| {
        format!(
            "kind: Service\nname: {name}\nnamespace: {namespace}\naddresses: []\n\
             ports: [{{name: http, port: 80, targetPort: {port}}}]\nendpoints: [{{{endpoint}}}]\n"
        )
    };
    let documents = [
        of("shop", "web", 8080, "workload: own, ready: false"),
        of("shop", "cart", 8080, "workload: own"),
        of("other", "zoo", 8080, "addresses: [192.0.2.9]"),
        of("shop", "metrics", 8080, "workload: own, ports: {http: 9090}"),
        of("shop", "alone", 9091, "addresses: [192.0.2.8]"),
    ];
    let named = |documents: &[&str], from: &str, to: &str| {
        format!("{:?}", snapshot(documents, None).inbound(from.parse().unwrap(), to.parse().unwrap()))
    };
    let mut documents: Vec<_> = documents.iter().map(String::as_str).chain([own, ONE]).collect();
    for round in ["as written", "backwards"] {
        for (from, to, expected) in [
            ("192.0.2.1", "192.0.2.9:8080", ["cart-1", "zoo.other.svc.cluster.local"]),
            ("192.0.2.77", "192.0.2.9:8080", ["workload: None", "zoo.other.svc.cluster.local"]),
            ("2001:db8::1", "192.0.2.9:9090", ["cart-1", "metrics.shop.svc.cluster.local"]),
            ("192.0.2.1", "192.0.2.9:80", ["cart-1", "service: Ours"]),
            ("192.0.2.77", "192.0.2.9:9091", ["workload: None", "service: Ours"]),
            ("192.0.2.77", "192.0.2.8:9091", ["workload: None", "service: Ours"]),
        ] {
            let named = named(&documents, from, to);
            assert!(expected.iter().all(|part| named.contains(part)), "{round}: {from} to {to}: {named}");
        }
        documents.reverse();
    }
    let without: Vec<_> = documents.iter().copied().filter(|text| !text.contains("zoo")).collect();
    let named = named(&without, "192.0.2.1", "192.0.2.9:8080");
    assert!(named.contains("cart.shop.svc.cluster.local"), "{named}");
}

#[test]
fn this_pods_port_speaks_what_services_say_and_none_denies() {
    let own = "kind: Workload\nname: own\nnamespace: shop\naddresses: [192.0.2.9]\n";
    let of = |name: &str, port_name: &str, target: &str| {
        format!(
            "kind: Service\nname: {name}\nnamespace: shop\naddresses: []\n\
             ports: [{{name: {port_name}, port: 80, targetPort: {target}}}]\nendpoints: [{{workload: own}}]\n"
        )
    };
    let (web, other, mail) =
        (of("web", "http-web", "8080"), of("other", "web", "8080"), of("mail", "tcp", "8080"));
    for (services, to, expected) in [
        (&[&web][..], "192.0.2.9:8080", Some(Hint::Http)),
        (&[&web], "192.0.2.9:80", None),
        (&[&web], "192.0.2.1:8080", None),
        (&[&other, &web], "192.0.2.9:8080", Some(Hint::Http)),
        (&[&web, &of("same", "http", "8080")], "192.0.2.9:8080", Some(Hint::Http)),
        (&[&web, &of("api", "grpc", "8080")], "192.0.2.9:8080", Some(Hint::Http)),
        (&[&mail], "192.0.2.9:8080", Some(Hint::Opaque)),
        (&[&web, &mail], "192.0.2.9:8080", None),
        (&[&web, &mail, &of("zoo", "http", "8080")], "192.0.2.9:8080", None),
        (&[&other], "192.0.2.9:8080", None),
    ] {
        let documents: Vec<_> = services.iter().map(|text| text.as_str()).chain([own, ONE]).collect();
        let declared = snapshot(&documents, None).declared(to.parse().unwrap());
        assert_eq!(declared, expected, "{to} {services:?}");
    }
}

#[test]
fn the_narrower_rule_wins() {
    let snapshot = snapshot(
        &[
            CART,
            ONE,
            TWO,
            THREE,
            "kind: Forbidden\nname: everything\naddresses: [0.0.0.0/0]\n",
            "kind: Forbidden\nname: ssh\naddresses: [192.0.2.0/24, 192.0.2.1]\nports: [22]\n",
            "kind: External\nname: net\nnamespace: out\nhost: net.example.com\naddresses: [198.51.100.0/24]\n",
            "kind: External\nname: api\nnamespace: out\nhost: api.example.com\naddresses: [198.51.100.0/24]\nports: [{port: 443}]\n",
            "kind: Forbidden\nname: one\naddresses: [198.51.100.66]\n",
        ],
        None,
    );
    let kind = |to: &str| match find(&snapshot, to) {
        Target::Service(_) => "service".to_owned(),
        Target::Workload(_) => "workload".to_owned(),
        Target::External(host) => host.cluster(1).to_string(),
        Target::Passthrough => "passthrough".to_owned(),
        Target::Forbidden(rule) => rule.to_string(),
    };
    for (to, expected) in [
        ("192.0.2.100:80", "service"),
        ("192.0.2.100:22", "ssh"),
        ("192.0.2.100:81", "everything"),
        ("192.0.2.1:80", "workload"),
        ("192.0.2.1:22", "ssh"),
        ("192.0.2.2:22", "workload"),
        ("192.0.2.50:22", "ssh"),
        ("198.51.100.1:443", "outbound|1||api.example.com"),
        ("198.51.100.1:80", "outbound|1||net.example.com"),
        ("198.51.100.66:443", "one"),
        ("203.0.113.1:80", "everything"),
        ("[2001:db8::77]:80", "passthrough"),
    ] {
        assert_eq!(kind(to), expected, "{to}");
    }
}

#[test]
fn the_next_snapshot_goes_on_counting() {
    let first = snapshot(&[CART, ONE, TWO, THREE], None);
    let chosen = |snapshot: &Snapshot| {
        let Target::Service(service) = find(snapshot, "192.0.2.100:80") else { panic!("a Service") };
        let endpoint = service.choose(Policy::LeastRequest, &[], |_| 0).unwrap();
        (endpoint.address.to_string(), std::sync::Arc::clone(&endpoint.load))
    };
    let (busy, load) = chosen(&first);
    let held = load.hold();
    let second = snapshot(&[CART, ONE, TWO, THREE], Some(&first));
    assert_eq!(second.generation(), 2);
    assert_ne!(chosen(&second).0, busy, "it has a connection already");
    drop(held);
    assert_eq!(chosen(&second).0, busy);
}
