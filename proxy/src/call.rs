//! One request of the proxy's own over a connection that was made for it, as probes, scrapes and exporters send theirs.
//!
//! It connects nothing. All take the same types, since each other one would be another copy of hyper and h2 in the binary.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

/// A connection, with or without TLS.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// An answer, and the connection that its body still comes from.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    /// Dropping it ends the connection, also where the other end never does.
    _connection: JoinSet<()>,
}

/// By HTTP/1.
pub(crate) async fn http1(stream: Box<dyn Io>, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
    let (mut sender, connection) = conn::http1::handshake(TokioIo::new(stream)).await?;
    let running = driven(connection);
    Ok(Answer { response: sender.send_request(request).await?, _connection: running })
}

/// By HTTP/2, known to be spoken.
pub(crate) async fn http2(stream: Box<dyn Io>, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
    let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let running = driven(connection);
    Ok(Answer { response: sender.send_request(request).await?, _connection: running })
}

fn driven(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> JoinSet<()> {
    let mut running = JoinSet::new();
    running.spawn(async move { drop(connection.await) });
    running
}
