//! Servers that leave (GOAWAY) or refuse (REFUSED_STREAM) while requests are on their way: each request is done once, or its
//! client is told that it was not done.
//!
//! What a server does when is a matter of chance. A failure prints the seed; `RACE_SEED` begins with it.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use h2::client::SendRequest;
use h2::{Reason, server};
use http::{Request, Response, StatusCode};
use tokio::task::JoinHandle;

use super::{client, runtime, soon};
use crate::support::{INBOUND, OUTBOUND, Proxy, scale};

/// Streams at once.
const STREAMS: usize = 20;

type Done = Arc<Vec<AtomicU32>>;

/// Answers, refuses one in eight, and leaves after some.
async fn serve(stream: tokio::net::TcpStream, done: Done, mut random: fastrand::Rng) {
    let mut connection = server::handshake(stream).await.unwrap();
    let mut left = random.u32(1..40);
    // Whoever asked may be gone, and so may the connection.
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let number: usize = request.uri().path()[1..].parse().unwrap();
        if random.u32(..8) == 0 {
            respond.send_reset(Reason::REFUSED_STREAM);
        } else {
            done[number].fetch_add(1, Ordering::Relaxed);
            let _ = respond.send_response(Response::new(()), true);
        }
        left = left.saturating_sub(1);
        if left == 0 {
            connection.graceful_shutdown();
        }
    }
}

fn accept_all(listener: TcpListener, done: &Done, seed: u64) -> JoinHandle<()> {
    listener.set_nonblocking(true).unwrap();
    let (listener, done) = (tokio::net::TcpListener::from_std(listener).unwrap(), Arc::clone(done));
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let random = fastrand::Rng::with_seed(seed.wrapping_add(number));
            tokio::spawn(serve(stream, Arc::clone(&done), random));
        }
    })
}

/// Whether it was answered; if not, the client knows that it was not done.
async fn ask(requests: SendRequest<Bytes>, number: usize) -> bool {
    let mut requests = soon(requests.ready()).await.unwrap();
    let has_content = number.is_multiple_of(2);
    let method = if has_content { "POST" } else { "GET" };
    let request = Request::builder().method(method).uri(format!("http://web/{number}")).body(()).unwrap();
    let (response, mut content) = requests.send_request(request, !has_content).unwrap();
    if has_content {
        // It may be refused already.
        let _ = content.send_data("!".into(), true);
    }
    match soon(response).await {
        Ok(response) => {
            assert_eq!(response.status(), StatusCode::OK, "{number}");
            true
        }
        Err(error) => {
            assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM), "{number}: {error}");
            false
        }
    }
}

#[test]
fn no_request_is_lost_or_done_twice_when_servers_leave() {
    let seed = std::env::var("RACE_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("RACE_SEED={seed}");
    let count = scale("requests", 60_000, 3_000);
    for way in [INBOUND, OUTBOUND] {
        let (proxy, listener) = (Proxy::start(&[]), way.listener());
        let caller = proxy.connect(way, listener.local_addr().unwrap());
        let done: Done = Arc::new((0..count).map(|_| AtomicU32::new(0)).collect());
        let answered: Vec<_> = runtime().block_on(async {
            let accepting = accept_all(listener, &done, seed);
            let requests = client(caller).await;
            let asked = stream::iter(0..count).map(|number| {
                let requests = requests.clone();
                async move { (number, ask(requests, number).await) }
            });
            let answered = asked.buffer_unordered(STREAMS).collect().await;
            accepting.abort();
            answered
        });
        let mut refused = 0;
        for (number, is_answered) in answered {
            assert_eq!(done[number].load(Ordering::Relaxed), u32::from(is_answered), "{number} of {way:?}");
            refused += usize::from(!is_answered);
        }
        // One in eight of those with content, and of those without one in 512.
        assert!(refused < count / 4, "{refused} of {count} were left to the client");
        assert!(
            proxy.metric(&["remora_http_retries_total{", if way.inbound { "inbound" } else { "outbound" }])
                > 0
        );
    }
}
