//! Calls of gRPC that are open while a Service changes: each goes on where it began, whatever is known of its endpoint by then.

use std::net::TcpListener;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream, server};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Asked, client, runtime, soon};
use crate::discovery::{Mesh, WEB, endpoints, listeners, web};
use crate::support::scale;

/// Of each connection.
const CALLS: usize = 2;

/// Both ends of an open call.
struct Call {
    client: (SendStream<Bytes>, RecvStream),
    server: (SendStream<Bytes>, RecvStream),
}

impl Call {
    /// Something has passed each way.
    async fn begin(requests: &mut SendRequest<Bytes>, asked: &mut UnboundedReceiver<Asked>) -> Self {
        let request = Request::post("http://web/s/m").header("content-type", "application/grpc");
        let (response, mut up) = requests.send_request(request.body(()).unwrap(), false).unwrap();
        up.send_data("x".into(), false).unwrap();
        let (request, mut respond) = soon(asked.recv()).await.unwrap();
        let mut asked = request.into_body();
        comes("x", &mut asked).await;
        let mut down = respond.send_response(Response::new(()), false).unwrap();
        down.send_data("y".into(), false).unwrap();
        let mut answer = soon(response).await.unwrap().into_body();
        comes("y", &mut answer).await;
        Self { client: (up, answer), server: (down, asked) }
    }

    /// The same once more, and its end.
    async fn end(self) {
        let Self { client: (mut up, mut answer), server: (mut down, mut asked) } = self;
        up.send_data("?".into(), true).unwrap();
        comes("?", &mut asked).await;
        assert!(soon(asked.data()).await.is_none(), "more than was sent");
        down.send_data("!".into(), false).unwrap();
        let status = (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
        down.send_trailers(HeaderMap::from_iter([status])).unwrap();
        comes("!", &mut answer).await;
        assert!(soon(answer.data()).await.is_none(), "more than was sent");
        assert_eq!(soon(answer.trailers()).await.unwrap().unwrap()["grpc-status"], "0");
    }
}

async fn comes(what: &str, body: &mut RecvStream) {
    assert_eq!(soon(body.data()).await.unwrap().unwrap(), what);
}

/// All requests that come to it.
fn serve(listener: &TcpListener, asked: &UnboundedSender<Asked>) {
    let listener = listener.try_clone().unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let asked = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = asked.clone();
            tokio::spawn(async move {
                let mut connection = server::handshake(stream).await.unwrap();
                while let Some(Ok(request)) = connection.accept().await {
                    let _ = asked.send(request);
                }
            });
        }
    });
}

#[test]
fn a_thousand_changes_close_none_of_the_open_calls() {
    let connections = scale("connections with open calls", 1000, 100);
    let listeners = listeners(4);
    let (all, service) =
        (endpoints(&listeners), |endpoints: &[String]| web(endpoints).replace("tcp", "grpc"));
    let mesh = Mesh::start(&service(&all));
    let open = runtime();
    let calls = open.block_on(async {
        let (sender, mut asked) = unbounded_channel();
        listeners.iter().for_each(|listener| serve(listener, &sender));
        let mut calls = vec![];
        for _ in 0..connections {
            let mut requests = client(mesh.connect(WEB)).await;
            for _ in 0..CALLS {
                calls.push(Call::begin(&mut requests, &mut asked).await);
            }
        }
        calls
    });
    mesh.change_often(service, &all);
    assert_eq!(mesh.proxy.metric(&["remora_open_connections{", "outbound"]), connections as u64);
    assert!(mesh.proxy.log.lines().is_empty(), "a call that has ended has a line");
    open.block_on(async {
        for call in calls {
            call.end().await;
        }
    });
    drop(open);
    let lines = mesh.stop();
    assert_eq!(lines.len(), connections * CALLS);
    let is_well = |line: &serde_json::Value| line["grpc_status"] == 0 && line["response_flags"] == "-";
    assert!(lines.iter().all(is_well), "{:?}", lines.iter().find(|line| !is_well(line)));
}
