//! Peers that speak by the h2 crate, on their own connections.

use ::h2::server::SendResponse;
use ::h2::{RecvStream, SendStream, client, server};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::raw::PATIENCE;

/// Peers by default end a connection that has many frames of a few bytes.
const NO_BOUND: usize = usize::MAX / 2;

/// A server that answers each request, when it has ended, with 200 and `ok`.
pub(super) fn answer_all(stream: TcpStream) -> JoinHandle<()> {
    tokio::spawn(async move {
        let Ok(mut connection) = server::handshake(stream).await else { return };
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::spawn(async move {
                let _: Result<(), ::h2::Error> = answer(request, respond).await;
            });
        }
    })
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), ::h2::Error> {
    read(request.into_body()).await?;
    respond.send_response(Response::new(()), false)?.send_data("ok".into(), true)
}

/// All content, and the trailers.
pub(super) async fn read(mut body: RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), ::h2::Error> {
    let mut content = vec![];
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        content.extend(&data);
    }
    Ok((content, body.trailers().await?))
}

/// A client, whose connection is driven.
pub(super) async fn client(stream: TcpStream) -> client::SendRequest<Bytes> {
    let handshake = client::Builder::new().data_frame_budget(NO_BOUND).handshake(stream);
    let (requests, connection) = handshake.await.unwrap();
    tokio::spawn(async move {
        let _: Result<(), ::h2::Error> = connection.await;
    });
    requests
}

/// A server, whose connection is driven, and its requests.
pub(super) fn server(
    stream: TcpStream,
    mut builder: server::Builder,
) -> tokio::sync::mpsc::UnboundedReceiver<(Request<RecvStream>, SendResponse<Bytes>)> {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    builder.data_frame_budget(NO_BOUND);
    tokio::spawn(async move {
        let mut connection = builder.handshake(stream).await.unwrap();
        while let Some(Ok(request)) = connection.accept().await {
            let _ = sender.send(request);
        }
    });
    receiver
}

/// Sends all, as the window allows.
pub(super) async fn send(stream: &mut SendStream<Bytes>, mut bytes: Bytes, is_end: bool) {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let room = timeout(PATIENCE, std::future::poll_fn(|cx| stream.poll_capacity(cx))).await;
        let room = room.expect("room").unwrap().unwrap();
        let part = bytes.split_to(room.min(bytes.len()));
        let is_last = bytes.is_empty() && is_end;
        stream.send_data(part, is_last).unwrap();
    }
}

/// In time.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("in time")
}
