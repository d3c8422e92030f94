//! The end of a proxy: under load, and with a server that hears of it late.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use conformance::frames::{self, Peer};
use conformance::wire::{Connection, Stop};
use h2::RecvStream;
use h2::client::SendRequest;
use h2::server::{self, SendResponse};
use http::{HeaderMap, HeaderValue, Request, Response};
use proxy::drain::Exit;

use super::{asynchronous, client, connect, get, runtime, soon};
use crate::support::{INBOUND, OUTBOUND, PATIENCE, Proxy, accept, eventually, scale};

/// Connections, and requests that each of them has open.
const CLIENTS: usize = 8;
const OPEN: usize = 8;

fn call() -> Request<()> {
    Request::post("http://web/s/m").header("content-type", "application/grpc").body(()).unwrap()
}

/// Answers whatever comes, each connection in a thread of its own, until there are no more.
fn serve(listener: &TcpListener) {
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let stream = accept(listener);
            scope.spawn(|| runtime().block_on(answer_all(stream)));
        }
    });
}

async fn answer_all(stream: TcpStream) {
    let mut connection = server::handshake(asynchronous(stream)).await.unwrap();
    while let Some(Ok((request, respond))) = connection.accept().await {
        // A client may break off what it was told to have come too late.
        let _ = answer(request, respond);
    }
}

fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut body = respond.send_response(Response::new(()), false)?;
    body.send_data("ok".into(), false)?;
    let mut trailers = HeaderMap::new();
    if request.headers().contains_key("content-type") {
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
    }
    body.send_trailers(trailers)
}

/// Of all clients.
#[derive(Default)]
struct Total {
    answered: AtomicUsize,
    late: AtomicUsize,
}

/// Asks until it is told that the connection takes no more; how often it was answered, and `total` with all others.
async fn ask(mut requests: SendRequest<Bytes>, is_grpc: bool, total: &Total) -> usize {
    let mut answered = 0;
    loop {
        let request = if is_grpc { call() } else { get() };
        let response = match requests.send_request(request, true) {
            Ok((response, _)) => response,
            Err(error) => {
                assert_eq!(error.reason(), Some(h2::Reason::NO_ERROR), "after {answered}: {error}");
                return answered;
            }
        };
        let response = match soon(response).await {
            Ok(response) => response,
            // A busy client may have acknowledged the drain's PING before a request that waited to be sent: it is told that this
            // one was not taken (RFC 9113, section 6.8), and the proxy has no account of it.
            Err(error) if error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR) => {
                total.late.fetch_add(1, Ordering::Relaxed);
                return answered;
            }
            Err(error) => panic!("after {answered}: {error}"),
        };
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        assert_eq!(soon(body.data()).await.expect("content").expect("content"), "ok");
        let trailers = soon(body.trailers()).await.expect("an end").unwrap_or_default();
        assert_eq!(trailers.contains_key("grpc-status"), is_grpc);
        answered += 1;
        total.answered.fetch_add(1, Ordering::Relaxed);
    }
}

async fn ask_all(stream: TcpStream, is_grpc: bool, total: &Total) -> usize {
    let requests = client(stream).await;
    let asking = (0..OPEN).map(|_| ask(requests.clone(), is_grpc, total));
    futures_util::future::join_all(asking).await.into_iter().sum()
}

#[test]
fn no_request_and_no_call_is_lost_when_the_proxy_ends_under_load() {
    let requests = scale("requests", 60_000, 6_000);
    for is_grpc in [false, true] {
        let proxy = Proxy::start(&["--drain-deadline", "1h"]);
        let listener = INBOUND.listener();
        let to = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..CLIENTS).map(|_| proxy.connect(INBOUND, to)).collect();
        let total = &Total::default();
        let answered: usize = std::thread::scope(|scope| {
            scope.spawn(|| serve(&listener));
            let asking: Vec<_> = clients
                .into_iter()
                .map(|stream| scope.spawn(move || runtime().block_on(ask_all(stream, is_grpc, total))))
                .collect();
            eventually("load", || total.answered.load(Ordering::Relaxed) >= requests);
            proxy.terminate();
            asking.into_iter().map(|client| client.join().expect("nothing lost")).sum()
        });
        proxy.has_answered(answered);
        // One client at the most may have been so busy.
        let late = total.late.load(Ordering::Relaxed);
        assert!(late <= OPEN, "{late} were told to have come too late");
    }
}

/// Sends content until no more is taken, however often the proxy says that it has looked.
async fn fill(client: &mut Peer<tokio::net::TcpStream>) {
    const ROUNDS: usize = 20;
    const PART: u32 = 16_384;
    let (mut connection, mut stream, mut rounds) = (65_535, 1024 * 1024, 0);
    while rounds < ROUNDS {
        while PART <= connection.min(stream) {
            client.send(frames::frame(frames::DATA, 0, 1, [0; PART as usize])).await.unwrap();
            (connection, stream) = (connection - PART, stream - PART);
        }
        client.send(frames::ping(b"has read")).await.unwrap();
        rounds += 1;
        loop {
            let frame = client.next().await.unwrap();
            match frame.kind {
                frames::PING => break,
                frames::WINDOW_UPDATE => {
                    let more = u32::from_be_bytes(frame.payload.try_into().unwrap());
                    *(if frame.stream == 0 { &mut connection } else { &mut stream }) += more;
                    rounds = 0;
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_server_hears_the_last_words_although_the_last_client_has_gone() {
    for mode in ["native", "legacy"] {
        let proxy = Proxy::start(&[
            "--drain-deadline=1h",
            "--drain-delay=0s",
            "--http-pool-idle-timeout=1h",
            "--sidecar-mode",
            mode,
        ]);
        let (caller, called, _listener) = connect(&proxy, OUTBOUND);
        runtime().block_on(async {
            let [mut client, mut server] =
                [caller, called].map(|stream| Peer::new(Connection::new(asynchronous(stream), PATIENCE)));
            client.greet(&[]).await.unwrap();
            server.welcome(&[(4, 1 << 30)]).await.unwrap();
            server.send(frames::window_update(0, 1 << 30)).await.unwrap();
            client.send(frames::post(1)).await.unwrap();
            // It does not read, and all buffers are full.
            fill(&mut client).await;
            drop(client);
            let open = ["remora_open_connections{", "outbound"];
            std::thread::scope(|scope| {
                scope.spawn(|| eventually("the client has gone", || proxy.metric(&open) == 0));
            });
            std::thread::scope(|scope| drop(scope.spawn(|| proxy.terminate())));
            let mut said = vec![];
            let end = loop {
                match server.next().await {
                    Ok(frame) => said.push(frame.kind),
                    Err(stop) => break stop,
                }
            };
            let said: Vec<_> = said.into_iter().filter(|kind| *kind != frames::DATA).collect();
            assert!(matches!(end, Stop::Ended), "{mode}: {end} after {said:?}");
            assert!(said.ends_with(&[frames::RST_STREAM, frames::GOAWAY]), "{mode}: {said:?}");
        });
        assert_eq!(proxy.exit(), Exit::Idle);
    }
}
