//! The story of the demo from beginning to end. Values are made in the order in which they depend on each other, so they
//! are taken down in the reverse one, however the story ends.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::Uid;
use serde_json::{Value, json};
use tests::netns::{Node, Switch};
use tests::pod::{Image, Kubelet};
use tests::{binaries, leftovers};

use crate::calls::{Call, Kind, Party, call};
use crate::control_plane::{self, ControlPlane};
use crate::evidence::{accounts, trace};
use crate::pods::{self, APPLICATION};
use crate::report::{fact, say, section, table};
use crate::rules;

/// Tells it on standard output; the error is the first fact that is not as it should be.
pub(crate) fn tell() -> Result<()> {
    if !Uid::effective().is_root() {
        bail!("the demo makes network namespaces and rules in them, which needs root: run it as root");
    }
    let began = Instant::now();
    println!(
        "Remora: the main job without a cluster. Network namespaces stand in for pods; the injector, the"
    );
    println!("webhook call, the rules, the proxies and the traffic are real.");
    let directory = leftovers::directory("demo")?;
    let images = images(binaries::init_redirect_as_in_image(directory.path())?)?;
    let mut switch = Switch::new("node")?;
    let (control, client, server, outside) = (
        switch.attach("control")?,
        switch.attach("client")?,
        switch.attach("server")?,
        switch.attach("outside")?,
    );
    let mut kubelet = Kubelet::new(&switch, images);
    let (api, kubeconfig) = control_plane::api_server(&control)?;
    kubelet.config_maps.insert(control_plane::kubeconfig_name(), kubeconfig);
    kubelet.config_maps.extend([control_plane::configuration()?]);

    section(1, "The control plane");
    let control = ControlPlane::start(api, &kubelet, &control)?;
    let ready = control.injector.timeline().last().map(|(at, _)| *at).unwrap_or_default();
    say(&format!(
        "The injector runs as manifests/deployment.yaml says. It was ready after {} ms, and has made a certificate \
         authority and published it in the webhook's configuration ({} certificate in caBundle).",
        ready.as_millis(),
        control.certificates()
    ));

    section(2, "What was injected, and why");
    let meshed = json!({"istio-injection": "enabled", "kubernetes.io/metadata.name": "shop"});
    let unmeshed = json!({"kubernetes.io/metadata.name": "legacy"});
    let client_pod = admit(&control, "client", "shop", &meshed)?;
    let server_pod = admit(&control, "server", "shop", &meshed)?;
    let outside_pod = admit(&control, "outside", "legacy", &unmeshed)?;

    section(3, "The pods start");
    let client = start(&kubelet, "client", &client_pod, &client)?;
    let server = start(&kubelet, "server", &server_pod, &server)?;
    let outside = start(&kubelet, "outside", &outside_pod, &outside)?;

    section(4, "The rules in each meshed pod");
    rules::explain(&client_pod)?;
    rules::prove(&[&client, &server])?;

    section(5, "Where each connection went");
    let calls = traffic(&[&client, &server, &outside])?;

    section(6, "What the proxies counted");
    count(&[&client, &server], &calls)?;

    section(7, "The pods stop");
    stop(client)?;
    stop(server)?;
    stop(outside)?;
    drop(control);
    println!("\nAll as it should be, in {:.1} s.", began.elapsed().as_secs_f32());
    Ok(())
}

fn images(init: std::path::PathBuf) -> Result<[(String, Image); 5]> {
    let init = Image::of(init, api::pod::INIT_BINARY);
    let images = [
        (api::pod::INJECTOR_IMAGE, Image::of(binaries::injector()?, api::pod::INJECTOR_BINARY)),
        (api::pod::INIT_IMAGE, init.clone()),
        (api::pod::INIT_IPTABLES_IMAGE, init.with_programs()),
        (api::pod::PROXY_IMAGE, Image::of(binaries::proxy()?, api::pod::PROXY_BINARY)),
        (pods::APPLICATION_IMAGE, Image::of(binaries::peer()?, "/application")),
    ];
    Ok(images.map(|(name, image)| (name.to_owned(), image)))
}

/// Sends a new pod through admission, and tells what came of it.
fn admit(control: &ControlPlane<'_>, workload: &str, namespace: &str, labels: &Value) -> Result<Value> {
    let pod = pods::of_replica_set(workload, namespace);
    if !control.selects(labels, &pod)? {
        ensure!(
            workload == "outside",
            "the webhook's selectors do not match pod {workload} in namespace {namespace}"
        );
        say(&format!(
            "Pod {workload}: namespace {namespace} has no label istio-injection=enabled, so the API server does not even \
             call the webhook. The pod stays as it is."
        ));
        return pods::admitted(pod);
    }
    ensure!(workload != "outside", "the webhook's selectors match pod {workload} in namespace {namespace}");
    let patched = control.admit(&pod)?;
    pods::check_unharmed(&pod, &patched, "").with_context(|| format!("pod {workload}"))?;
    let status = patched.pointer("/metadata/annotations").and_then(|all| all.get(api::annotations::STATUS));
    let status =
        status.and_then(Value::as_str).with_context(|| format!("pod {workload} was not injected"))?;
    let status: Value = serde_json::from_str(status).context("the status annotation is not JSON")?;
    say(&format!("Pod {workload} in namespace {namespace}, which is labelled istio-injection=enabled:"));
    fact("why", &words(status.get("reasons")));
    for container in
        ["/spec/initContainers", "/spec/containers"].map(|list| pods::added(&pod, &patched, list)).concat()
    {
        fact("container", &describe(container));
    }
    let volumes = pods::added(&pod, &patched, "/spec/volumes");
    fact("volumes", &volumes.into_iter().map(pods::name).collect::<Vec<_>>().join(", "));
    fact("labels", &pods::added_keys(&pod, &patched, "/metadata/labels").join(", "));
    fact("annotations", &pods::added_keys(&pod, &patched, "/metadata/annotations").join(", "));
    fact("changed", "nothing: all that the pod had is in it as it was");
    println!();
    pods::admitted(patched)
}

