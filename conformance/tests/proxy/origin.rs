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

/// A server of HTTP/2, which answers when a request has ended.
pub(crate) async fn http2() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn serve(stream: tokio::net::TcpStream) {
    // Where the server greets first and the client is slow, as it is on a busy machine, the proxy looks at no frames.
    let _: Result<usize, std::io::Error> = stream.peek(&mut [0]).await;
    // It may be no HTTP/2, and most connections end before they should.
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(async move {
            let _: Result<(), h2::Error> = respond_at_the_end(request, respond).await;
        });
    }
}

async fn respond_at_the_end(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let mut content = request.into_body();
    while let Some(data) = content.data().await {
        content.flow_control().release_capacity(data?.len())?;
    }
    content.trailers().await?;
    respond.send_response(Response::new(()), false)?.send_data("ok".into(), true)
}
