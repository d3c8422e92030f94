//! The webhook while its own pods come and go: nothing is refused that need not be, and nothing starts unmeshed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::cluster::{FORTIO_IMAGE, Namespace, apply, eventually, get, kubectl, kubectl_stdin, script};

const BATCH: usize = 5;

#[test]
fn a_stop_and_a_rotation_refuse_no_pod_and_miss_none() -> Result<()> {
    let mesh = Namespace::meshed("stream")?;
    let stop = AtomicBool::new(false);
    let created = std::thread::scope(|scope| {
        let stream = scope.spawn(|| stream(&mesh, &stop));
        let result = stop_one().and_then(|()| rotate());
        stop.store(true, Ordering::Relaxed);
        let created = stream.join().ok().context("the stream's thread")?;
        result.and(created)
    })?;
    let list = mesh.get(&["pods"])?;
    let items = list["items"].as_array().context("pods")?;
    ensure!(items.len() == created, "{created} created, {} there", items.len());
    ensure!(created > 20 * BATCH, "only {created} pods in the stream");
    let unmeshed = unmeshed(items);
    ensure!(unmeshed.is_empty(), "not meshed: {unmeshed:?}");
    println!("{created} pods created meanwhile, none refused, none unmeshed");
    Ok(())
}

#[test]
fn a_killed_webhook_leaves_no_pod_unmeshed_and_the_controller_gets_all() -> Result<()> {
    let mesh = Namespace::meshed("killed")?;
    let replicas = 40;
    let template = json!({"metadata": {"labels": {"app": "app"}}, "spec": idle_spec()});
    mesh.apply(&[json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "app"}}, "template": template},
    })])?;
    let victim = injector_pods()?.into_iter().next().context("an injector pod")?;
    let node = victim["spec"]["nodeName"].as_str().context("its node")?.to_owned();
    // In this order, so that pods are created while the API server still calls the dead one.
    script("cluster", &["kill", &node, "injector"])?;
    mesh.kubectl(&["scale", "deployment/app", &format!("--replicas={replicas}")])?;
    eventually("all pods of the Deployment", Duration::from_secs(120), || {
        let list = mesh.get(&["pods"])?;
        Ok((list["items"].as_array().map_or(0, Vec::len) == replicas).then_some(()))
    })?;
    let list = mesh.get(&["pods"])?;
    let unmeshed = unmeshed(list["items"].as_array().context("pods")?);
    ensure!(unmeshed.is_empty(), "not meshed: {unmeshed:?}");
    let refused = mesh.get(&["events", "--field-selector", "reason=FailedCreate"])?;
    let refused = refused["items"].as_array().map_or(0, Vec::len);
    println!("{replicas} pods, all meshed; the controller was refused {refused} times and tried again");
    let name = victim["metadata"]["name"].as_str().context("its name")?;
    eventually("the killed injector's next start", Duration::from_secs(60), || {
        let pod = get(&["-n", api::control::NAMESPACE, "pod", name])?;
        let ended = &pod["status"]["containerStatuses"][0]["lastState"]["terminated"];
        Ok((ended["exitCode"] == 137).then_some(()))
    })?;
    injector_rolled_out()
}

#[test]
fn a_killed_api_server_leaves_no_pod_unmeshed_and_who_tries_again_gets_all() -> Result<()> {
    let mesh = Namespace::meshed("outage")?;
    let (stop, created) = (AtomicBool::new(false), AtomicUsize::new(0));
    let refused = std::thread::scope(|scope| {
        let stream = scope.spawn(|| stubborn_stream(&mesh, &stop, &created));
        let result = kill_api_server(&created);
        stop.store(true, Ordering::Relaxed);
        let refused = stream.join().ok().context("the stream's thread")?;
        result.and(refused)
    })?;
    let created = created.into_inner();
    let list = mesh.get(&["pods"])?;
    let items = list["items"].as_array().context("pods")?;
    ensure!(items.len() == created, "{created} created, {} there", items.len());
    let unmeshed = unmeshed(items);
    ensure!(unmeshed.is_empty(), "not meshed: {unmeshed:?}");
    println!("{created} pods created around the API server's end, {refused} tries failed, none unmeshed");
    // The controllers have lost their leases, too; who comes next needs them.
    Namespace::plain("after-the-outage").map(drop)
}

