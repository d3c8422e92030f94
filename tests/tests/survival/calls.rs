//! Clients of [`crate::application`], by each protocol: whoever does not get back what it has sent has lost a request.

use std::io::{self, Error, ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};
use tests::meshed::PATIENCE;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::traffic::connect;

/// What is spoken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
    Grpc,
}

/// What became of a request that was not lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// What was sent has come back.
    Answered,
    /// Nobody has seen it, and the client was told so (RFC 9113, section 8.7).
    Refused,
    /// The same, since its connection was said to take no more (section 6.8) when it was on its way.
    Late,
    /// It was not sent, for the same reason.
    Unsent,
}

/// A request of HTTP/1 with some content, or without any.
pub(crate) fn http1(content: &str) -> String {
    let (method, length) = (if content.is_empty() { "GET" } else { "POST" }, content.len());
    format!("{method} / HTTP/1.1\r\nHost: web\r\nContent-Length: {length}\r\n\r\n{content}")
}

/// Takes the answer to a request with this content; whether it is the last one of its connection.
pub(crate) fn is_last(stream: &mut TcpStream, content: &str) -> io::Result<bool> {
    let (head, got) = response(stream)?;
    if !head.starts_with("HTTP/1.1 200 ") || got != content {
        return Err(Error::new(ErrorKind::InvalidData, format!("{content}: {head}{got}")));
    }
    Ok(head.contains("Connection: close\r\n"))
}

fn response(stream: &mut TcpStream) -> io::Result<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        if let Some((head, length)) = head(&bytes)
            && bytes.len() >= head.len() + length
        {
            let content = String::from_utf8_lossy(&bytes[head.len()..]).into_owned();
            return Ok((head, content));
        }
        let mut buffer = [0; 16 * 1024];
        match stream.read(&mut buffer)? {
            0 => return Err(Error::new(ErrorKind::UnexpectedEof, format!("{}", bytes.escape_ascii()))),
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    }
}

/// The head at the beginning, once it is there, and the length of the content that comes after it.
pub(crate) fn head(bytes: &[u8]) -> Option<(String, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes.get(..end)?.to_vec()).expect("a head of letters");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
    let length = length.parse().expect("a number");
    Some((head, length))
}

/// A connection of HTTP/2; the task tells how it ended.
pub(crate) async fn http2(
    to: SocketAddr,
) -> Result<(SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>), String> {
    let stream = connect(to).and_then(|stream| {
        stream.set_nonblocking(true)?;
        tokio::net::TcpStream::from_std(stream)
    });
    let connected = h2::client::handshake(stream.map_err(|error| error.to_string())?).await;
    let (requests, connection) = connected.map_err(|error| error.to_string())?;
    Ok((requests, tokio::spawn(connection)))
}

/// Asks by HTTP/2, and gets back what it has sent.
pub(crate) async fn ask(
    requests: SendRequest<Bytes>,
    protocol: Protocol,
    text: &str,
) -> Result<Outcome, String> {
    let asked = async {
        let (response, mut body) = match begin(requests, protocol).await {
            Err(error) if not_taken(&error) == Some(Outcome::Late) => return Ok(Outcome::Unsent),
            begun => begun.map_err(|error| error.to_string())?,
        };
        let content = message(text);
        // Where that fails the response tells why.
        let _ = body.send_data(content.clone(), true);
        match answer(response).await {
            Ok((200, got, trailers)) if got == content && is_end(protocol, &trailers) => {
                Ok(Outcome::Answered)
            }
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => not_taken(&error).ok_or_else(|| error.to_string()),
        }
    };
    let outcome = timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err("no answer".to_owned()));
    outcome.map_err(|failure| format!("{text}: {failure}"))
}

async fn answer(response: ResponseFuture) -> Result<(u16, Bytes, HeaderMap), h2::Error> {
    let (head, body) = response.await?.into_parts();
    let (got, trailers) = content(body).await?;
    Ok((head.status.as_u16(), got, trailers))
}

/// What a client was told, if it is that nobody has seen a request.
fn not_taken(error: &h2::Error) -> Option<Outcome> {
    match error.reason() {
        Some(Reason::REFUSED_STREAM) if error.is_reset() && error.is_remote() => Some(Outcome::Refused),
        Some(Reason::NO_ERROR) if error.is_go_away() && error.is_remote() => Some(Outcome::Late),
        _ => None,
    }
}

/// Sends a head.
pub(crate) async fn begin(
    requests: SendRequest<Bytes>,
    protocol: Protocol,
) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
    let mut request = Request::post("http://web/s/m");
    if protocol == Protocol::Grpc {
        request = request.header("content-type", "application/grpc").header("te", "trailers");
    }
    let mut requests = requests.ready().await?;
    requests.send_request(request.body(()).expect("a request"), false)
}

/// As gRPC has messages (its length, in four bytes, comes first).
pub(crate) fn message(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).expect("a short text").to_be_bytes();
    [&[0], &length[..], text.as_bytes()].concat().into()
}

/// All of it, and its trailers.
async fn content(mut body: RecvStream) -> Result<(Bytes, HeaderMap), h2::Error> {
    let mut all = Vec::new();
    while let Some(bytes) = body.data().await {
        let bytes = bytes?;
        body.flow_control().release_capacity(bytes.len())?;
        all.extend_from_slice(&bytes);
    }
    Ok((all.into(), body.trailers().await?.unwrap_or_default()))
}

/// Whether a response has ended as it should.
pub(crate) fn is_end(protocol: Protocol, trailers: &HeaderMap) -> bool {
    match protocol {
        Protocol::Grpc => trailers.get("grpc-status").is_some_and(|status| status == "0"),
        Protocol::Http1 | Protocol::Http2 => trailers.is_empty(),
    }
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
