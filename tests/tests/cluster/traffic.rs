//! Who talks to whom: every protocol, address, family and pairing, each connection counted and logged by the proxies that
//! should have carried it, and by no other.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tests::cluster::{
    Load, Namespace, Pod, Protocol, Seen, counted, eventually, nodes, script, seen, service, workload,
};

const AT_ONCE: usize = 4;

#[test]
fn every_connection_is_carried_counted_and_logged() -> Result<()> {
    Stage::set("traffic")?.check()
}

#[test]
fn the_same_with_kube_proxy_in_nftables_mode() -> Result<()> {
    let stage = Stage::set("traffic-nft")?;
    script("cluster", &["kube-proxy-mode", "nftables"])?;
    let result = stage.check();
    script("cluster", &["kube-proxy-mode", "iptables"])?;
    result
}

/// The pods between which traffic goes.
struct Stage {
    mesh: Namespace,
    plain: Namespace,
    /// Client and server on one node, and a server on the other.
    client: Pod,
    near: Pod,
    far: Pod,
    plain_client: Pod,
    plain_server: Pod,
}

impl Stage {
    fn set(name: &str) -> Result<Self> {
        let nodes = nodes()?;
        let [here, there] = [nodes.first(), nodes.get(1)].map(|node| node.map(String::as_str));
        let (mesh, plain) = (Namespace::meshed(name)?, Namespace::plain(&format!("{name}-plain"))?);
        let in_mesh = [("client", here), ("near", here), ("far", there)];
        let outside = [("plain-client", here), ("plain-server", there)];
        for (namespace, apps) in [(&mesh, &in_mesh[..]), (&plain, &outside[..])] {
            for (app, node) in apps {
                namespace.apply(&[
                    workload(app, 1, *node),
                    service(&format!("{app}-v4"), app, false),
                    service(&format!("{app}-v6"), app, true),
                ])?;
            }
        }
        for (namespace, apps) in [(&mesh, &in_mesh[..]), (&plain, &outside[..])] {
            apps.iter().try_for_each(|(app, _)| namespace.rolled_out(app))?;
        }
        let [client, near, far] = ["client", "near", "far"].map(|app| mesh.pod(app));
        let [plain_client, plain_server] = ["plain-client", "plain-server"].map(|app| plain.pod(app));
        Ok(Self {
            client: client?,
            near: near?,
            far: far?,
            plain_client: plain_client?,
            plain_server: plain_server?,
            mesh,
            plain,
        })
    }

    fn proxies(&self) -> [&Pod; 3] {
        [&self.client, &self.near, &self.far]
    }

    fn check(&self) -> Result<()> {
        for pod in self.proxies() {
            ensure!(pod.is_meshed(), "{} is not meshed: {:?}", pod.name, pod.containers());
        }
        ensure!(!self.plain_client.is_meshed(), "a pod of an unlabelled namespace is meshed");
        let cases = self.cases()?;
        let (logged, before) = (seen(&self.proxies())?, self.counted()?);
        run(&cases)?;
        let mut expected = BTreeMap::new();
        for case in &cases {
            case.expected.iter().for_each(|seen| *expected.entry(seen.clone()).or_insert(0) += case.lines);
        }
        // A line is written when its connection has ended, which the client does not wait for.
        let sum = |counts: &BTreeMap<Seen, usize>| counts.values().sum::<usize>();
        let all = eventually("all connections in the access logs", Duration::from_secs(20), || {
            Ok((sum(&seen(&self.proxies())?) >= sum(&logged) + sum(&expected)).then_some(()))
        });
        // Says which are not there.
        compare(&expected, &since(&logged, &seen(&self.proxies())?))?;
        all?;
        for ((pod, reporter), now) in self.counted()? {
            let before = before.get(&(pod.clone(), reporter)).copied().unwrap_or(0);
            let carried: usize = expected
                .iter()
                .filter(|((name, by, _), _)| *name == pod && by == reporter)
                .map(|(_, n)| n)
                .sum();
            ensure!(
                now - before == carried as u64,
                "{pod} counted {} as {reporter}, carried {carried}",
                now - before
            );
        }
        println!("{} connections, each where it belongs", cases.len());
        Ok(())
    }

    fn counted(&self) -> Result<BTreeMap<(String, &'static str), u64>> {
        let mut counts = BTreeMap::new();
        for pod in self.proxies() {
            for reporter in ["source", "destination"] {
                counts.insert((pod.name.clone(), reporter), counted(pod, reporter)?);
            }
        }
        Ok(counts)
    }