/// As [`stream`], but a batch that fails is sent again until it is there. The number of failures; there may be none, since
/// kubectl itself repeats what it reads and the first restart is quick.
fn stubborn_stream(mesh: &Namespace, stop: &AtomicBool, created: &AtomicUsize) -> Result<usize> {
    let mut failed = 0;
    while !stop.load(Ordering::Relaxed) {
        let pods = batch(mesh, created.load(Ordering::Relaxed));
        eventually("a batch of pods", Duration::from_secs(120), || {
            apply(&pods).inspect_err(|_| failed += 1).map(Some)
        })?;
        created.fetch_add(BATCH, Ordering::Relaxed);
    }
    Ok(failed)
}

/// SIGKILL while pods are created; comes back when the kubelet has started the next one, and it has created some, too.
fn kill_api_server(created: &AtomicUsize) -> Result<()> {
    let more = |count: usize| {
        let goal = created.load(Ordering::Relaxed) + count;
        eventually("more pods", Duration::from_secs(120), || {
            Ok((created.load(Ordering::Relaxed) >= goal).then_some(()))
        })
    };
    let nodes = get(&["nodes", "-l", "node-role.kubernetes.io/control-plane"])?;
    let node = nodes["items"][0]["metadata"]["name"].as_str().context("the control plane's node")?;
    let pod = format!("kube-apiserver-{node}");
    let starts = || -> Result<u64> {
        let pod = get(&["-n", "kube-system", "pod", &pod])?;
        pod["status"]["containerStatuses"][0]["restartCount"].as_u64().context("its restarts")
    };
    more(4 * BATCH)?;
    let before = starts()?;
    script("cluster", &["kill", node, "kube-apiserver"])?;
    eventually("the API server's next start", Duration::from_secs(120), || {
        Ok((starts()? > before).then_some(()))
    })?;
    more(4 * BATCH)
}

fn batch(mesh: &Namespace, first: usize) -> Vec<Value> {
    let pod = |number| {
        let metadata = json!({"name": format!("p{number}"), "namespace": mesh.name});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": idle_spec()})
    };
    (first..first + BATCH).map(pod).collect()
}

/// Creates pods, a batch at a time, until told to stop. A refusal ends it: these pods have no controller that would retry.
fn stream(mesh: &Namespace, stop: &AtomicBool) -> Result<usize> {
    let mut created = 0;
    while !stop.load(Ordering::Relaxed) {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": batch(mesh, created)});
        kubectl_stdin(&["create", "-f", "-"], &list.to_string())
            .with_context(|| format!("after {created} pods"))?;
        created += BATCH;
    }
    Ok(created)
}

/// Pods that no node takes: admission is what is tested, not starting.
fn idle_spec() -> Value {
    json!({
        "containers": [{"name": "app", "image": FORTIO_IMAGE, "args": ["server"]}],
        "nodeSelector": {"remora.test/none": "none"},
    })
}

fn stop_one() -> Result<()> {
    let pods = injector_pods()?;
    let name = pods.first().and_then(|pod| pod["metadata"]["name"].as_str()).context("an injector pod")?;
    kubectl(&["-n", api::control::NAMESPACE, "delete", "pod", name])?;
    injector_rolled_out()
}

/// Lifetimes with which the authority rotates each minute.
const SHORT: [&str; 2] = ["--ca-lifetime=2m", "--leaf-lifetime=20s"];

