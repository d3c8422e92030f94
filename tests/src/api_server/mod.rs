//! A scripted Kubernetes API server on loopback, plain HTTP: it keeps objects in memory and answers as the real one does where
//! the injector and its commands look (404, 409, resourceVersion, merge, apply by entry name, lists page by page, dry runs,
//! lists and watches of the metadata of namespaces).
//!
//! It deliberately validates nothing, and knows neither users nor field ownership (every apply is forced).
//! It runs on a thread of its own, so that a test of any kind can use it, and ends when it is dropped.
//!
//! Invariant: an object changes only by a request or by [`ApiServer::put`], [`ApiServer::edit`] and
//! [`ApiServer::remove`], and every change bumps its resourceVersion.

mod respond;
mod watch_body;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, DATE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::watch;

use self::respond::{failure, respond};
use self::watch_body::Answer;

/// Path of a MutatingWebhookConfiguration.
pub fn webhook_configuration_path(name: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{name}")
}

/// Path of a Secret.
pub fn secret_path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets/{name}")
}

/// Path of a Namespace.
pub fn namespace_path(name: &str) -> String {
    format!("{NAMESPACES}/{name}")
}

const NAMESPACES: &str = "/api/v1/namespaces";

/// Path of a Pod.
pub fn pod_path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods/{name}")
}

/// Path of a Deployment.
pub fn deployment_path(namespace: &str, name: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
}

/// What stands in for admission: the path of a collection and the object in, the object as it is admitted out, or the code
/// and the message of a refusal.
pub type Admission = dyn Fn(&str, Value) -> Result<Value, (u16, String)> + Send;

/// The running server.
pub struct ApiServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<tokio::sync::oneshot::Sender<Infallible>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    /// Every change, by its version.
    events: Vec<(u64, &'static str, String, Value)>,
    fail_next: usize,
    down: bool,
    /// What is answered as the time, for a clock that is off.
    date: Option<String>,
    forbidden: Vec<String>,
    admission: Option<Box<Admission>>,
    requests: Vec<String>,
}

