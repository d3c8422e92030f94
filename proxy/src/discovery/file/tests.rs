//! The directory's promises: what is read, what is told about what is wrong, and what stays in force then.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use runtime::metrics::Metrics;

use super::{DirectoryError, Store, Watcher};
use crate::discovery::Target;

const MOST_BYTES: u64 = 100_000;
const HEAD: &str = "apiVersion: remora.dev/v1alpha1\n";

fn service(name: &str, address: &str) -> String {
    format!(
        "{HEAD}kind: Service\nname: {name}\nnamespace: shop\naddresses: [{address}]\nports: [{{port: 80}}]\n"
    )
}

fn start(directory: &Path, metrics: &Metrics) -> Result<(Watcher, Arc<Store>), DirectoryError> {
    Watcher::start(directory.to_owned(), MOST_BYTES, Vec::new(), metrics)
}

/// What is told about `text` as the only file.
fn told(text: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("mesh.yaml"), text).unwrap();
    match start(directory.path(), &Metrics::default()) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn files_hold_documents_of_all_kinds_and_other_files_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let two = format!("# ours\n---\n{}---\n\n---\n{}", service("a", "192.0.2.1"), service("b", "192.0.2.2"));
    write("services.yaml", &two);
    write(
        "hosts.yml",
        &format!(
            "{HEAD}kind: External\nname: api\nnamespace: shop\nhost: api.example.com\naddresses: [198.51.100.0/24]\n"
        ),
    );
    write("readme.txt", "not: [yaml");
    write(".hidden.yaml", "not: [yaml");
    fs::create_dir(directory.path().join("directory.yaml")).unwrap();
    let (_, store) = start(directory.path(), &Metrics::default()).unwrap();
    let find = |to: &str| store.snapshot().find(to.parse().unwrap());
    assert!(matches!(find("192.0.2.1:80"), Target::Service(_)));
    assert!(matches!(find("192.0.2.2:80"), Target::Service(_)));
    assert!(matches!(find("192.0.2.2:81"), Target::Passthrough));
    assert!(matches!(find("198.51.100.7:443"), Target::External(_)));
    let dump = serde_json::to_value(store.dump()).unwrap();
    assert_eq!(dump["services"][1]["name"], "b");
    assert_eq!(dump["services"][1]["addresses"][0], "192.0.2.2");
    assert_eq!(dump["externals"][0]["addresses"][0], "198.51.100.0/24");
    assert_eq!((&dump["generation"], &dump["failure"]), (&1.into(), &serde_json::Value::Null));
}

/// Each text is told with the file, the document, and `parts`: the line or the field, and what is allowed.
fn all_told<const N: usize>(cases: [(String, [&str; 2]); N]) {
    for (text, parts) in cases {
        let told = told(&text);
        assert!(told.starts_with("discovery: ") && told.len() < 900, "{text}: {told}");
        assert!(told.contains("mesh.yaml, document 1"), "{text}: {told}");
        assert!(parts.iter().all(|part| told.contains(part)), "{parts:?} of {text} in: {told}");
    }
}

fn of_kind(kind: &str, rest: &str) -> String {
    let namespace = if kind == "Forbidden" { "" } else { "namespace: shop\n" };
    format!("{HEAD}kind: {kind}\nname: cart\n{namespace}{rest}")
}

/// A Service that is good without `rest`.
fn with_port(rest: &str) -> String {
    of_kind("Service", &format!("ports: [{{port: 80}}]\n{rest}"))
}

#[test]
fn what_is_no_resource_is_told() {
    all_told([
        ("kind: Service\n".to_owned(), ["document 1: apiVersion", "remora.dev/v1alpha1"]),
        ("apiVersion: v1\nkind: Service\n".to_owned(), ["apiVersion: it is \"v1\"", "remora.dev/v1alpha1"]),
        (HEAD.to_owned(), ["document 1: kind: it is missing", "Service, Workload"]),
        (format!("{HEAD}kind: Pod\n"), ["kind: \"Pod\" is not known", "Service, Workload"]),
        ("a: [\n".to_owned(), ["document 1: line", "unclosed"]),
        ("- a\n".to_owned(), ["document 1: line 1", ""]),
    ]);
}

