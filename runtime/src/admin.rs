//! The HTTP server for people, kubelet and scrapers: liveness, readiness, metrics. Read-only; nothing that changes the
//! program is reachable over a port.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::time::Duration;

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
    serve::Listener,
};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::task::AbortHandle;

use crate::{metrics::CONTENT_TYPE, metrics::Metrics, readiness::Readiness, shutdown::Shutdown};

/// Put into a response's extensions it takes the place of the response: the connection ends without one. For callers to
/// which every status means success.
#[derive(Clone, Copy, Debug)]
pub struct HangUp;

/// How long a client may take for the head of a request, the first or the next one of a connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections of one listener at once. Kubelet, scrapers and people need a handful; more would take the program's
/// descriptors.
const MOST: usize = 32;

/// The longest head of a request. Whoever reaches the port could otherwise have 400 KiB a connection.
const MOST_HEAD: usize = 16 * 1024;

/// Answers `/healthz/live` always, and `/healthz/ready` by the conditions.
pub fn health(readiness: Readiness) -> Router {
    let ready = move || {
        let readiness = readiness.clone();
        async move { ready_response(&readiness) }
    };
    Router::new().route("/healthz/live", get(|| async { "live\n" })).route("/healthz/ready", get(ready))
}

/// Answers with the metrics under each of `paths`.
pub fn metrics(metrics: Metrics, paths: &[&str]) -> Router {
    paths.iter().fold(Router::new(), |router, path| {
        let metrics = metrics.clone();
        router
            .route(path, get(move || async move { ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text()) }))
    })
}

/// Serves `router` on each of `listeners` until shutdown; requests that are being answered are finished.
pub async fn serve(listeners: Vec<TcpListener>, router: Router, shutdown: Shutdown) -> std::io::Result<()> {
    let mut servers = tokio::task::JoinSet::new();
    for listener in listeners {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        servers.spawn(serve_one(listener, router.clone(), shutdown.clone()));
    }
    while let Some(ended) = servers.join_next().await {
        ended.map_err(std::io::Error::other)?;
    }
    Ok(())
}

/// Like [`serve`], with one listener of whatever kind.
pub async fn serve_one(listener: impl Listener, router: Router, shutdown: Shutdown) {
    serve_patiently(listener, router, shutdown, PATIENCE).await;
}

/// `axum::serve` would wait for a silent client for ever, and its descriptors are the program's.
async fn serve_patiently(
    mut listener: impl Listener,
    router: Router,
    mut shutdown: Shutdown,
    patience: Duration,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(MOST_HEAD);
    let open = GracefulShutdown::new();
    let mut by_age = ByAge::default();
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.requested() => break,
        };
        let router = TowerToHyperService::new(router.clone());
        let service = service_fn(move |request| {
            let answered = router.call(request);
            async move { answered.await.map_or_else(|never| match never {}, or_hang_up) }
        });
        let served = open.watch(http.serve_connection(TokioIo::new(stream), service));
        let task = tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::debug!(%error, "connection ended");
            }
        });
        by_age.push(task.abort_handle());
    }
    drop(listener);
    open.shutdown().await;
}

/// The open connections of a listener, the oldest first.
///
/// When there are too many the oldest one ends, so that clients which hold connections cannot keep the kubelet out, whose
/// probe is new and short.
#[derive(Default)]
struct ByAge(VecDeque<AbortHandle>);

impl ByAge {
    fn push(&mut self, connection: AbortHandle) {
        self.0.retain(|connection| !connection.is_finished());
        if self.0.len() >= MOST
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(connection);
    }
}

/// An error of the service ends the connection at once.
fn or_hang_up(response: Response) -> std::io::Result<Response> {
    match response.extensions().get::<HangUp>() {
        Some(HangUp) => Err(std::io::ErrorKind::ConnectionAborted.into()),
        None => Ok(response),
    }
}

fn ready_response(readiness: &Readiness) -> Response {
    let reasons = readiness.reasons();
    if reasons.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned()).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{}\n", reasons.join("\n"))).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, http::Request, http::StatusCode};
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;
    use tower::ServiceExt;

    use super::{MOST, health, metrics, serve_one, serve_patiently};
    use crate::{metrics::Metrics, readiness::Readiness, shutdown};

    async fn get(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(flavor = "current_thread")]
    async fn readiness_follows_the_conditions_and_says_why_not() {
        let readiness = Readiness::default();
        let listeners = readiness.condition("listeners");
        let router = health(readiness);
        let (status, body) = get(&router, "/healthz/ready").await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\nlisteners: not yet\n")
        );
        listeners.holds();
        assert_eq!(get(&router, "/healthz/ready").await.0, StatusCode::OK);
        assert_eq!(get(&router, "/healthz/live").await.0, StatusCode::OK);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn metrics_are_under_every_path() {
        let router = metrics(Metrics::default(), &["/metrics", "/stats/prometheus"]);
        for path in ["/metrics", "/stats/prometheus"] {
            assert_eq!(get(&router, path).await, (StatusCode::OK, "# EOF\n".to_owned()));
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_response_can_be_no_response() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_keep, never) = shutdown::channel();
        let router = Router::new()
            .route("/", axum::routing::get(|| async { (axum::Extension(super::HangUp), "not said") }));
        let client = tokio::task::spawn_blocking(move || {
            let mut client = TcpStream::connect(address).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).expect("the server closes");
            answer
        });
        tokio::select! {
            () = serve_one(listener, router, never) => {}
            answer = client => assert!(answer.unwrap().is_empty()),
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_client_that_says_nothing_more_is_closed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_keep, never) = shutdown::channel();
        let server =
            serve_patiently(listener, health(Readiness::default()), never, Duration::from_millis(50));
        let clients = tokio::task::spawn_blocking(move || {
            for said in ["", "GET /healthz/live HT", "GET /healthz/live HTTP/1.1\r\nHost: a\r\n\r\n"] {
                let mut client = TcpStream::connect(address).unwrap();
                client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                client.write_all(said.as_bytes()).unwrap();
                client.read_to_end(&mut Vec::new()).expect("the server closes");
            }
        });
        tokio::select! {
            () = server => {}
            ended = clients => ended.unwrap(),
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn silent_clients_do_not_keep_others_out() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_keep, never) = shutdown::channel();
        let clients = tokio::task::spawn_blocking(move || {
            let connect = || {
                let client = TcpStream::connect(address).unwrap();
                client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                client
            };
            let mut silent: Vec<_> = (0..MOST).map(|_| connect()).collect();
            let mut kubelet = connect();
            kubelet.write_all(b"GET /healthz/live HTTP/1.0\r\n\r\n").unwrap();
            let mut answer = String::new();
            kubelet.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
            assert_eq!(silent[0].read(&mut [0]).expect("the oldest one is ended"), 0);
            silent[1].set_nonblocking(true).unwrap();
            let error = silent[1].read(&mut [0]).expect_err("the others stay open");
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        });
        tokio::select! {
            () = serve_one(listener, health(Readiness::default()), never) => {}
            ended = clients => ended.unwrap(),
        }
    }
}
