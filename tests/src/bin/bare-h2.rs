//! What two bare ends of the h2 library cost as a proxy, for `bench`: the part of a proxy's cost that is the library's and the
//! kernel's. It runs in the place of a pod's proxy, and carries inbound HTTP/2 to where it was going.
//!
//! Deliberately absent: everything else. No limit, log or metric, no other protocol or direction, the library's own settings, one
//! connection to the application for each of the client's. Invariant: content moves as fast as its reader takes it.

use std::future::poll_fn;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, api::ports::INBOUND)).await?;
    loop {
        let (client, _) = listener.accept().await?;
        // What fails is closed, and the client says so.
        tokio::spawn(async move { carry(connect(&client).await?, client).await });
    }
}

/// Connects to where a client was going. The application sees the address that it sees behind ours.
async fn connect(client: &TcpStream) -> Result<TcpStream> {
    client.set_nodelay(true)?;
    let original = SockRef::from(client).original_dst_v4()?.as_socket().context("no address")?;
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    socket.bind((Ipv4Addr::new(127, 0, 0, *api::pod::INBOUND_SOURCES.start()), 0).into())?;
    Ok(socket.connect(original).await?)
}

/// Carries all streams of a client's connection.
async fn carry<S, C>(server: S, client: C) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    C: AsyncRead + AsyncWrite + Unpin,
{
    let (requests, connection) = h2::client::handshake(server).await?;
    tokio::spawn(connection);
    let mut client = h2::server::handshake(client).await?;
    while let Some(stream) = client.accept().await {
        let (request, respond) = stream?;
        tokio::spawn(exchange(request, requests.clone(), respond));
    }
    Ok(())
}

/// Carries a request and its response, whose contents may cross. What ends early is reset.
async fn exchange(
    request: Request<RecvStream>,
    requests: SendRequest<Bytes>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let (head, content) = request.into_parts();
    let head = Request::from_parts(head, ());
    let (response, to_server) = requests.ready().await?.send_request(head, content.is_end_stream())?;
    let answering = async {
        let (head, content) = response.await?.into_parts();
        let to_client = respond.send_response(Response::from_parts(head, ()), content.is_end_stream())?;
        copy(content, to_client).await
    };
    tokio::try_join!(copy(content, to_server), answering).map(|((), ())| ())
}

/// Carries content and trailers. An end that was told with the last of it goes on with that.
async fn copy(mut from: RecvStream, mut to: SendStream<Bytes>) -> Result<(), h2::Error> {
    while !from.is_end_stream() {
        let Some(data) = from.data().await else {
            return match from.trailers().await? {
                Some(trailers) => to.send_trailers(trailers),
                None => to.send_data(Bytes::new(), true),
            };
        };
        let mut data = data?;
        // Once at least, since the end may come with nothing.
        loop {
            to.reserve_capacity(data.len());
            while to.capacity() == 0 && !data.is_empty() {
                poll_fn(|context| to.poll_capacity(context)).await.ok_or(Reason::CANCEL)??;
            }
            let part = data.split_to(data.len().min(to.capacity()));
            from.flow_control().release_capacity(part.len())?;
            to.send_data(part, data.is_empty() && from.is_end_stream())?;
            if data.is_empty() {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ::tests::peer::PATIENCE;
    use bytes::Bytes;
    use h2::client::SendRequest;
    use h2::{RecvStream, server};
    use http::{HeaderMap, HeaderValue, Request, Response};
    use tokio::io::duplex;

    /// More than any window.
    const LONG: usize = 300_000;

    /// A client of `carry`, behind which a server echoes contents and trailers with the head's field `x`.
    async fn client() -> SendRequest<Bytes> {
        let ((near, client), (server, far)) = (duplex(1_000), duplex(1_000));
        tokio::spawn(super::carry(server, client));
        tokio::spawn(async {
            let mut connection = server::handshake(far).await.unwrap();
            while let Some(stream) = connection.accept().await {
                let (request, mut respond) = stream.unwrap();
                let mut response = Response::new(());
                response.headers_mut().extend(request.headers().clone());
                let content = request.into_body();
                let to = respond.send_response(response, content.is_end_stream()).unwrap();
                tokio::spawn(super::copy(content, to));
            }
        });
        let (requests, connection) = h2::client::handshake(near).await.unwrap();
        tokio::spawn(connection);
        requests.ready().await.unwrap()
    }

    fn request() -> Request<()> {
        Request::post("http://bench.example/item").header("x", "1").body(()).unwrap()
    }

    fn trailers() -> HeaderMap {
        HeaderMap::from_iter([("y".parse().unwrap(), HeaderValue::from_static("2"))])
    }

    /// How much content came, and the trailers.
    async fn read(mut content: RecvStream) -> (usize, Option<HeaderMap>) {
        let mut length = 0;
        while let Some(data) = content.data().await {
            length += data.as_ref().unwrap().len();
            content.flow_control().release_capacity(data.unwrap().len()).unwrap();
        }
        (length, content.trailers().await.unwrap())
    }

    #[tokio::test]
    async fn messages_come_whole_with_their_ends() {
        tokio::time::timeout(PATIENCE, carry_messages()).await.expect("they come");
    }

    async fn carry_messages() {
        let mut client = client().await;
        for (length, trailers) in [(LONG, Some(trailers())), (LONG, None), (0, Some(trailers())), (0, None)] {
            let (response, mut stream) = client.send_request(request(), false).unwrap();
            stream.send_data(vec![b'x'; length].into(), trailers.is_none()).unwrap();
            trailers.iter().for_each(|trailers| stream.send_trailers(trailers.clone()).unwrap());
            let response = response.await.unwrap();
            assert_eq!(response.headers()["x"], "1");
            assert_eq!(read(response.into_body()).await, (length, trailers));
        }
        let (response, _) = client.send_request(request(), true).unwrap();
        assert!(response.await.unwrap().into_body().is_end_stream());
    }
}
