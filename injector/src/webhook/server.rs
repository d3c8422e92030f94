//! The webhook's connections: accept, handshake, requests one after the other, and an end that costs no request.
//!
//! A client never retries a POST whose connection was closed under it, so we never close one that may be in use: a
//! connection that has grown old, or a server that is about to stop, says `Connection: close` in its next answer and
//! leaves it to the client to open another one. An idle connection is given up only after the time in which Go's clients
//! give it up themselves.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use runtime::shutdown::Shutdown;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::metrics::{NoHandshake, WebhookMetrics};
use super::peers::Peers;

/// More connections than every API server of a large cluster opens; beyond it new ones are closed at once. With
/// [`MOST_HEAD`] they take at most 64 MiB.
const MOST_CONNECTIONS: usize = 2048;

/// The longest head of a request, and with it hyper's buffer of a connection; the API server's has a few hundred bytes.
const MOST_HEAD: usize = 32 * 1024;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Longer than the 90 s of Go's HTTP transport.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// When accepting fails (no descriptors left), connections have to end first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct ServerTiming {
    /// After this time a connection is closed with its next answer, so that new replicas get their share.
    pub connection_age: Duration,
    /// How long the server goes on after it was asked to stop.
    pub shutdown_delay: Duration,
    /// How long requests may still take after that.
    pub finish: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Serving,
    /// Answers close their connections.
    Closing,
    /// Idle connections are closed, the others after their answer.
    Ending,
}

struct Connections {
    acceptor: TlsAcceptor,
    router: Router,
    metrics: WebhookMetrics,
    age: Duration,
    phase: watch::Sender<Phase>,
    peers: Peers,
}

/// Serves until it was asked to stop, the delay is over, and every request is answered.
pub async fn serve(
    listeners: Vec<TcpListener>,
    tls: Arc<ServerConfig>,
    (router, metrics): (Router, WebhookMetrics),
    timing: ServerTiming,
    mut shutdown: Shutdown,
) -> std::io::Result<()> {
    let connections = Arc::new(Connections {
        acceptor: TlsAcceptor::from(tls),
        router,
        metrics,
        age: timing.connection_age,
        phase: watch::Sender::new(Phase::Serving),
        peers: Peers::default(),
    });
    let mut acceptors = JoinSet::new();
    for listener in listeners {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        acceptors.spawn(accept(listener, connections.clone()));
    }
    shutdown.requested().await;
    connections.phase.send_replace(Phase::Closing);
    tokio::time::sleep(timing.shutdown_delay).await;
    connections.phase.send_replace(Phase::Ending);
    let finished = async { while acceptors.join_next().await.is_some() {} };
    if tokio::time::timeout(timing.finish, finished).await.is_err() {
        tracing::warn!("requests were still open at the end");
    }
    Ok(())
}

async fn accept(listener: tokio::net::TcpListener, connections: Arc<Connections>) {
    let mut open = JoinSet::new();
    let mut phase = connections.phase.subscribe();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(_) if open.len() >= MOST_CONNECTIONS => tracing::warn!("too many connections"),
                Ok((stream, peer)) => match connections.peers.enter(peer.ip()) {
                    Some(entered) => {
                        let served = connection(stream, connections.clone());
                        open.spawn(async move {
                            served.await;
                            drop(entered);
                        });
                    }
                    None => tracing::debug!(%peer, "too many connections of one address"),
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = open.join_next() => {}
            () = ending(&mut phase) => break,
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, connections: Arc<Connections>) {
    // Answers are one small write.
    let _ = stream.set_nodelay(true);
    let local = stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback());
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, connections.acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return no_handshake(&connections.metrics, local, &error),
        Err(_) => {
            connections.metrics.no_handshake(NoHandshake::Timeout);
            return tracing::debug!("handshake timed out");
        }
    };
    let opened = Instant::now();
    let service = hyper::service::service_fn(|request| answer(&connections, opened, request));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT).max_buf_size(MOST_HEAD);
    let mut served = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let mut phase = connections.phase.subscribe();
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = ending(&mut phase) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// Port scans and probes of load balancers end here. A client without a certificate is worth a line, but for ourselves:
/// who looks at what is served needs none.
fn no_handshake(metrics: &WebhookMetrics, local: bool, error: &std::io::Error) {
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    let why = match tls {
        None => NoHandshake::Closed,
        Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => {
            NoHandshake::ClientCertificate
        }
        Some(_) => NoHandshake::Tls,
    };
    if matches!(why, NoHandshake::ClientCertificate) {
        if local {
            return;
        }
        tracing::info!(%error, "a client was refused; see --client-ca and --client-name");
    }
    metrics.no_handshake(why);
    tracing::debug!(%error, "no handshake");
}

async fn ending(phase: &mut watch::Receiver<Phase>) {
    // An error is a server that is gone, which is an end too.
    let _ = phase.wait_for(|phase| *phase == Phase::Ending).await;
}

async fn answer(
    connections: &Connections,
    opened: Instant,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Body>, Infallible> {
    let mut response = connections.router.clone().oneshot(request.map(Body::new)).await?;
    if opened.elapsed() >= connections.age || *connections.phase.borrow() != Phase::Serving {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}
