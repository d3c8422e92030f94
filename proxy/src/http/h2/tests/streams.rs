//! What a client and a server of the h2 crate see of each other through the proxy.

use std::future::poll_fn;

use ::h2::ext::Protocol;
use ::h2::{Reason, server};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use super::Lab;
use super::peers::{client, read, send, server as serve, soon};
use crate::telemetry::session::End;

fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in list {
        fields.append(*name, HeaderValue::from_static(value));
    }
    fields
}

fn request(method: Method, uri: &str, list: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(uri).body(()).unwrap();
    *request.headers_mut() = fields(list);
    request
}

fn get(uri: &str) -> Request<()> {
    request(Method::GET, uri, &[])
}

#[tokio::test]
async fn heads_content_and_trailers_pass_both_ways() {
    let lab = Lab::new().await;
    let mut requests = client(lab.client).await;
    let mut arrivals = serve(lab.server, server::Builder::new());

    let list = [
        ("x-b", "1"),
        ("x-a", "2"),
        ("x-b", "3"),
        ("te", "trailers"),
        ("grpc-timeout", "1S"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("host", "a:8080"),
        ("content-length", "11"),
    ];
    let sent = request(Method::POST, "https://a:8080/x//y/../%2f?q=%00&", &list);
    let (response, mut sent_body) = requests.send_request(sent, false).unwrap();
    let (arrived, mut respond) = soon(arrivals.recv()).await.unwrap();
    assert_eq!(arrived.method(), Method::POST);
    assert_eq!(arrived.uri(), "https://a:8080/x//y/../%2f?q=%00&");
    assert_eq!(arrived.headers(), &fields(&list));
    send(&mut sent_body, "hello world".into(), false).await;
    sent_body.send_trailers(fields(&[("x-sum", "7"), ("x-sum", "8")])).unwrap();
    let (content, trailers) = soon(read(arrived.into_body())).await.unwrap();
    assert_eq!(content, b"hello world");
    assert_eq!(trailers, Some(fields(&[("x-sum", "7"), ("x-sum", "8")])));

    let list = [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("server", "s"), ("date", "d")];
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::IM_A_TEAPOT;
    *answer.headers_mut() = fields(&list);
    let mut body = respond.send_response(answer, false).unwrap();
    send(&mut body, "response".into(), false).await;
    body.send_trailers(fields(&[("grpc-status", "0")])).unwrap();
    let response = soon(response).await.unwrap();
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(response.headers(), &fields(&list));
    let (content, trailers) = soon(read(response.into_body())).await.unwrap();
    assert_eq!(content, b"response");
    assert_eq!(trailers, Some(fields(&[("grpc-status", "0")])));

    drop((requests, sent_body));
    assert_eq!(soon(lab.end).await.unwrap(), End::COMPLETE);
    assert_eq!(lab.relaying.buffered(), 0);
}

#[tokio::test]
async fn ends_are_where_they_were() {
    let lab = Lab::new().await;
    let mut requests = client(lab.client).await;
    let mut arrivals = serve(lab.server, server::Builder::new());
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        let (response, _) = requests.send_request(request(method, "http://a/", &[]), true).unwrap();
        let (arrived, mut respond) = soon(arrivals.recv()).await.unwrap();
        assert!(arrived.body().is_end_stream());
        let mut answer = Response::new(());
        answer.headers_mut().insert("content-length", HeaderValue::from_static("0"));
        respond.send_response(answer, true).unwrap();
        assert!(soon(response).await.unwrap().body().is_end_stream());
    }
    // An empty frame is an end of its own.
    let (_response, mut body) = requests.send_request(request(Method::PUT, "http://a/", &[]), false).unwrap();
    let (arrived, _respond) = soon(arrivals.recv()).await.unwrap();
    assert!(!arrived.body().is_end_stream());
    body.send_data(Bytes::new(), true).unwrap();
    assert_eq!(soon(read(arrived.into_body())).await.unwrap(), (vec![], None));
}

