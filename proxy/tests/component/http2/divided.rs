//! Requests of one HTTP/2 connection, divided among the endpoints of a Service.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::{self, SendResponse};
use http::{Response, StatusCode};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::{client, get, runtime, soon};
use crate::discovery::{Mesh, WEB, endpoint, endpoints, listeners, web, workload};
use crate::support::THIS_POD;

/// The Service, with a port of gRPC.
fn grpc(endpoints: &[String]) -> String {
    web(endpoints).replace("tcp", "grpc")
}

type Respond = SendResponse<Bytes>;

/// An endpoint that answers when it is told to.
struct Endpoint {
    asked: UnboundedReceiver<Respond>,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
    /// The connections.
    serving: UnboundedReceiver<JoinHandle<()>>,
}

impl Endpoint {
    fn new(listener: &TcpListener) -> Self {
        Self::with(listener, server::Builder::new())
    }

    fn with(listener: &TcpListener, builder: server::Builder) -> Self {
        let listener = listener.try_clone().unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let ((sender, asked), (served, serving)) = (unbounded_channel(), unbounded_channel());
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let _ = served.send(tokio::spawn(serve(stream, builder.clone(), sender.clone())));
            }
        });
        Self { asked, connections, accepting, serving }
    }

    /// How many requests wait for an answer.
    fn answer_all(&mut self) -> usize {
        let mut answered = 0;
        while let Ok(mut respond) = self.asked.try_recv() {
            respond.send_response(Response::new(()), true).unwrap();
            answered += 1;
        }
        answered
    }

    async fn answer_one(&mut self) {
        let mut respond = soon(self.asked.recv()).await.unwrap();
        respond.send_response(Response::new(()), true).unwrap();
    }

    /// Its process is gone, and another one has its place.
    async fn restart(&mut self) {
        let serving = soon(self.serving.recv()).await.unwrap();
        serving.abort();
        let _ = serving.await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: tokio::net::TcpStream, builder: server::Builder, asked: UnboundedSender<Respond>) {
    let mut connection = builder.handshake(stream).await.unwrap();
    while let Some(Ok((_, respond))) = connection.accept().await {
        let _ = asked.send(respond);
    }
}

async fn all_ok(responses: Vec<ResponseFuture>) {
    for response in responses {
        assert_eq!(soon(response).await.unwrap().status(), StatusCode::OK);
    }
}