#[test]
fn every_bad_field_of_a_service_is_told() {
    all_told([
        (of_kind("Service", "port: 80\n"), ["line 5: `port: 80`", "allowed are"]),
        (of_kind("Service", ""), ["document 1: line", "ports"]),
        (of_kind("Service", "ports: []\n"), ["Service shop/cart: ports", "at least one"]),
        (of_kind("Service", "ports: [{port: 0}]\n"), ["line 5: `ports: [{port: 0}]`", "nonzero"]),
        (of_kind("Service", "ports: [{port: 65536}]\n"), ["line 5: `ports: [{port: 65536}]`", "65536"]),
        (of_kind("Service", "ports: [{port: http}]\n"), ["line 5", "http"]),
        (
            of_kind("Service", "ports: [{port: 80, protocol: UDP}]\n"),
            ["protocol", "allowed are port, name, appProtocol, targetPort"],
        ),
        (of_kind("Service", "ports: [{port: 80}, {port: 81}]\n"), ["ports[0].name", "missing"]),
        (
            of_kind("Service", "ports: [{port: 80, name: a}, {port: 80, name: b}]\n"),
            ["ports[1].port", "80 is there twice"],
        ),
        (
            of_kind("Service", "ports: [{port: 80, name: a}, {port: 81, name: a}]\n"),
            ["ports[1].name", "a is there twice"],
        ),
        (of_kind("Service", "ports: [{port: 80, name: Web}]\n"), ["line 5", "\"Web\" is no name"]),
        (of_kind("Service", "ports: [{port: 80, appProtocol: ''}]\n"), ["line 5", "1 to 253"]),
        (with_port("addresses: [localhost]\n"), ["line 6: `addresses: [localhost]`", "IP address"]),
        (with_port("addresses: [0.0.0.0]\n"), ["addresses[0]", "no host's address"]),
        (with_port("addresses: ['ff02::1']\n"), ["addresses[0]", "no host's address"]),
        (with_port("addresses: ['::ffff:192.0.2.1']\n"), ["addresses[0]", "write 192.0.2.1"]),
        (with_port("addresses: [192.0.2.1, 192.0.2.1]\n"), ["addresses[1]", "192.0.2.1:80 is already"]),
        (with_port("trafficDistribution: Random\n"), ["trafficDistribution", "PreferSameZone"]),
        (
            format!("{HEAD}kind: Service\nname: {}\nnamespace: shop\n", "a".repeat(254)),
            ["line 3", "at most 253"],
        ),
    ]);
}

#[test]
fn every_bad_field_of_an_endpoint_is_told() {
    all_told([
        (with_port("endpoints: [{}]\n"), ["endpoints[0].addresses", "there is none"]),
        (
            with_port("endpoints: [{workload: cart-9}]\n"),
            ["endpoints[0].workload", "no Workload cart-9 in namespace shop"],
        ),
        (
            with_port("endpoints: [{addresses: [192.0.2.1, 192.0.2.2]}]\n"),
            ["endpoints[0].addresses", "more than one of a family"],
        ),
        (with_port("endpoints: [{addresses: [192.0.2.1], ready: maybe}]\n"), ["line 6", "maybe"]),
        (with_port("endpoints: [{addresses: [192.0.2.1], zone: a}]\n"), ["line 6", "no field \"zone\""]),
        (
            with_port("endpoints: [{addresses: [192.0.2.1]}, {addresses: [192.0.2.1]}]\n"),
            ["endpoints[1]", "another endpoint's"],
        ),
        (
            of_kind(
                "Service",
                "ports: [{port: 80, name: web}]\nendpoints: [{addresses: [192.0.2.1], ports: {grpc: 1}}]\n",
            ),
            ["endpoints[0].ports.grpc", "[\"web\"]"],
        ),
    ]);
}

#[test]
fn every_bad_field_of_a_workload_is_told() {
    all_told([
        (of_kind("Workload", "addresses: []\n"), ["Workload shop/cart: addresses", "at least one"]),
        (
            of_kind("Workload", "addresses: [192.0.2.1]\nname: other\n"),
            ["line 6: `name: other`", "duplicate"],
        ),
        (of_kind("Workload", "addresses: [192.0.2.1]\nzone: ''\n"), ["line 6: `zone: ''`", "1 to 253"]),
        (of_kind("Workload", "addresses: [192.0.2.1]\nprincipal: [a]\n"), ["line 6", ""]),
    ]);
}