#[tokio::test]
async fn interim_responses_pass_as_they_come() {
    let lab = Lab::new().await;
    let mut requests = client(lab.client).await;
    let mut arrivals = serve(lab.server, server::Builder::new());
    let sent = request(Method::POST, "http://a/", &[("expect", "100-continue")]);
    let (mut response, mut body) = requests.send_request(sent, false).unwrap();
    let (arrived, mut respond) = soon(arrivals.recv()).await.unwrap();
    assert_eq!(arrived.headers()["expect"], "100-continue");
    for status in [100, 103, 102, 103, 199] {
        let mut interim = Response::builder().status(status).body(()).unwrap();
        interim.headers_mut().insert("link", HeaderValue::from_static("</a>"));
        respond.send_informational(interim).unwrap();
        let seen = soon(poll_fn(|cx| response.poll_informational(cx))).await.unwrap().unwrap();
        assert_eq!(seen.status(), status);
        assert_eq!(seen.headers()["link"], "</a>");
    }
    body.send_data("x".into(), true).unwrap();
    soon(read(arrived.into_body())).await.unwrap();
    respond.send_response(Response::new(()), true).unwrap();
    assert_eq!(soon(response).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_request_without_authority_stays_one() {
    let lab = Lab::new().await;
    let mut requests = client(lab.client).await;
    let mut arrivals = serve(lab.server, server::Builder::new());
    let mut sent = request(Method::GET, "/x", &[("host", "a")]);
    // What h2 takes for one that came by HTTP/1, it sends without authority.
    *sent.version_mut() = http::Version::HTTP_11;
    let _stream = requests.send_request(sent, true).unwrap();
    let (arrived, _respond) = soon(arrivals.recv()).await.unwrap();
    assert_eq!(arrived.uri(), "/x");
    assert_eq!(arrived.headers()["host"], "a");
}

#[tokio::test]
async fn a_tunnel_carries_both_ways_and_ends_one_way_at_a_time() {
    let lab = Lab::new().await;
    let mut requests = client(lab.client).await;
    let mut arrivals = serve(lab.server, server::Builder::new());
    let (response, mut up) = requests.send_request(request(Method::CONNECT, "a:443", &[]), false).unwrap();
    let (arrived, mut respond) = soon(arrivals.recv()).await.unwrap();
    assert_eq!(arrived.method(), Method::CONNECT);
    assert_eq!(arrived.uri(), "a:443");
    let mut down = respond.send_response(Response::new(()), false).unwrap();
    let mut response = soon(response).await.unwrap().into_body();
    let mut request = arrived.into_body();
    for number in 0..3_u8 {
        up.send_data(vec![number].into(), false).unwrap();
        assert_eq!(soon(request.data()).await.unwrap().unwrap(), vec![number]);
        down.send_data(vec![number].into(), false).unwrap();
        assert_eq!(soon(response.data()).await.unwrap().unwrap(), vec![number]);
    }
    up.send_data(Bytes::new(), true).unwrap();
    assert_eq!(soon(read(request)).await.unwrap().0, b"");
    down.send_data("late".into(), true).unwrap();
    assert_eq!(soon(read(response)).await.unwrap().0, b"late");
}

#[tokio::test]
async fn websockets_are_offered_when_the_server_offers_them() {
    let lab = Lab::new().await;
    let mut builder = server::Builder::new();
    builder.enable_connect_protocol();
    let mut arrivals = serve(lab.server, builder);
    let mut requests = client(lab.client).await;
    soon(poll_fn(|cx| {
        // The client's connection is another task; it has to have its turns.
        cx.waker().wake_by_ref();
        if requests.is_extended_connect_protocol_enabled() {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    }))
    .await;
    let mut sent = request(Method::CONNECT, "http://a/chat?x", &[("sec-websocket-version", "13")]);
    sent.extensions_mut().insert(Protocol::from_static("websocket"));
    let (response, mut up) = requests.send_request(sent, false).unwrap();
    let (arrived, mut respond) = soon(arrivals.recv()).await.unwrap();
    assert_eq!(arrived.extensions().get::<Protocol>().unwrap().as_str(), "websocket");
    assert_eq!(arrived.uri(), "http://a/chat?x");
    let mut down = respond.send_response(Response::new(()), false).unwrap();
    let response = soon(response).await.unwrap();
    up.send_data("up".into(), true).unwrap();
    down.send_data("down".into(), true).unwrap();
    assert_eq!(soon(read(arrived.into_body())).await.unwrap().0, b"up");
    assert_eq!(soon(read(response.into_body())).await.unwrap().0, b"down");
}

#[tokio::test]
async fn a_call_with_many_small_messages_passes_and_is_counted() {
    const MESSAGES: usize = 20_000;
    let lab = Lab::new().await;
    let mut requests = client(lab.client).await;
    let mut arrivals = serve(lab.server, server::Builder::new());
    let sent =
        request(Method::POST, "http://a/s/m", &[("content-type", "application/grpc"), ("te", "trailers")]);
    let (response, mut up) = requests.send_request(sent, false).unwrap();
    let (arrived, mut respond) = soon(arrivals.recv()).await.unwrap();
    let mut down = respond.send_response(Response::new(()), false).unwrap();
    // A frame for each message, both ways at once.
    let upload = async {
        for _ in 0..MESSAGES {
            send(&mut up, Bytes::from_static(b"\0\0\0\0\x01u"), false).await;
        }
        up.send_data(Bytes::new(), true).unwrap();
    };
    let download = async {
        for _ in 0..MESSAGES {
            send(&mut down, Bytes::from_static(b"\0\0\0\0\x03abc"), false).await;
        }
        down.send_trailers(fields(&[("grpc-status", "5")])).unwrap();
    };
    let response = async { read(response.await.unwrap().into_body()).await.unwrap() };
    let ((), (), asked, (answered, trailers)) = soon(async {
        tokio::join!(upload, download, async { read(arrived.into_body()).await.unwrap() }, response)
    })
    .await;
    assert_eq!(asked.0.len(), 6 * MESSAGES);
    assert_eq!(answered.len(), 8 * MESSAGES);
    assert_eq!(trailers, Some(fields(&[("grpc-status", "5")])));
    drop((requests, up));
    assert_eq!(soon(lab.end).await.unwrap(), End::COMPLETE);
    for (name, labels, value) in [
        ("istio_requests_total", "grpc_response_status=\"5\"", "1"),
        ("istio_request_messages_total", "", "20000"),
        ("istio_response_messages_total", "", "20000"),
    ] {
        let lines = Lab::metric(&lab.shown, &[&format!("{name}{{"), labels]);
        assert!(matches!(&lines[..], [line] if line.ends_with(&format!(" {value}"))), "{name}: {lines:?}");
    }
}

#[tokio::test]
async fn a_drain_lets_streams_finish_and_takes_no_more() {
    let lab = Lab::new().await;
    let mut requests = client(lab.client).await;
    let mut arrivals = serve(lab.server, server::Builder::new());
    let (response, _) = requests.send_request(get("http://a/1"), true).unwrap();
    let (_arrived, mut respond) = soon(arrivals.recv()).await.unwrap();
    lab.drain.request();
    let refused = soon(async {
        loop {
            // Those that were on the way are carried; then the client has heard.
            match requests.send_request(get("http://a/2"), true) {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => return error,
            }
        }
    })
    .await;
    assert_eq!(refused.reason(), Some(Reason::NO_ERROR));
    respond.send_response(Response::new(()), true).unwrap();
    assert_eq!(soon(response).await.unwrap().status(), 200);
    while let Ok((_, mut respond)) = arrivals.try_recv() {
        respond.send_response(Response::new(()), true).unwrap();
    }
    assert_eq!(soon(lab.end).await.unwrap(), End::COMPLETE);
}
