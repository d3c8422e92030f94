//! The service by tonic: what rpc.py has as its own, but for servers that end.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use tokio::sync::{Barrier, Semaphore, oneshot};
use tonic::body::Body;
use tonic::metadata::{AsciiMetadataKey, KeyAndValueRef, MetadataMap, MetadataValue};
use tonic::server::Grpc;
use tonic::{Request, Response, Status, Streaming};
use tower::service_fn;

use super::super::libraries::CALLS;
use super::codec::Plain;
use super::{binary, is_ours};

type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// A server that runs, until it is dropped.
pub(in super::super) struct Server {
    _until: oneshot::Sender<()>,
    _thread: JoinHandle<()>,
}

impl Server {
    pub(in super::super) fn start(listener: TcpListener) -> Self {
        let (until, ended) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener) => {}
                    _ = ended => {}
                }
            });
        });
        Self { _until: until, _thread: thread }
    }
}

async fn serve(listener: TcpListener) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let incoming = stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    let service = Arc::new(Service { cancelled: Mutex::default(), together: Barrier::new(CALLS) });
    let answer = service_fn(move |request| {
        let service = Arc::clone(&service);
        async { Ok::<_, Infallible>(service.answer(request).await) }
    });
    tonic::transport::Server::builder().serve_with_incoming(answer, incoming).await.expect("a server");
}

struct Service {
    /// By the name that a call had.
    cancelled: Mutex<HashMap<Bytes, Arc<Semaphore>>>,
    together: Barrier,
}

/// Tells when a call is over.
struct Over(Arc<Semaphore>);

impl Over {
    /// Messages with whose end this comes.
    fn with(self, messages: impl Stream<Item = Result<Bytes, Status>> + Send + 'static) -> Messages {
        Box::pin(messages.map(move |message| {
            let _until_then = &self;
            message
        }))
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

impl Service {
    async fn answer(self: Arc<Self>, request: http::Request<Body>) -> http::Response<Body> {
        let name = request.uri().path().trim_start_matches("/remora.Test/").to_owned();
        let mut grpc = Grpc::new(Plain);
        match name.as_str() {
            "ServerStream" | "Endless" | "Aborts" => {
                let stream = service_fn(|request| std::future::ready(self.stream(&name, request)));
                grpc.server_streaming(stream, request).await
            }
            "ClientStream" => grpc.client_streaming(service_fn(joined), request).await,
            "Bidirectional" | "Refuses" | "Returned" | "Listening" | "Asleep" => {
                grpc.streaming(service_fn(|request| self.converse(&name, request)), request).await
            }
            _ => grpc.unary(service_fn(|request| self.unary(&name, request)), request).await,
        }
    }

    fn cancelled(&self, name: &Bytes) -> Arc<Semaphore> {
        let mut all = self.cancelled.lock().unwrap();
        Arc::clone(all.entry(name.clone()).or_insert_with(|| Arc::new(Semaphore::new(0))))
    }

    async fn unary(&self, name: &str, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        let (metadata, _, message) = request.into_parts();
        match name {
            "Unary" => Ok(Response::new(message.iter().rev().copied().collect())),
            "Large" => Ok(Response::new(message)),
            "Metadata" => {
                let mut response = Response::new(message);
                *response.metadata_mut() = returned(&metadata);
                Ok(response)
            }
            "Fails" => {
                let mut why = MetadataMap::new();
                why.insert_bin("x-why-bin", MetadataValue::from_bytes(&binary()));
                Err(Status::with_metadata(
                    tonic::Code::FailedPrecondition,
                    "\t\n100 % of \u{20ac}, \u{1f608}\r\n",
                    why,
                ))
            }
            "Forbidden" => Err(Status::permission_denied("not you")),
            "Deadline" => {
                let _over = Over(self.cancelled(&message));
                std::future::pending().await
            }
            "Cancelled" => {
                let cancelled = self.cancelled(&message);
                cancelled.acquire().await.expect("it is never closed").forget();
                Ok(Response::new("1".into()))
            }
            "Together" => {
                self.together.wait().await;
                Ok(Response::new(message))
            }
            _ => Err(Status::unimplemented("Method not found!")),
        }
    }

    fn stream(&self, name: &str, request: Request<Bytes>) -> Result<Response<Messages>, Status> {
        let message = request.into_inner();
        let messages: Messages = match name {
            "ServerStream" => {
                let count: u32 = std::str::from_utf8(&message).unwrap().parse().unwrap();
                Box::pin(stream::iter(0..count).map(|number| Ok(number.to_string().into())))
            }
            "Endless" => {
                let begun = stream::iter([Ok("begun".into())]);
                Over(self.cancelled(&message)).with(begun.chain(stream::pending()))
            }
            _ => {
                let messages = ["one", "two", "three"].map(|message| Ok(message.into()));
                Box::pin(stream::iter(messages).chain(stream::iter([Err(Status::data_loss("no more"))])))
            }
        };
        Ok(Response::new(messages))
    }

    async fn converse(
        &self,
        name: &str,
        request: Request<Streaming<Bytes>>,
    ) -> Result<Response<Messages>, Status> {
        let (metadata, _, messages) = request.into_parts();
        let over = || Over(self.cancelled(&named(&metadata)));
        let upper = messages.map_ok(|message| Bytes::from(message.to_ascii_uppercase()));
        let answers: Messages = match name {
            "Refuses" => {
                let refusal = Status::resource_exhausted("no more of these");
                Box::pin(upper.take(1).chain(stream::iter([Err(refusal)])))
            }
            "Listening" => over().with(upper.chain(stream::pending())),
            "Asleep" => {
                let _over = over();
                std::future::pending().await
            }
            _ => Box::pin(upper),
        };
        let mut response = Response::new(answers);
        if name == "Returned" {
            *response.metadata_mut() = returned(&metadata);
        }
        Ok(response)
    }
}

async fn joined(request: Request<Streaming<Bytes>>) -> Result<Response<Bytes>, Status> {
    let messages: Vec<Bytes> = request.into_inner().try_collect().await?;
    Ok(Response::new(messages.join(&b","[..]).into()))
}

/// What the client calls this call.
fn named(metadata: &MetadataMap) -> Bytes {
    metadata.get_bin("x-name-bin").expect("a name").to_bytes().expect("bytes")
}

/// What is sent back of a call's metadata. A server of tonic has no trailing metadata where a call ends well.
fn returned(metadata: &MetadataMap) -> MetadataMap {
    let mut returned = MetadataMap::new();
    returned.insert("x-first", "1".parse().unwrap());
    for pair in metadata.iter().filter(|pair| is_ours(pair)) {
        match pair {
            KeyAndValueRef::Ascii(key, value) => {
                returned.append(AsciiMetadataKey::clone(key), value.clone());
            }
            KeyAndValueRef::Binary(key, value) => {
                returned.append_bin(key.clone(), value.clone());
            }
        }
    }
    returned
}
