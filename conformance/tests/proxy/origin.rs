//! Servers behind the proxy that answer everything with 200.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A server of HTTP/1, and the targets of all requests that it got whole.
pub(crate) struct Http1 {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Http1 {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let origin = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = Arc::clone(&origin.asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let asked = Arc::clone(&asked);
                let service = service_fn(move |request| answer(request, Arc::clone(&asked)));
                let connection = hyper::server::conn::http1::Builder::new();
                // Most end before they should.
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        origin
    }
}

async fn answer(
    request: Request<Incoming>,
    asked: Arc<Mutex<Vec<String>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let target = request.uri().to_string();
    if request.into_body().collect().await.is_ok() {
        asked.lock().unwrap().push(target);
    }
    Ok(Response::new(Full::from("ok")))
}