impl ApiServer {
    /// Starts on a free port of 127.0.0.1.
    pub fn start() -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("API server: bind")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let served = shared.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    // The sender is never used, only dropped.
                    _ = stopped => {}
                    () = accept(listener, served) => {}
                }
            });
        });
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A kubeconfig that leads here.
    pub fn kubeconfig(&self) -> String {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "scripted",
            "clusters": [{"name": "scripted", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "scripted", "user": {}}],
            "contexts": [{"name": "scripted", "context": {"cluster": "scripted", "user": "scripted"}}],
        });
        // JSON is YAML.
        config.to_string()
    }

    /// Puts an object at its path, as `kubectl apply` would: new, or in place of what is there.
    pub fn put(&self, path: &str, object: Value) {
        self.state().store(path, object);
        self.notify();
    }

    /// Changes an object in place; nothing happens where there is none.
    pub fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        if let Some(mut object) = state.objects.get(path).cloned() {
            change(&mut object);
            state.store(path, object);
        }
        drop(state);
        self.notify();
    }

    /// Deletes an object.
    pub fn remove(&self, path: &str) {
        self.state().delete(path);
        self.notify();
    }

    /// The object at a path.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.state().objects.get(path).cloned()
    }

    /// The next `count` requests are answered with 500.
    pub fn fail_next(&self, count: usize) {
        self.state().fail_next = count;
    }

    /// While down, every connection is closed without an answer.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
        self.notify();
    }

    /// Answers come with this time from now on, which stands still.
    pub fn set_date(&self, time: SystemTime) {
        self.state().date = Some(httpdate::fmt_http_date(time));
    }

    /// Requests whose `METHOD /path` begins so are forbidden from now on.
    pub fn forbid(&self, beginning: &str) {
        self.state().forbidden.push(beginning.to_owned());
    }

    /// What is created passes through this from now on.
    pub fn admit(&self, admission: Box<Admission>) {
        self.state().admission = Some(admission);
    }

    /// `METHOD /path` of every request so far.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// Waits until the object at `path` satisfies `condition` (20 s at most) and returns it.
    pub async fn wait_for(&self, path: &str, condition: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let mut changes = self.shared.changes.subscribe();
        let found = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                if let Some(object) = self.get(path).filter(|object| condition(object)) {
                    return Ok(object);
                }
                changes.changed().await.context("API server is gone")?;
            }
        });
        found.await.with_context(|| format!("{path} did not become as expected: {:?}", self.get(path)))?
    }

    /// Waits until a request whose `METHOD /path` is `line` has been answered after this call (20 s at most).
    pub async fn wait_for_request(&self, line: &str) -> anyhow::Result<()> {
        let mut changes = self.shared.changes.subscribe();
        let before = self.requests().len();
        let seen = tokio::time::timeout(Duration::from_secs(20), async {
            while !self.requests().iter().skip(before).any(|request| request == line) {
                changes.changed().await.context("API server is gone")?;
            }
            Ok(())
        });
        seen.await.with_context(|| format!("no request {line}"))?
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    fn notify(&self) {
        self.shared.notify();
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl State {
    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        let version = self.version;
        let uid = self
            .objects
            .get(path)
            .and_then(|old| old.pointer("/metadata/uid").cloned())
            .unwrap_or_else(|| Value::String(format!("00000000-0000-4000-8000-{version:012}")));
        if let Some(object) = object.as_object_mut() {
            let metadata = object.entry("metadata").or_insert_with(|| json!({}));
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.insert("uid".to_owned(), uid);
                metadata.insert("resourceVersion".to_owned(), Value::String(version.to_string()));
            }
        }
        let kind = if self.objects.contains_key(path) { "MODIFIED" } else { "ADDED" };
        self.objects.insert(path.to_owned(), object.clone());
        self.events.push((version, kind, path.to_owned(), object.clone()));
        object
    }

    fn delete(&mut self, path: &str) -> Option<Value> {
        let mut object = self.objects.remove(path)?;
        self.version += 1;
        if let Some(metadata) = object.get_mut("metadata") {
            metadata["resourceVersion"] = Value::String(self.version.to_string());
        }
        self.events.push((self.version, "DELETED", path.to_owned(), object.clone()));
        Some(object)
    }

    /// The metadata of all namespaces, as a list has it.
    fn namespaces(&self) -> Value {
        let items = self.objects.iter().filter(|(path, _)| is_namespace(path));
        json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
            "metadata": {"resourceVersion": self.version.to_string()},
            "items": items.map(|(_, object)| partial(object)).collect::<Vec<_>>(),
        })
    }

    /// What happened to namespaces after a version: the last version and the lines of a watch.
    fn events_after(&self, version: u64) -> (u64, Vec<String>) {
        let events = self.events.iter().filter(|(at, _, path, _)| *at > version && is_namespace(path));
        let line =
            |kind: &str, object: &Value| json!({"type": kind, "object": partial(object)}).to_string() + "\n";
        (self.version, events.map(|(_, kind, _, object)| line(kind, object)).collect())
    }
}

fn is_namespace(path: &str) -> bool {
    path.strip_prefix(NAMESPACES)
        .and_then(|name| name.strip_prefix('/'))
        .is_some_and(|name| !name.contains('/'))
}

fn partial(object: &Value) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
}

async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| answer(shared.clone(), request));
            // An error is a client that went away, or the scripted outage.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// An error closes the connection without an answer.
async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Answer>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let path = parts.uri.path().to_owned();
    let mut state = shared.state();
    state.requests.push(format!("{} {path}", parts.method));
    let watched = watched_from(&parts);
    let answer = if state.down {
        Err(std::io::Error::other("scripted outage"))
    } else if state.fail_next > 0 {
        state.fail_next -= 1;
        Ok(failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "scripted failure"))
    } else if watched.is_some() {
        Ok((StatusCode::OK, Value::Null))
    } else {
        let query = parts.uri.query().unwrap_or_default();
        Ok(respond(&mut state, (&parts.method, &path, query), &parts.headers, &body))
    };
    let date = state.date.clone();
    drop(state);
    shared.notify();
    let (status, value) = answer?;
    let body = match watched {
        Some(version) if status == StatusCode::OK => Answer::watch(shared, version),
        Some(_) | None => Answer::from(value.to_string()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(date) = date {
        response.headers_mut().insert(DATE, HeaderValue::try_from(date).map_err(std::io::Error::other)?);
    }
    Ok(response)
}

/// The version after which a request watches namespaces, if it does.
fn watched_from(parts: &hyper::http::request::Parts) -> Option<u64> {
    let query = parts.uri.query().filter(|_| parts.uri.path() == NAMESPACES)?;
    let value = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    value("watch").filter(|watch| *watch == "true")?;
    value("resourceVersion")?.parse().ok()
}