/// Certificates that live 20 s by authorities that live 2 min, through two rotations of those; then the configured lifetimes
/// again.
fn rotate() -> Result<()> {
    let deployment = format!("deployment/{}", api::control::INJECTOR);
    let object = get(&["-n", api::control::NAMESPACE, &deployment])?;
    let arguments =
        object["spec"]["template"]["spec"]["containers"][0]["args"].as_array().context("arguments")?;
    let short: Vec<Value> = arguments.iter().cloned().chain(SHORT.map(|argument| json!(argument))).collect();
    let set = |arguments: &[Value]| -> Result<()> {
        let patch =
            json!([{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": arguments}]);
        kubectl(&[
            "-n",
            api::control::NAMESPACE,
            "patch",
            &deployment,
            "--type=json",
            "-p",
            &patch.to_string(),
        ])?;
        injector_rolled_out()
    };
    set(&short)?;
    let leaves = expiries("webhook_certificate_expiry_timestamp_seconds")?;
    let mut authorities = BTreeSet::from([authority()?]);
    // The one that was there is due at once, since it is older than a minute; two more follow.
    eventually("three other authorities", Duration::from_secs(240), || {
        authorities.insert(authority()?);
        Ok((authorities.len() > 3).then_some(()))
    })?;
    let last = authority()?;
    eventually("a former authority's end in the bundle", Duration::from_secs(90), || {
        let bundle = bundle()?;
        let former =
            authorities.iter().filter(|authority| **authority != last && bundle.contains(*authority));
        Ok((former.count() < 3).then_some(()))
    })?;
    let now = expiries("webhook_certificate_expiry_timestamp_seconds")?;
    let renewed =
        |(pod, expiry): (&String, &f64)| leaves.get(pod).is_some_and(|first| expiry - first >= 20.0);
    ensure!(now.iter().all(renewed), "not every replica renewed its leaf: {leaves:?}, {now:?}");
    set(arguments)
}

/// The certificate that signs now, as PEM without line ends.
fn authority() -> Result<String> {
    let secret = get(&["-n", api::control::NAMESPACE, "secret", api::control::CA_SECRET])?;
    lines(&secret["data"]["tls.crt"])
}

/// What is published, as PEM without line ends.
fn bundle() -> Result<String> {
    let configuration = get(&["mutatingwebhookconfiguration", api::control::WEBHOOK_CONFIGURATION])?;
    lines(&configuration["webhooks"][0]["clientConfig"]["caBundle"])
}

fn lines(base64: &Value) -> Result<String> {
    use base64::Engine as _;
    let text = base64.as_str().context("base64")?;
    let pem = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text)?)?;
    Ok(pem.lines().collect())
}

/// The values of a metric, by replica.
fn expiries(metric: &str) -> Result<std::collections::BTreeMap<String, f64>> {
    let mut expiries = std::collections::BTreeMap::new();
    for pod in injector_pods()? {
        let name = pod["metadata"]["name"].as_str().context("a name")?.to_owned();
        let path = format!(
            "/api/v1/namespaces/{}/pods/{name}:{}/proxy/metrics",
            api::control::NAMESPACE,
            api::ports::INJECTOR_ADMIN
        );
        let metrics = kubectl(&["get", "--raw", &path])?;
        let line = metrics.lines().find(|line| line.starts_with(metric));
        let value = line.and_then(|line| line.rsplit(' ').next()).context("the certificate's expiry")?;
        expiries.insert(name, value.parse()?);
    }
    Ok(expiries)
}

fn injector_rolled_out() -> Result<()> {
    let deployment = format!("deployment/{}", api::control::INJECTOR);
    kubectl(&["-n", api::control::NAMESPACE, "rollout", "status", &deployment, "--timeout=120s"]).map(|_| ())
}

/// The injector's pods, those that are on their way out left aside.
fn injector_pods() -> Result<Vec<Value>> {
    let list = get(&[
        "-n",
        api::control::NAMESPACE,
        "pods",
        "-l",
        &format!("{}={}", api::labels::APP_NAME, api::control::INJECTOR),
    ])?;
    let items = list["items"].as_array().context("pods")?;
    Ok(items.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).cloned().collect())
}

fn unmeshed(pods: &[Value]) -> BTreeSet<String> {
    let ours = |pod: &Value| {
        let names =
            pod["spec"]["initContainers"].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str());
        let names: BTreeSet<&str> = names.collect();
        [api::pod::INIT_CONTAINER, api::pod::PROXY_CONTAINER].iter().all(|name| names.contains(name))
    };
    pods.iter().filter(|pod| !ours(pod)).map(|pod| pod["metadata"]["name"].to_string()).collect()
}
