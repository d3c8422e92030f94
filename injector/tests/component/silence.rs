//! I16: at the level that installations run with, no part of a pod stands in the log, whatever becomes of its review. What pods
//! carry are people's secrets, and logs are read by others than pods are.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::api_server::ApiServer;
use tests::exec;
use tests::webhook::{Connection, admission_review};

use crate::common::pods;
use crate::running::{api_server, bundle};

/// Valid wherever Kubernetes takes a name, a value, or a part of a key.
const SECRET: &str = "hunter2-ohl9aeM4";

const PATIENCE: Duration = Duration::from_secs(30);

/// The pod with the secret in all that its author may write freely.
fn told(mut pod: Value) -> Value {
    let metadata = pod["metadata"].as_object_mut().unwrap();
    metadata.insert("name".to_owned(), json!(SECRET));
    for field in ["annotations", "labels"] {
        let pairs = metadata.entry(field).or_insert_with(|| json!({}));
        if pairs.is_null() {
            *pairs = json!({});
        }
        pairs.as_object_mut().unwrap().insert(format!("example.com/{SECRET}"), json!(SECRET));
    }
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": SECRET, "uid": SECRET, "controller": true});
    metadata.insert("ownerReferences".to_owned(), json!([owner]));
    for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
        let container = container.as_object_mut().unwrap();
        container.insert("env".to_owned(), json!([{"name": SECRET, "value": SECRET}]));
        for field in ["args", "command"] {
            container.insert(field.to_owned(), json!([SECRET]));
        }
        container.insert("image".to_owned(), json!(SECRET));
    }
    pod
}

/// The same with an annotation of ours: refused for the value, or warned about for the key.
fn annotated(pod: &Value, key: &str) -> Value {
    let mut pod = told(pod.clone());
    pod["metadata"]["annotations"][key] = json!(SECRET);
    pod
}

fn reviews() -> Vec<Bytes> {
    let review = |pod: &Value| {
        let mut review = admission_review("shop", pod);
        review["request"]["userInfo"]["username"] = json!(SECRET);
        review
    };
    let mut reviews: Vec<Value> = pods().into_iter().map(|pod| review(&told(pod))).collect();
    let plain =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {"containers": [{"name": "web"}]}});
    for key in
        [api::annotations::PROXY_CPU, "sidecar.istio.io/proxyCPUs", &format!("sidecar.istio.io/{SECRET}")]
    {
        reviews.push(review(&annotated(&plain, key)));
    }
    // Long enough to be answered on another thread.
    let mut long = told(plain.clone());
    long["spec"]["containers"][0]["args"] = vec![SECRET; 20_000].into();
    reviews.push(review(&long));
    for field in ["kind", "apiVersion"] {
        let mut wrong = review(&plain);
        wrong[field] = json!(SECRET);
        reviews.push(wrong);
    }
    for field in
        ["/request/object", "/request/uid", "/request/kind", "/request/namespace", "/request/object/spec"]
    {
        let mut wrong = review(&plain);
        *wrong.pointer_mut(field).unwrap() = json!(SECRET);
        reviews.push(wrong);
    }
    let twice = format!("{{\"{SECRET}\": 1, \"{SECRET}\": 2}}");
    let broken = format!("{{\"apiVersion\": \"{SECRET}");
    let texts = reviews.iter().map(Value::to_string).chain([twice, broken, SECRET.to_owned()]);
    texts.map(Bytes::from).collect()
}

/// Whether answers named the secret, so that the log had something to repeat.
async fn ask(webhook: SocketAddr, api: &ApiServer) -> bool {
    let bundle = bundle(api);
    let mut named = false;
    let mut refused = 0;
    for body in reviews() {
        let mut connection = Connection::open(webhook, &bundle).await.unwrap();
        let path = api::control::WEBHOOK_NAMESPACE_PATH;
        let (status, answer) = connection.post(path, body).await.unwrap();
        refused += usize::from(status.is_client_error());
        named |= String::from_utf8_lossy(&answer).contains(&format!("\\\"{SECRET}\\\""));
    }
    assert!(refused >= 5, "only {refused} bodies were no reviews");
    let path = format!("/{SECRET}?{SECRET}");
    let request = Request::post(path).header("host", SECRET).header("content-type", SECRET);
    let mut connection = Connection::open(webhook, &bundle).await.unwrap();
    let answer = connection.send(request.body(http_body_util::Full::default()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    named
}

/// Two that are free, and not among those that the kernel gives to others meanwhile (net.ipv4.ip_local_port_range).
fn free_ports() -> [u16; 2] {
    let first = 10_000 + u16::try_from(std::process::id() % 10_000).expect("below 10,000");
    let is_free =
        |port: &u16| ["0.0.0.0", "::"].iter().all(|all| std::net::TcpListener::bind((*all, *port)).is_ok());
    let mut free = (first..32_000).filter(is_free);
    [(); 2].map(|()| free.next().expect("two of thousands"))
}

#[tokio::test]
async fn nothing_of_a_pod_stands_in_the_log() {
    let api = api_server();
    let directory = tempfile::tempdir().unwrap();
    let (kubeconfig, configuration) = (directory.path().join("kubeconfig"), directory.path().join("config"));
    std::fs::write(&kubeconfig, api.kubeconfig()).unwrap();
    let text = "apiVersion: remora.dev/v1alpha1\nkind: InjectorConfiguration\nevents: true\n";
    std::fs::write(&configuration, text).unwrap();
    // An Event that cannot be written is told.
    api.forbid("POST /apis/events.k8s.io/");
    let [webhook, admin] = free_ports().map(|port| std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    let mut command = Command::new(env!("CARGO_BIN_EXE_injector"));
    command
        .args(["serve", "--shutdown-delay=0s"])
        .args([format!("--webhook-port={}", webhook.port()), format!("--admin-port={}", admin.port())])
        .args([
            "--kubeconfig".as_ref(),
            kubeconfig.as_os_str(),
            "--config".as_ref(),
            configuration.as_os_str(),
        ])
        .env_remove("REMORA_LOG");
    let injector = exec::spawn("injector", command).unwrap();
    let says = |what: &'static str| {
        injector.wait_for(what, PATIENCE, |progress| progress.stderr.contains(what).then_some(())).unwrap();
    };
    says(" is ready");
    assert!(ask(webhook, &api).await, "no answer named the secret");
    says("an Event cannot be written");
    injector.signal(Signal::SIGTERM);
    assert_eq!(injector.wait_exit(PATIENCE), Some(0), "{}", injector.progress());
    let progress = injector.progress();
    assert!(progress.stderr.contains("a request that is no review"), "{}", progress.stderr);
    for log in [&progress.stderr, &progress.stdout] {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(SECRET)).collect();
        assert!(lines.is_empty(), "{lines:#?}");
    }
}