#[test]
fn every_bad_field_of_other_hosts_is_told() {
    all_told([
        (
            of_kind("External", "host: api.example.com\naddresses: []\n"),
            ["External shop/cart: addresses", "at least one"],
        ),
        (
            of_kind("External", "host: api.example.com\naddresses: [example.com]\n"),
            ["line 6", "neither an address nor a network"],
        ),
        (
            of_kind("External", "host: api.example.com\naddresses: [192.0.2.1/24]\n"),
            ["line 6", "write 192.0.2.0/24"],
        ),
        (
            of_kind(
                "External",
                "host: api.example.com\naddresses: [192.0.2.1]\nports: [{port: 1}, {port: 1}]\n",
            ),
            ["ports[1].port", "twice"],
        ),
        (of_kind("Forbidden", "addresses: []\n"), ["Forbidden cart: addresses", "at least one"]),
        (of_kind("Forbidden", "addresses: [192.0.2.0/33]\n"), ["line 4", "neither an address nor a network"]),
        (
            of_kind("Forbidden", "addresses: [192.0.2.1]\nports: [22, 22]\n"),
            ["ports[1]", "22 is there twice"],
        ),
        (of_kind("Forbidden", "addresses: [192.0.2.1]\nports: [-1]\n"), ["line 5", "-1"]),
    ]);
}

#[test]
fn a_later_document_is_told_with_its_number_and_the_files_own_line() {
    let told =
        told(&format!("{}---\n# again\n{}bogus: 1\n", service("a", "192.0.2.1"), service("b", "192.0.2.2")));
    assert!(told.contains("mesh.yaml, document 2: line 15: `bogus: 1`"), "{told}");
}

#[test]
fn everything_that_is_wrong_is_told_up_to_a_bound() {
    let documents: Vec<_> = (0..15).map(|_| service("same", "192.0.2.1")).collect();
    let told = told(&documents.join("---\n"));
    assert!(
        told.contains("document 2") && told.contains("document 6") && told.ends_with("; and 18 more"),
        "{told}"
    );
}

#[test]
fn resources_of_one_name_or_one_destination_are_told_with_both_places() {
    let same = told(&format!("{}---\n{}", service("a", "192.0.2.1"), service("a", "192.0.2.2")));
    assert!(same.contains("document 2: Service shop/a: name: there is another Service"), "{same}");
    let both = told(&format!(
        "{}---\n{HEAD}kind: Forbidden\nname: no\naddresses: [192.0.2.1]\nports: [80]\n",
        service("a", "192.0.2.1")
    ));
    assert!(
        both.contains("document 2: Forbidden no: addresses[0]: 192.0.2.1:80 is already Service shop/a's (mesh.yaml, document 1)"),
        "{both}"
    );
}

#[test]
fn hostile_yaml_is_refused_in_bounded_time_and_words() {
    let deep = format!("{HEAD}kind: Service\nports: {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\nkind: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n";
    for text in [&deep, bomb, "\u{0}", "\u{feff}\u{1b}[31m: x", "kind: !!binary x", "? [a]\n: b"] {
        let told = told(text);
        assert!(!told.is_empty() && told.len() < 900, "{:.40}: {told}", text);
    }
}

#[test]
fn what_cannot_be_read_is_told_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let error = start(&missing, &Metrics::default()).err().unwrap().to_string();
    assert!(error.contains("missing") && error.contains("--discovery-directory"), "{error}");
    fs::write(directory.path().join("binary.yaml"), [0xff, 0xfe]).unwrap();
    let error = start(directory.path(), &Metrics::default()).err().unwrap().to_string();
    assert!(error.contains("binary.yaml") && error.contains("UTF-8"), "{error}");
    fs::write(directory.path().join("binary.yaml"), "#".repeat(100_001)).unwrap();
    let error = start(directory.path(), &Metrics::default()).err().unwrap().to_string();
    assert!(error.contains("binary.yaml") && error.contains("longer than 100000 bytes"), "{error}");
    fs::write(directory.path().join("binary.yaml"), "#".repeat(100_000)).unwrap();
    start(directory.path(), &Metrics::default()).expect("as long as it may be");
}

