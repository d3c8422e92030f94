//! The calls by tonic, and what is seen of them, in the words of rpc.py.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{self, Stream};
use http::uri::PathAndQuery;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tonic::client::Grpc;
use tonic::metadata::{KeyAndValueRef, MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use super::codec::Plain;
use super::{CALLS, binary, hexadecimal, is_ours};
use crate::client::PATIENCE;
use crate::script::noise;

/// Makes all calls, on one connection, from where this thread is.
pub(super) fn call(to: SocketAddr) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seen = runtime.block_on(async {
        let endpoint = Endpoint::from_shared(format!("http://{to}")).unwrap();
        let client = Client(endpoint.connect().await.expect("a connection"));
        [calls_that_end_well(&client).await, calls_that_fail(&client).await].concat()
    });
    seen.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

type Seen = Vec<(&'static str, Value)>;

async fn calls_that_end_well(client: &Client) -> Seen {
    let large = Bytes::from(Sha256::digest(b"remora").repeat(131_072));
    let numbers = (0..CALLS).map(|number| number.to_string());
    let together = join_all(numbers.clone().map(|number| client.unary("Together", number))).await;
    let joined = stream::iter(["one", "two", "three"].map(Bytes::from));
    vec![
        ("unary", text(client.unary("Unary", "hello").await)),
        ("nothing", text(client.unary("Unary", "").await)),
        ("server stream", json!(Heard::of(client.ask("ServerStream", "20").await).await.messages)),
        ("no messages", json!(Heard::of(client.ask("ServerStream", "0").await).await.messages)),
        (
            "client stream",
            json!(Heard::of(client.converse("ClientStream", joined).await).await.messages.concat()),
        ),
        ("bidirectional", bidirectional(client).await),
        ("4 MB", json!(client.unary("Large", large.clone()).await.unwrap() == large)),
        ("metadata", with_metadata(client).await),
        ("together", json!(together.into_iter().map(Result::unwrap).eq(numbers))),
    ]
}

async fn bidirectional(client: &Client) -> Value {
    let (say, mut answers) = client.echo("Bidirectional").await;
    say.send("more".into()).unwrap();
    let more = answers.message().await.unwrap().unwrap();
    drop(say);
    let Heard { messages, status } = Heard::the_rest(&mut answers).await;
    json!([text(Ok(more)), messages, code(&status)])
}

async fn with_metadata(client: &Client) -> Value {
    let mut request = Request::new(Bytes::from("ok"));
    let metadata = request.metadata_mut();
    metadata.append("x-text", "a value, ~".parse().unwrap());
    metadata.append("x-twice", "1".parse().unwrap());
    metadata.append("x-twice", "2".parse().unwrap());
    metadata.append_bin("x-some-bin", MetadataValue::from_bytes(&binary()));
    metadata.append_bin("x-some-bin", MetadataValue::from_bytes(b""));
    let mut response = client.ask("Metadata", request).await.unwrap();
    let first = listed(response.metadata());
    let message = response.get_mut().message().await.unwrap().unwrap();
    let last = response.get_mut().trailers().await.unwrap().unwrap_or_default();
    json!([text(Ok(message)), first, listed(&last)])
}

async fn calls_that_fail(client: &Client) -> Seen {
    let fails = Heard::of(client.ask("Fails", "").await).await;
    let why = listed(fails.status.metadata());
    let (_say, mut refused) = client.echo("Refuses").await;
    let mut seen = vec![
        ("fails", json!([fails.messages, code(&fails.status), fails.status.message(), why])),
        // A message may have come before, for which a call that has one answer has no use.
        ("forbidden", Heard::nothing(client.unary("Forbidden", "").await.unwrap_err()).told()),
        ("aborts", Heard::of(client.ask("Aborts", "").await).await.told()),
        ("refuses", Heard::the_rest(&mut refused).await.told()),
        ("no such method", Heard::of(client.ask("Missing", "").await).await.told()),
    ];
    let name = Bytes::from(noise(fastrand::u64(..), 8));
    let mut request = Request::new(name.clone());
    request.set_timeout(Duration::from_millis(300));
    let late = Heard::of(client.ask("Deadline", request).await).await.status;
    seen.push(("deadline", json!([code(&late), text(client.unary("Cancelled", name).await)])));
    let name = Bytes::from(noise(fastrand::u64(..), 8));
    let mut endless = client.ask("Endless", name.clone()).await.unwrap().into_inner();
    let begun = endless.message().await.unwrap().unwrap();
    drop(endless);
    seen.push(("cancel", json!([text(Ok(begun)), text(client.unary("Cancelled", name).await)])));
    seen
}

/// A connection, and the calls on it.
struct Client(Channel);

impl Client {
    async fn ready(&self) -> Grpc<Channel> {
        let mut grpc = Grpc::new(self.0.clone());
        grpc.ready().await.expect("the connection lasts");
        grpc
    }

    async fn unary(&self, name: &str, message: impl Into<Bytes>) -> Result<Bytes, Status> {
        let mut request = Request::new(message.into());
        request.set_timeout(PATIENCE);
        self.ready().await.unary(request, path(name), Plain).await.map(Response::into_inner)
    }

    /// With answers as they come. On the wire, there is no difference to a call that has one.
    async fn ask(&self, name: &str, message: impl Asked) -> Result<Response<Streaming<Bytes>>, Status> {
        self.ready().await.server_streaming(message.request(), path(name), Plain).await
    }

    async fn converse(
        &self,
        name: &str,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Response<Streaming<Bytes>>, Status> {
        self.ready().await.streaming(Request::new(messages), path(name), Plain).await
    }

    /// A stream that goes on as it is asked to.
    async fn echo(&self, name: &str) -> (mpsc::UnboundedSender<Bytes>, Streaming<Bytes>) {
        let (say, said) = mpsc::unbounded_channel::<Bytes>();
        let messages = stream::unfold(said, |mut said| async { said.recv().await.map(|next| (next, said)) });
        say.send("begun".into()).unwrap();
        let mut answers = self.converse(name, messages).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap(), "BEGUN");
        (say, answers)
    }
}

fn path(name: &str) -> PathAndQuery {
    format!("/remora.Test/{name}").parse().unwrap()
}

/// A message, with metadata or without.
trait Asked {
    fn request(self) -> Request<Bytes>;
}

impl Asked for &'static str {
    fn request(self) -> Request<Bytes> {
        Request::new(self.into())
    }
}

impl Asked for Bytes {
    fn request(self) -> Request<Bytes> {
        Request::new(self)
    }
}

impl Asked for Request<Bytes> {
    fn request(self) -> Request<Bytes> {
        self
    }
}

/// Messages until the end, and the end.
struct Heard {
    messages: Vec<String>,
    status: Status,
}

impl Heard {
    async fn of(response: Result<Response<Streaming<Bytes>>, Status>) -> Self {
        match response {
            Ok(mut response) => Self::the_rest(response.get_mut()).await,
            Err(status) => Self::nothing(status),
        }
    }

    fn nothing(status: Status) -> Self {
        Self { messages: vec![], status }
    }

    async fn the_rest(answers: &mut Streaming<Bytes>) -> Self {
        let mut messages = vec![];
        let status = loop {
            match answers.message().await {
                Ok(Some(message)) => messages.push(String::from_utf8(message.to_vec()).unwrap()),
                Ok(None) => break Status::ok(""),
                Err(status) => break status,
            }
        };
        Self { messages, status }
    }

    fn told(&self) -> Value {
        json!([self.messages, code(&self.status), self.status.message()])
    }
}

fn text(message: Result<Bytes, Status>) -> Value {
    json!(String::from_utf8(message.unwrap().to_vec()).unwrap())
}

/// As grpcio names it.
fn code(status: &Status) -> String {
    let mut name = String::new();
    for letter in format!("{:?}", status.code()).chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// In the order of names, which has no meaning.
fn listed(metadata: &MetadataMap) -> Vec<[String; 2]> {
    let ours = metadata.iter().filter(is_ours).map(|pair| match pair {
        KeyAndValueRef::Ascii(key, value) => [key.to_string(), value.to_str().unwrap().to_owned()],
        KeyAndValueRef::Binary(key, value) => [key.to_string(), hexadecimal(&value.to_bytes().unwrap())],
    });
    let mut listed: Vec<_> = ours.collect();
    listed.sort_by(|one, other| one[0].cmp(&other[0]));
    listed
}