#[test]
fn requests_of_one_connection_are_divided_among_the_endpoints() {
    const REQUESTS: usize = 60;
    let listeners = listeners(3);
    let mesh = Mesh::start(&grpc(&endpoints(&listeners)));
    let caller = mesh.connect(WEB);
    runtime().block_on(async {
        let mut endpoints: Vec<_> = listeners.iter().map(Endpoint::new).collect();
        let mut requests = client(caller).await;
        let mut responses = vec![];
        for _ in 0..REQUESTS {
            responses.push(requests.send_request(get(), true).unwrap().0);
        }
        let mut asked = [0; 3];
        soon(async {
            while asked.iter().sum::<usize>() < REQUESTS {
                for (endpoint, asked) in endpoints.iter().zip(&mut asked) {
                    *asked = endpoint.asked.len();
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        // Of two that chance names the one with fewer requests gets the next one.
        assert!(asked.iter().all(|asked| (10..=30).contains(asked)), "{asked:?}");
        for (endpoint, asked) in endpoints.iter_mut().zip(asked) {
            assert_eq!(endpoint.answer_all(), asked);
            assert_eq!(endpoint.connections.load(Ordering::Relaxed), 1);
        }
        all_ok(responses).await;
    });
    let lines = mesh.stop();
    let mut hosts = BTreeMap::new();
    for line in &lines {
        *hosts.entry(line["upstream_host"].to_string()).or_insert(0) += 1;
    }
    assert_eq!((lines.len(), hosts.len()), (REQUESTS, 3), "each line names its endpoint: {hosts:?}");
}

#[test]
fn a_server_that_starts_anew_loses_no_later_request() {
    let listeners = listeners(1);
    let mesh = Mesh::start(&grpc(&endpoints(&listeners)));
    let caller = mesh.connect(WEB);
    runtime().block_on(async {
        let mut endpoint = Endpoint::new(&listeners[0]);
        let mut requests = client(caller).await;
        for round in 1..=5 {
            let response = requests.send_request(get(), true).unwrap().0;
            endpoint.answer_one().await;
            all_ok(vec![response]).await;
            assert_eq!(endpoint.connections.load(Ordering::Relaxed), round);
            endpoint.restart().await;
        }
    });
    let lines = mesh.stop();
    assert!(lines.len() == 5 && lines.iter().all(|line| line["response_code"] == 200), "{lines:?}");
    let mut sockets: Vec<_> = lines.iter().map(|line| line["upstream_local_address"].to_string()).collect();
    sockets.dedup();
    assert_eq!(sockets.len(), 5, "{sockets:?}");
}

#[test]
fn a_dead_endpoint_loses_no_request() {
    let mut listeners = listeners(2);
    let mesh = Mesh::start(&grpc(&endpoints(&listeners)));
    drop(listeners.remove(0));
    let caller = mesh.connect(WEB);
    runtime().block_on(async {
        let mut endpoint = Endpoint::new(&listeners[0]);
        let mut requests = client(caller).await;
        for _ in 0..50 {
            let response = requests.send_request(get(), true).unwrap().0;
            endpoint.answer_one().await;
            all_ok(vec![response]).await;
        }
        assert_eq!(endpoint.connections.load(Ordering::Relaxed), 1);
    });
    let lines = mesh.stop();
    assert!(lines.iter().all(|line| line["response_flags"] == "-"), "{lines:?}");
}

#[test]
fn only_what_comes_back_to_the_pod_has_two_accounts() {
    let own = TcpListener::bind((THIS_POD, 0)).unwrap();
    let other = &listeners(1)[0];
    let addresses = [&own, other].map(|listener| listener.local_addr().unwrap());
    let mesh = Mesh::start(&grpc(&addresses.map(endpoint)));
    let caller: TcpStream = mesh.connect(WEB);
    let asked = runtime().block_on(async {
        let mut endpoints = [&own, other].map(Endpoint::new);
        let mut requests = client(caller).await;
        let mut asked = [0; 2];
        for _ in 0..40 {
            let response = requests.send_request(get(), true).unwrap().0;
            let [first, second] = &mut endpoints;
            tokio::select! {
                () = first.answer_one() => asked[0] += 1,
                () = second.answer_one() => asked[1] += 1,
            }
            all_ok(vec![response]).await;
        }
        asked
    });
    assert!(asked.iter().all(|asked| *asked > 0), "{asked:?}");
    let lines = mesh.stop();
    let told = |reporter: &str, host: SocketAddr| {
        let is = |line: &&serde_json::Value| {
            line["reporter"] == reporter && line["upstream_host"] == host.to_string()
        };
        lines.iter().filter(is).count()
    };
    for (reporter, expected) in [("source", asked), ("destination", [asked[0], 0])] {
        assert_eq!(addresses.map(|address| told(reporter, address)), expected, "{reporter}: {lines:?}");
    }
}

#[test]
fn a_call_without_endpoints_is_answered_and_the_next_one_is_not_when_there_are_some() {
    let listeners = listeners(1);
    let mesh = Mesh::start(&grpc(&[]));
    let caller = mesh.connect(WEB);
    let runtime = runtime();
    let mut requests = runtime.block_on(async {
        let mut requests = client(caller).await;
        let call = http::Request::post("http://web/s/m").header("content-type", "application/grpc");
        let response = requests.send_request(call.body(()).unwrap(), true).unwrap().0;
        let response = soon(response).await.unwrap();
        assert_eq!(
            (response.status(), &response.headers()["grpc-status"]),
            (StatusCode::OK, &"14".parse().unwrap())
        );
        requests
    });
    mesh.change(&grpc(&endpoints(&listeners)));
    runtime.block_on(async {
        let mut endpoint = Endpoint::new(&listeners[0]);
        let response = requests.send_request(get(), true).unwrap().0;
        endpoint.answer_one().await;
        all_ok(vec![response]).await;
    });
    let lines = mesh.stop();
    let flags: Vec<_> = lines.iter().map(|line| line["response_flags"].as_str().unwrap()).collect();
    assert_eq!(flags, ["UH", "-"]);
}

/// A Service of two workloads of these names.
fn named(names: [&str; 2], addresses: &[SocketAddr]) -> String {
    let named = || names.iter().zip(addresses);
    let endpoint =
        |(name, to): (&&str, &SocketAddr)| format!("workload: {name}, ports: {{tcp: {}}}", to.port());
    let endpoints: Vec<_> = named().map(endpoint).collect();
    let workloads = named().map(|(name, to)| workload(name, to.ip()));
    std::iter::once(grpc(&endpoints)).chain(workloads).collect::<Vec<_>>().join("---\n")
}

/// Two endpoints that take a stream at a time on each connection have three, which wait, and take no more connections; the one
/// that has one comes first.
async fn filled(
    listeners: Vec<TcpListener>,
    requests: &mut SendRequest<Bytes>,
) -> ([Endpoint; 2], Vec<ResponseFuture>) {
    let mut builder = server::Builder::new();
    builder.max_concurrent_streams(1);
    let [mut first, mut second] = [0, 1].map(|index| Endpoint::with(&listeners[index], builder.clone()));
    // Both have said how many streams they take, when they have answered.
    while [&first, &second].iter().any(|endpoint| endpoint.connections.load(Ordering::Relaxed) == 0) {
        let response = requests.send_request(get(), true).unwrap().0;
        tokio::select! {
            () = first.answer_one() => {}
            () = second.answer_one() => {}
        }
        all_ok(vec![response]).await;
    }
    let mut responses = vec![];
    for count in 1..=3 {
        responses.push(requests.send_request(get(), true).unwrap().0);
        soon(async {
            while first.asked.len() + second.asked.len() < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    for endpoint in [&mut first, &mut second] {
        endpoint.accepting.abort();
        let _ = (&mut endpoint.accepting).await;
    }
    let is_first = first.asked.len() == 1;
    (if is_first { [first, second] } else { [second, first] }, responses)
}

#[test]
fn who_waits_where_no_more_connections_can_be_made_is_told_of_the_endpoint_that_it_gets() {
    let listeners = listeners(2);
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let names = ["web-a", "web-b"];
    let mesh = Mesh::start(&named(names, &addresses));
    let caller = mesh.connect(WEB);
    let metric = |parts: &[&str]| std::thread::scope(|scope| scope.spawn(|| mesh.proxy.metric(parts)).join());
    runtime().block_on(async {
        let mut requests = client(caller).await;
        let ([mut less, mut more], mut responses) = filled(listeners, &mut requests).await;
        responses.push(requests.send_request(get(), true).unwrap().0);
        // The one with less load was tried first, and then the other one.
        soon(async {
            while metric(&["remora_connect_retries_total "]).unwrap() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        less.answer_one().await;
        less.answer_one().await;
        assert_eq!(more.answer_all(), 2);
        all_ok(responses).await;
    });
    let told = names.map(|name| {
        let workload = format!("destination_workload=\"{name}\"");
        metric(&["istio_requests_total{", "reporter=\"source\"", &workload]).unwrap()
    });
    let lines = mesh.stop();
    let logged = |index: usize| {
        let host = addresses[index].to_string();
        lines.iter().filter(|line| line["upstream_host"] == host).count() as u64
    };
    assert_eq!(told, [logged(0), logged(1)], "{lines:?}");
}