/// A change counts when it is seen again.
fn look_twice(watcher: &mut Watcher) {
    watcher.look();
    watcher.look();
}

#[test]
fn a_good_change_is_in_force_and_a_bad_one_keeps_the_last_good() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mesh.yaml");
    let metrics = Metrics::default();
    fs::write(&file, service("a", "192.0.2.1")).unwrap();
    let (mut watcher, store) = start(directory.path(), &metrics).unwrap();
    let known = |address: &str| {
        matches!(store.snapshot().find(format!("{address}:80").parse().unwrap()), Target::Service(_))
    };
    let first = store.snapshot().hash().to_owned();
    watcher.look();
    assert!(store.snapshot().generation() == 1 && known("192.0.2.1"), "nothing has changed");
    fs::write(&file, service("a", "192.0.2.2")).unwrap();
    watcher.look();
    assert!(store.snapshot().generation() == 1, "it may be half written");
    watcher.look();
    assert!(store.snapshot().generation() == 2 && known("192.0.2.2") && !known("192.0.2.1"));
    let second = store.snapshot().hash().to_owned();
    assert_ne!(first, second);
    for bad in ["kind: [", "kind: Service\n", &service("A", "192.0.2.1")] {
        fs::write(&file, bad).unwrap();
        look_twice(&mut watcher);
        watcher.look();
        assert!(known("192.0.2.2"), "{bad}");
    }
    fs::remove_dir_all(directory.path()).unwrap();
    watcher.look();
    let failure = serde_json::to_value(store.dump()).unwrap()["failure"].as_str().unwrap().to_owned();
    assert!(failure.contains("No such file"), "{failure}");
    let text = metrics.text();
    for line in [
        &format!("remora_discovery_info{{hash=\"{second}\"}} 1"),
        "remora_discovery_reloads_total{result=\"applied\"} 1",
        "remora_discovery_reloads_total{result=\"failed\"} 4",
        "remora_discovery_resources{kind=\"Service\"} 1",
        "remora_discovery_generation 2",
        "remora_discovery_good 0",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    // What was in force before comes back.
    fs::create_dir(directory.path()).unwrap();
    fs::write(&file, service("a", "192.0.2.2")).unwrap();
    look_twice(&mut watcher);
    assert!(known("192.0.2.2") && metrics.text().contains("remora_discovery_good 1"));
    assert_eq!(serde_json::to_value(store.dump()).unwrap()["failure"], serde_json::Value::Null);
    assert_eq!(store.snapshot().hash(), second);
}

/// As the kubelet updates a mounted ConfigMap.
#[test]
fn a_renamed_symlink_is_a_change_of_all_files_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for (version, address) in [("..one", "192.0.2.1"), ("..two", "192.0.2.2")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("mesh.yaml"), service("a", address)).unwrap();
    }
    std::os::unix::fs::symlink("..one", at("..data")).unwrap();
    std::os::unix::fs::symlink("..data/mesh.yaml", at("mesh.yaml")).unwrap();
    let (mut watcher, store) = start(directory.path(), &Metrics::default()).unwrap();
    std::os::unix::fs::symlink("..two", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    look_twice(&mut watcher);
    assert!(matches!(store.snapshot().find("192.0.2.2:80".parse().unwrap()), Target::Service(_)));
    assert_eq!(store.snapshot().generation(), 2);
}

#[tokio::test(flavor = "current_thread")]
async fn who_watches_a_destination_is_told_of_a_change() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mesh.yaml");
    fs::write(&file, service("a", "192.0.2.1")).unwrap();
    let (mut watcher, store) = start(directory.path(), &Metrics::default()).unwrap();
    let mut watch = store.watch("192.0.2.2:80".parse().unwrap());
    assert!(matches!(watch.current(), Target::Passthrough), "a negative answer");
    let mut later = watch.clone();
    let waiting = tokio::spawn(async move {
        later.changed().await;
        matches!(later.current(), Target::Service(_))
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    fs::write(&file, service("a", "192.0.2.2")).unwrap();
    look_twice(&mut watcher);
    assert!(waiting.await.unwrap());
    assert!(matches!(watch.current(), Target::Service(_)), "whoever looks sees it without having waited");
}
