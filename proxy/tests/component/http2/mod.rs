//! HTTP/2 through the whole proxy. What becomes of each frame is tested beside the code; here it is that connections come to
//! that code, and what is told of them.

mod changed;
mod divided;
mod drained;
mod races;
mod slow;
mod traced;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{RecvStream, client, server};
use http::{Request, Response, StatusCode};
use proxy::drain::Exit;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::support::{INBOUND, PATIENCE, Proxy, Way, accept};

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn asynchronous(stream: TcpStream) -> tokio::net::TcpStream {
    stream.set_nonblocking(true).unwrap();
    tokio::net::TcpStream::from_std(stream).unwrap()
}

pub(crate) async fn client(stream: TcpStream) -> SendRequest<Bytes> {
    let (requests, connection) = client::handshake(asynchronous(stream)).await.unwrap();
    tokio::spawn(async move {
        let _: Result<(), h2::Error> = connection.await;
    });
    requests
}

type Asked = (Request<RecvStream>, SendResponse<Bytes>);

/// Requests as they come, until the connection ends.
fn serve(stream: TcpStream) -> tokio::sync::mpsc::UnboundedReceiver<Asked> {
    let (sender, asked) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut connection = server::handshake(asynchronous(stream)).await.unwrap();
        while let Some(Ok(request)) = connection.accept().await {
            sender.send(request).unwrap();
        }
    });
    asked
}

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("in time")
}

pub(crate) fn get() -> Request<()> {
    Request::get("http://web/a?b").body(()).unwrap()
}

fn connect(proxy: &Proxy, way: Way) -> (TcpStream, TcpStream, TcpListener) {
    let listener = way.listener();
    let client = proxy.connect(way, listener.local_addr().unwrap());
    let server = accept(&listener);
    (client, server, listener)
}

#[test]
fn requests_pass_and_are_told() {
    for way in Way::all() {
        let proxy = Proxy::start(&[]);
        let (caller, called, _listener) = connect(&proxy, way);
        runtime().block_on(async {
            let (mut requests, mut asked) = (client(caller).await, serve(called));
            for _ in 0..2 {
                let (response, _) = requests.send_request(get(), true).unwrap();
                let (request, mut respond) = soon(asked.recv()).await.unwrap();
                assert_eq!(request.uri(), "http://web/a?b");
                assert_eq!(request.headers()["x-request-id"].len(), 36);
                let mut body = respond.send_response(Response::new(()), false).unwrap();
                body.send_data("hello".into(), true).unwrap();
                let mut response = soon(response).await.unwrap().into_body();
                assert_eq!(soon(response.data()).await.unwrap().unwrap(), "hello");
            }
        });
        let direction = if way.inbound { "direction=\"inbound\"" } else { "direction=\"outbound\"" };
        let parts = ["remora_detected_connections_total{", direction, "protocol=\"http2\"", "first_bytes"];
        assert_eq!(proxy.metric(&parts), 1);
        let lines = proxy.stop();
        assert_eq!(lines.len(), 2, "one for each request: {lines:?}");
        for line in lines {
            assert_eq!(line["protocol"], "HTTP/2", "{line}");
            assert_eq!(line["detected_protocol"], "http2", "{line}");
            assert_eq!((&line["method"], &line["path"]), (&"GET".into(), &"/a?b".into()), "{line}");
            assert_eq!((&line["response_code"], &line["bytes_sent"]), (&200.into(), &5.into()), "{line}");
            assert_eq!(line["response_flags"], "-", "{line}");
        }
    }
}

#[test]
fn deadlines_of_grpc_come_as_they_were_set() {
    // Of each unit, of the most digits, and of what only lenient servers take.
    let deadlines =
        ["1H", "2M", "3S", "4m", "5u", "6n", "99999999n", "00000001S", "0m", "123456789S", "1", "s"];
    for way in Way::all() {
        let proxy = Proxy::start(&[]);
        let (caller, called, _listener) = connect(&proxy, way);
        runtime().block_on(async {
            let (mut requests, mut asked) = (client(caller).await, serve(called));
            for deadline in deadlines {
                let call = Request::post("http://web/shop.Cart/Add")
                    .header("content-type", "application/grpc")
                    .header("grpc-timeout", deadline);
                let (response, _) = requests.send_request(call.body(()).unwrap(), true).unwrap();
                let (request, mut respond) = soon(asked.recv()).await.unwrap();
                let came: Vec<_> = request.headers().get_all("grpc-timeout").iter().collect();
                assert_eq!(came, [deadline], "{way:?}");
                let ends = Response::builder().header("grpc-status", "0").body(()).unwrap();
                respond.send_response(ends, true).unwrap();
                soon(response).await.unwrap();
            }
        });
        assert_eq!(proxy.stop().len(), deadlines.len());
    }
}

#[test]
fn clients_are_asked_to_go_when_the_drain_begins_and_nothing_is_lost() {
    let proxy = Proxy::start(&["--drain-delay", "1h"]);
    let (caller, called, listener) = connect(&proxy, INBOUND);
    runtime().block_on(async {
        let (mut requests, mut asked) = (client(caller).await, serve(called));
        let (response, _) = requests.send_request(get(), true).unwrap();
        let (_, mut respond) = soon(asked.recv()).await.unwrap();
        std::thread::scope(|scope| drop(scope.spawn(|| proxy.drain())));
        // The client has heard when it does not send any more; what it sent before is carried.
        let mut more = vec![];
        let refused = soon(async {
            loop {
                match requests.send_request(get(), true) {
                    Ok((response, _)) => more.push(response),
                    Err(error) => return error,
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(refused.reason(), Some(h2::Reason::NO_ERROR));
        respond.send_response(Response::new(()), true).unwrap();
        assert_eq!(soon(response).await.unwrap().status(), StatusCode::OK);
        tokio::spawn(async move {
            while let Some((_, mut respond)) = asked.recv().await {
                respond.send_response(Response::new(()), true).unwrap();
            }
        });
        for response in more {
            // What was too late the client knows to be so, and may send again.
            match soon(response).await {
                Ok(response) => assert_eq!(response.status(), StatusCode::OK),
                Err(error) => assert!(error.is_go_away() && error.is_remote(), "{error:?}"),
            }
        }
        // Its own listener still accepts, and who comes now is served before it is asked to go.
        let caller = proxy.connect(INBOUND, listener.local_addr().unwrap());
        let (mut requests, mut asked) = (client(caller).await, serve(accept(&listener)));
        let (response, _) = requests.send_request(get(), true).unwrap();
        let (_, mut respond) = soon(asked.recv()).await.unwrap();
        respond.send_response(Response::new(()), true).unwrap();
        assert_eq!(soon(response).await.unwrap().status(), StatusCode::OK);
        assert!(soon(asked.recv()).await.is_none());
    });
}

#[test]
fn the_process_ends_soon_although_clients_keep_their_connections() {
    let began = Instant::now();
    let proxy = Proxy::start(&["--drain-deadline", "1h"]);
    let (mut caller, called, _listener) = connect(&proxy, INBOUND);
    // It answers nothing: neither the settings nor what it is asked at the end.
    caller.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    (&called).read_exact(&mut [0; 24]).unwrap();
    proxy.terminate();
    let mut frames = vec![];
    caller.read_to_end(&mut frames).unwrap();
    drop((caller, called));
    assert_eq!(proxy.exit(), Exit::Idle);
    assert!(began.elapsed() < PATIENCE);
}