    fn cases(&self) -> Result<Vec<Case>> {
        let mut cases = Vec::new();
        let pairs = [
            (
                &self.client,
                vec![(&self.near, "near"), (&self.far, "far"), (&self.plain_server, "plain-server")],
            ),
            (&self.plain_client, vec![(&self.near, "near"), (&self.far, "far")]),
            (&self.near, vec![(&self.near, "near")]),
        ];
        for (from, targets) in &pairs {
            for (to, app) in targets {
                for protocol in Protocol::ALL {
                    for v6 in [false, true] {
                        cases.push(self.by_service(from, (to, app), protocol, v6)?);
                        cases.push(self.by_address(from, to, protocol, v6)?);
                    }
                }
            }
        }
        Ok(cases)
    }

    fn by_service(&self, from: &Pod, (to, app): (&Pod, &str), protocol: Protocol, v6: bool) -> Result<Case> {
        let namespace = if to.is_meshed() { &self.mesh } else { &self.plain };
        let name = format!("{app}-{}", if v6 { "v6" } else { "v4" });
        let object = namespace.get(&["service", &name])?;
        let ip: IpAddr = object["spec"]["clusterIP"].as_str().context("a cluster address")?.parse()?;
        let original = std::net::SocketAddr::new(ip, protocol.port()).to_string();
        let host = format!("{name}.{}.svc.cluster.local", namespace.name);
        let mut case = Case::new(from, Load::one_connection(protocol, &host, v6), protocol);
        case.expect_source(from, original);
        case.expect_destination(to, to.address(v6, protocol.port())?.to_string());
        Ok(case)
    }

    fn by_address(&self, from: &Pod, to: &Pod, protocol: Protocol, v6: bool) -> Result<Case> {
        let address = to.address(v6, protocol.port())?;
        let host = if v6 { format!("[{}]", address.ip()) } else { address.ip().to_string() };
        let mut case = Case::new(from, Load::one_connection(protocol, &host, v6), protocol);
        // A pod's call to its own address is loopback, which is never captured.
        if from.name != to.name {
            case.expect_source(from, address.to_string());
            case.expect_destination(to, address.to_string());
        }
        Ok(case)
    }
}

/// Calls that a load makes over its one connection.
const CALLS: u64 = 2;

/// One connection, and what the proxies have to say of it.
struct Case {
    from: Pod,
    load: Load,
    expected: Vec<Seen>,
    /// How often: of HTTP each request is told, of everything else the connection.
    lines: usize,
}

impl Case {
    fn new(from: &Pod, load: Load, protocol: Protocol) -> Self {
        let lines = if protocol == Protocol::Tcp { 1 } else { CALLS as usize };
        Self { from: from.clone(), load, expected: Vec::new(), lines }
    }

    fn expect_source(&mut self, from: &Pod, original: String) {
        if from.is_meshed() {
            self.expected.push((from.name.clone(), "source".to_owned(), original));
        }
    }

    fn expect_destination(&mut self, to: &Pod, original: String) {
        if to.is_meshed() {
            self.expected.push((to.name.clone(), "destination".to_owned(), original));
        }
    }
}

fn run(cases: &[Case]) -> Result<()> {
    let next = Mutex::new(cases.iter());
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                // The guard ends with the closure, so that the loads run side by side.
                while let Some(case) = next.lock().ok().and_then(|mut cases| cases.next()) {
                    let result = case.load.run(&case.from).and_then(|result| result.check(CALLS));
                    if let (Err(error), Ok(mut faults)) = (result, faults.lock()) {
                        faults.push(format!("{:?} from {}: {error:#}", case.load, case.from.name));
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap_or_default();
    ensure!(faults.is_empty(), "{} of {} loads failed:\n{}", faults.len(), cases.len(), faults.join("\n"));
    Ok(())
}

fn since(before: &BTreeMap<Seen, usize>, now: &BTreeMap<Seen, usize>) -> BTreeMap<Seen, usize> {
    now.iter()
        .map(|(seen, count)| (seen.clone(), count - before.get(seen).copied().unwrap_or(0)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn compare(expected: &BTreeMap<Seen, usize>, actual: &BTreeMap<Seen, usize>) -> Result<()> {
    let missing: Vec<_> = expected.iter().filter(|(seen, count)| actual.get(seen) != Some(count)).collect();
    let surplus: Vec<_> = actual.iter().filter(|(seen, count)| expected.get(seen) != Some(count)).collect();
    if missing.is_empty() && surplus.is_empty() {
        return Ok(());
    }
    bail!("access logs differ\nexpected: {missing:#?}\nlogged: {surplus:#?}")
}
