//! A rolling restart: of two backends first one and then the other is replaced, application and proxy, while a pod calls them.
//!
//! Each ends in the order in which a kubelet ends a pod with a native sidecar: its endpoint is taken off, and at the same time its
//! proxy begins to drain; then the application ends, and then the proxy. Nobody who calls may notice.

mod load;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::sys::signal::Signal;
use tests::meshed::{Meshed, PATIENCE};
use tests::netns::Switch;
use tests::scale;

use crate::application::{Application, HTTP1_PORT, HTTP2_PORT};
use crate::traffic::eventually;
use load::Load;

/// Where the Service is called, by HTTP/1 and by HTTP/2.
const SERVICE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10));
const HTTP1: SocketAddr = SocketAddr::new(SERVICE, 80);
const HTTP2: SocketAddr = SocketAddr::new(SERVICE, 81);

/// Longer than it takes until the client's proxy has looked at its files, also on a machine that has much to do.
const DELAY: &str = "4s";
const INTERVAL: &str = "50ms";

/// A pod of the Service.
struct Backend {
    name: &'static str,
    meshed: Meshed,
    application: Application,
    is_ready: bool,
}

impl Backend {
    fn new(switch: &mut Switch, name: &'static str) -> Self {
        let meshed = Meshed::new(switch, name, &["--drain-delay", DELAY]);
        let application = Application::start(&meshed.node.netns);
        Self { name, meshed, application, is_ready: true }
    }

    /// Whether its listeners have closed.
    fn is_shut(&self) -> bool {
        self.meshed.metric(&["remora_draining{", "direction=\"inbound\""]) == 1
    }

    /// Ends when it has drained, and begins anew.
    fn restart(&mut self) {
        eventually("its listeners have closed", || self.is_shut());
        let Self { meshed, application, .. } = self;
        let old = std::mem::replace(application, Application::Ended);
        assert!(old.end() > 0, "{} was asked nothing", self.name);
        meshed.proxy.signal(Signal::SIGTERM);
        assert_eq!(meshed.proxy.wait_exit(PATIENCE), Some(0), "{}", meshed.proxy.progress());
        *application = Application::start(&meshed.node.netns);
        meshed.start_again();
    }
}

/// Tells the client's proxy of the Service, and waits until it knows.
fn publish(client: &Meshed, backends: &[Backend]) {
    let (mut endpoints, mut workloads) = (String::new(), String::new());
    for Backend { name, meshed, is_ready, .. } in backends {
        endpoints += &format!("- {{workload: {name}, ready: {is_ready}}}\n");
        workloads += &format!(
            "---\napiVersion: remora.dev/v1alpha1\nkind: Workload\nname: {name}\nnamespace: shop\naddresses: [{}]\n",
            meshed.node.v4
        );
    }
    let text = format!(
        "apiVersion: remora.dev/v1alpha1\nkind: Service\nname: web\nnamespace: shop\naddresses: [{SERVICE}]\n\
         ports: [{{name: http, port: {}, targetPort: {HTTP1_PORT}}}, {{name: grpc, port: {}, targetPort: {HTTP2_PORT}}}]\n\
         endpoints:\n{endpoints}{workloads}",
        HTTP1.port(),
        HTTP2.port(),
    );
    let state = client.directory.path().join("state");
    let generation = || client.metric(&["remora_discovery_generation "]);
    let before = generation();
    std::fs::write(state.join("new"), text).expect("a file");
    std::fs::rename(state.join("new"), state.join("mesh.yaml")).expect("a file that is there at once");
    eventually("the change is in force", || generation() > before);
}

#[test]
fn two_backends_are_replaced_one_after_the_other_and_no_request_is_lost() {
    let wanted = scale::of("requests of each of 3 protocols", 100_000, 3_000);
    let mut switch = Switch::new("switch").expect("a switch");
    let options = ["--discovery-directory", api::pod::STATE_PATH, "--discovery-interval", INTERVAL];
    let client = Meshed::new(&mut switch, "client", &options);
    let mut backends = ["web-0", "web-1"].map(|name| Backend::new(&mut switch, name));
    publish(&client, &backends);
    let load = Load::default();
    let mut restarts = 0;
    std::thread::scope(|scope| {
        let running = load.run(scope, &client.node.netns);
        while restarts < backends.len() || !load.has(wanted) {
            let number = restarts % backends.len();
            backends[number].meshed.drain();
            backends[number].is_ready = false;
            publish(&client, &backends);
            assert!(
                !backends[number].is_shut(),
                "it closes before its clients know: a machine that is too busy"
            );
            backends[number].restart();
            backends[number].is_ready = true;
            publish(&client, &backends);
            eventually("it is asked again", || backends[number].application.answered() > 0);
            restarts += 1;
        }
        drop(running);
    });
    let answered = load.answered();
    println!(
        "{answered:?} requests while backends were replaced {restarts} times, {} asked again",
        load.again()
    );
    assert!(load.failures().is_empty(), "{:#?}", load.failures());
    let count = answered.iter().sum::<usize>() as u64;
    // Those whose content was on its way when a backend said that it takes no more.
    assert!(load.again() as u64 * 100 < count, "{} of {count} were asked again", load.again());
    assert_eq!(
        client.metric(&["istio_requests_total{", "response_code=\"200\"", "response_flags=\"-\""]),
        count
    );
}
