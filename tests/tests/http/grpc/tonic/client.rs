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

use super::super::libraries::CALLS;
use super::codec::Plain;
use super::{binary, hexadecimal, is_ours};
use crate::client::PATIENCE;
use crate::script::noise;

/// Makes calls from where this thread is; which, is said as rpc.py is told it.
pub(in super::super) fn call(to: SocketAddr, which: &[&str]) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seen = runtime.block_on(async {
        let client = Client::connected(to).await;
        match which {
            ["soak", calls, connections] => {
                soak(&client, to, [calls, connections].map(|count| count.parse().unwrap())).await
            }
            _ => [calls_that_end_well(&client).await, calls_that_fail(&client).await].concat(),
        }
    });
    seen.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Of the messages that gRPC's own interoperability tests send.
const SIZES: [usize; 4] = [27_182, 8, 1_828, 45_904];

type Seen = Vec<(&'static str, Value)>;

async fn calls_that_end_well(client: &Client) -> Seen {
    let large = Bytes::from(Sha256::digest(b"remora").repeat(131_072));
    let numbers = (0..CALLS).map(|number| number.to_string());
    let together = join_all(numbers.clone().map(|number| client.unary("Together", number))).await;
    let joined = said(["one", "two", "three"].map(Bytes::from));
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
        ("no requests", no_requests(client).await),
        ("ping pong", ping_pong(client).await),
        ("metadata", with_metadata(client.ask("Metadata", sent(Bytes::from("ok"))).await).await),
        ("metadata of a stream", {
            let sent = sent(stream::iter([Bytes::from("ok")]));
            with_metadata(client.converse("Returned", sent).await).await
        }),
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

async fn no_requests(client: &Client) -> Value {
    let Heard { messages, status } = Heard::of(client.converse("Bidirectional", said([])).await).await;
    json!([messages, code(&status)])
}

async fn ping_pong(client: &Client) -> Value {
    let (say, mut answers) = client.echo("Bidirectional").await;
    let mut lengths = vec![];
    for size in SIZES {
        say.send(vec![b'x'; size].into()).unwrap();
        lengths.push(answers.message().await.unwrap().unwrap().len());
    }
    drop(say);
    assert_eq!(Heard::the_rest(&mut answers).await.messages, [""; 0]);
    json!(lengths)
}

/// With the metadata that comes back.
fn sent<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.append("x-text", "a value, ~".parse().unwrap());
    metadata.append("x-twice", "1".parse().unwrap());
    metadata.append("x-twice", "2".parse().unwrap());
    metadata.append_bin("x-some-bin", MetadataValue::from_bytes(&binary()));
    metadata.append_bin("x-some-bin", MetadataValue::from_bytes(b""));
    request
}

async fn with_metadata(response: Result<Response<Streaming<Bytes>>, Status>) -> Value {
    let mut response = response.unwrap();
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
        ("no such service", Heard::nothing(client.ask_another_service().await).told()),
    ];
    seen.extend(calls_that_are_given_up(client).await);
    seen
}

async fn calls_that_are_given_up(client: &Client) -> Seen {
    let mut seen = vec![];
    let name = Bytes::from(noise(fastrand::u64(..), 8));
    let mut request = Request::new(name.clone());
    request.set_timeout(Duration::from_millis(600));
    let late = Heard::of(client.ask("Deadline", request).await).await.status;
    seen.push(("deadline", json!([code(&late), text(client.unary("Cancelled", name).await)])));
    let (name, mut request) = named(stream::iter([Bytes::from(vec![b'x'; SIZES[0]])]));
    request.set_timeout(Duration::from_millis(600));
    let late = Heard::of(client.converse("Asleep", request).await).await.status;
    seen.push(("asleep", json!([code(&late), text(client.unary("Cancelled", name).await)])));
    let name = Bytes::from(noise(fastrand::u64(..), 8));
    let mut endless = client.ask("Endless", name.clone()).await.unwrap().into_inner();
    let begun = endless.message().await.unwrap().unwrap();
    drop(endless);
    seen.push(("cancel", json!([text(Ok(begun)), text(client.unary("Cancelled", name).await)])));
    // Its end of the requests is sent as well: before that nothing tells the server that nobody listens.
    let (say, said) = channel();
    let (name, request) = named(said);
    drop((client.converse("Listening", request).await.unwrap(), say));
    seen.push(("cancel after begin", json!([text(client.unary("Cancelled", name).await)])));
    let (say, said) = channel();
    let (name, request) = named(said);
    drop((client.begin("Listening", &say, request).await, say));
    seen.push(("cancel after first response", json!([text(client.unary("Cancelled", name).await)])));
    seen
}

/// So many calls one after the other, and then one on each of so many connections.
async fn soak(client: &Client, to: SocketAddr, [calls, connections]: [usize; 2]) -> Seen {
    let message = Bytes::from(noise(fastrand::u64(..), 271_828));
    let reversed: Bytes = message.iter().rev().copied().collect();
    let mut answered = [0, 0];
    for _ in 0..calls {
        answered[0] += usize::from(client.unary("Unary", message.clone()).await.unwrap() == reversed);
    }
    for _ in 0..connections {
        let other = Client::connected(to).await;
        answered[1] += usize::from(other.unary("Unary", message.clone()).await.unwrap() == reversed);
    }
    vec![("rpc soak", json!(answered[0])), ("channel soak", json!(answered[1]))]
}

/// All that is said of a stream.
fn said<const COUNT: usize>(messages: [Bytes; COUNT]) -> Request<impl Stream<Item = Bytes> + Send + 'static> {
    Request::new(stream::iter(messages))
}

/// A call with a name that the server is told.
fn named<M>(message: M) -> (Bytes, Request<M>) {
    let name = Bytes::from(noise(fastrand::u64(..), 8));
    let mut request = Request::new(message);
    request.metadata_mut().insert_bin("x-name-bin", MetadataValue::from_bytes(&name));
    (name, request)
}

/// A connection, and the calls on it.
struct Client(Channel);

impl Client {
    async fn connected(to: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{to}")).unwrap();
        Self(endpoint.connect().await.expect("a connection"))
    }

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
        request: Request<impl Stream<Item = Bytes> + Send + 'static>,
    ) -> Result<Response<Streaming<Bytes>>, Status> {
        self.ready().await.streaming(request, path(name), Plain).await
    }

    /// How a call fails whose service no server has.
    async fn ask_another_service(&self) -> Status {
        let path = PathAndQuery::from_static("/remora.Other/Unary");
        self.ready().await.unary("".request(), path, Plain).await.unwrap_err()
    }

    /// A stream that goes on as it is asked to.
    async fn echo(&self, name: &str) -> (mpsc::UnboundedSender<Bytes>, Streaming<Bytes>) {
        let (say, said) = channel();
        let answers = self.begin(name, &say, Request::new(said)).await;
        (say, answers)
    }

    async fn begin(
        &self,
        name: &str,
        say: &mpsc::UnboundedSender<Bytes>,
        request: Request<impl Stream<Item = Bytes> + Send + 'static>,
    ) -> Streaming<Bytes> {
        say.send("begun".into()).unwrap();
        let mut answers = self.converse(name, request).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap(), "BEGUN");
        answers
    }
}

/// Where messages are said, and their stream.
fn channel() -> (mpsc::UnboundedSender<Bytes>, impl Stream<Item = Bytes> + Send + 'static) {
    let (say, said) = mpsc::unbounded_channel::<Bytes>();
    let messages = stream::unfold(said, |mut said| async { said.recv().await.map(|next| (next, said)) });
    (say, messages)
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

#[track_caller]
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