fn words(list: Option<&Value>) -> String {
    let words = list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    words.collect::<Vec<_>>().join(", ")
}

fn describe(container: &Value) -> String {
    let text = |path: &str| container.pointer(path).map(ToString::to_string).unwrap_or_default();
    let granted = words(container.pointer("/securityContext/capabilities/add"));
    let kind = if container.get("restartPolicy").is_some() {
        "sidecar, runs as long as the pod"
    } else {
        "runs once"
    };
    format!(
        "{}: {kind}; uid {}, gid {}, capabilities: {}",
        pods::name(container),
        text("/securityContext/runAsUser"),
        text("/securityContext/runAsGroup"),
        if granted.is_empty() { "none" } else { &granted }
    )
}

fn start<'a>(kubelet: &'a Kubelet<'a>, name: &'static str, pod: &Value, node: &'a Node) -> Result<Party<'a>> {
    let mut running = kubelet.run(pod, node).with_context(|| format!("pod {name}"))?;
    running.wait_ready().with_context(|| format!("pod {name}"))?;
    let told: Vec<String> =
        running.timeline().iter().map(|(at, what)| format!("{what} ({} ms)", at.as_millis())).collect();
    fact(name, &format!("{} and {}: {}", node.v4, node.v6, told.join(", ")));
    let meshed = running.container(api::pod::PROXY_CONTAINER).is_ok();
    if meshed {
        no_api_token(running.container(api::pod::PROXY_CONTAINER)?.pid())?;
    }
    Ok(Party { name, pod: running, node, meshed })
}

/// The application's API token must not be seen by the proxy.
fn no_api_token(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/root{}", api::pod::API_TOKEN_PATH);
    let mut files = std::fs::read_dir(&path).with_context(|| format!("cannot read {path}"))?;
    ensure!(files.next().is_none(), "the proxy sees the application's API token");
    Ok(())
}

/// Every kind of call, in both families, wherever a meshed pod is at an end.
fn traffic(parties: &[&Party<'_>; 3]) -> Result<Vec<Call>> {
    let [client, server, outside] = parties;
    let (mut calls, mut rows) = (Vec::new(), Vec::new());
    for (from, to) in [(client, server), (client, outside), (outside, server)] {
        for address in to.node.addresses() {
            for kind in Kind::ALL {
                let call = call(from, to, kind, address)?;
                let trace =
                    trace(&call, from, to).with_context(|| format!("{} to {}", from.name, call.target))?;
                let logged = |entry: Option<_>| if entry.is_some() { "logged" } else { "-" }.to_owned();
                rows.push(vec![
                    format!("{} -> {}", call.from, call.to),
                    call.kind.to_string(),
                    call.target.to_string(),
                    logged(trace.source),
                    logged(trace.destination),
                    call.seen.map_or_else(|| "(echo)".to_owned(), |address| address.to_string()),
                ]);
                calls.push(call);
            }
        }
    }
    table(&["call", "kind", "original destination", "source", "destination", "server saw"], &rows);
    println!();
    say(
        "Under \"source\" and \"destination\": whether the client's proxy and the server's carried and logged the \
         connection, with this original destination. All calls were made from within the applications' containers, and \
         every answer was the right one. The server sees its own proxy in place of a client, if it has one.",
    );
    Ok(calls)
}

fn count(parties: &[&Party<'_>], calls: &[Call]) -> Result<()> {
    let mut rows = Vec::new();
    for party in parties {
        for account in accounts(party, calls)? {
            rows.push(vec![
                account.pod.to_owned(),
                account.reporter.to_owned(),
                account.counters.connections.to_string(),
                account.counters.requests.to_string(),
                account.counters.received.to_string(),
                account.counters.sent.to_string(),
                account.calls.to_string(),
                account.probes.to_string(),
            ]);
        }
    }
    table(&["pod", "reporter", "connections", "requests", "bytes in", "bytes out", "calls", "probes"], &rows);
    println!();
    say(
        "\"source\" is the proxy in its part as the client's, \"destination\" in that as the server's. Connections and \
         requests (of HTTP) are the calls above and the kubelet's probes of the application, and nothing else; the access \
         logs tell the same.",
    );
    Ok(())
}

/// Stops a pod as a kubelet does; the sidecar must outlive the application, and nothing may need to be killed.
fn stop(party: Party<'_>) -> Result<()> {
    let name = party.name;
    let ended = party.pod.stop();
    let told: Vec<String> = ended
        .iter()
        .map(|end| format!("{} {} ({} ms)", end.name, how(end.code), end.gone.as_millis()))
        .collect();
    fact(name, &told.join(", then "));
    for end in &ended {
        ensure!(!end.killed, "pod {name}: {} did not end within the grace period\n{}", end.name, end.output);
        if let Some(failure) = &end.hook_failure {
            bail!("pod {name}: the preStop hook of {} failed: {failure}\n{}", end.name, end.output);
        }
        if end.name == api::pod::PROXY_CONTAINER {
            ensure!(end.code == 0, "pod {name}: the proxy ended with code {}\n{}", end.code, end.output);
        }
    }
    ensure!(ended.first().is_some_and(|end| end.name == APPLICATION), "pod {name}: the sidecar ended first");
    Ok(())
}

fn how(code: i32) -> String {
    match code {
        0 => "ended in good order".to_owned(),
        143 => "was ended by SIGTERM".to_owned(),
        code => format!("ended with code {code}"),
    }
}
