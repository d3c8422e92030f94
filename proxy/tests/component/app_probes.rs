//! Probes that the proxy makes for the kubelet, against applications of every kind.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc::{Sender, channel};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

use crate::app::{Answer, App, ask};
use crate::support::{Proxy, unused_port};

const READY: &str = "/app-health/web/readyz";
const STOP: &str = "/app-lifecycle/web/prestopz";

fn with(table: &serde_json::Value) -> Proxy {
    Proxy::start(&["--pod-ip", "127.0.0.1", "--application-probes", &table.to_string()])
}

fn probed(prober: serde_json::Value) -> Answer {
    ask(&with(&json!({READY: prober})), READY, &[]).expect("an answer")
}

fn http(port: u16) -> serde_json::Value {
    json!({"httpGet": {"path": "/healthz", "port": port}, "timeoutSeconds": 30})
}

#[test]
fn the_applications_status_is_the_answer_and_its_body_is_not() {
    for status in [200, 204, 299, 302, 400, 404, 500, 503] {
        let app = App::start(move |stream, _| {
            let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 6\r\n\r\nsecret");
        });
        let answer = probed(http(app.port));
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(!answer.body.contains("secret"), "{answer:?}");
    }
}

#[test]
fn the_request_is_the_kubelets_with_the_probes_own_headers() {
    let app = App::start(|stream, _| drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")));
    let own = json!([{"name": "Host", "value": "shop.example"}, {"name": "X-Token", "value": "t"}]);
    let proxy = with(&json!({
        READY: {"httpGet": {"path": "healthz?deep=1", "port": app.port, "httpHeaders": own}},
        "/app-health/web/livez": http(app.port),
    }));
    let kubelet = ["User-Agent: kube-probe/1.34", "Accept: */*", "X-Token: no", "Connection: close"];
    assert_eq!(ask(&proxy, READY, &kubelet).unwrap().status, 200);
    let request = app.request();
    let mut lines: Vec<&str> = request.lines().filter(|line| !line.is_empty()).collect();
    lines[1..].sort_unstable();
    assert_eq!(
        lines,
        [
            "get /healthz?deep=1 http/1.1",
            "accept: */*",
            "connection: close",
            "host: shop.example",
            "user-agent: kube-probe/1.34",
            "x-token: t"
        ]
    );
    assert_eq!(ask(&proxy, "/app-health/web/livez", &kubelet).unwrap().status, 200);
    assert!(app.request().contains(&format!("host: 127.0.0.1:{}", app.port)));
}

#[test]
fn redirects_on_the_same_host_are_followed_and_end() {
    let app = App::start(|stream, request| {
        let answer = match request {
            "GET /healthz HTTP/1.1" => "302 Found\r\nLocation: /real",
            "GET /real HTTP/1.1" => "418 Teapot",
            "GET /away HTTP/1.1" => "301 Moved\r\nLocation: https://login.example.com/",
            _ => "307 Again\r\nLocation: /circle",
        };
        let _ = write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
    });
    assert_eq!(probed(http(app.port)).status, 418);
    let away = probed(json!({"httpGet": {"path": "/away", "port": app.port}}));
    assert_eq!(away.status, 301, "the redirect is the answer");
    assert!(!away.head.contains("location"), "and leads nobody away: {away:?}");
    let circle = probed(json!({"httpGet": {"path": "/circle", "port": app.port}}));
    assert!(circle.status == 502 && circle.body.contains("redirects"), "{circle:?}");
}

#[test]
fn as_many_redirects_are_followed_as_the_kubelet_follows() {
    let app = App::start(|stream, request| {
        let left: u32 = request.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        let _ = match left.checked_sub(1) {
            None => write!(stream, "HTTP/1.1 204 End\r\n\r\n"),
            Some(left) => {
                write!(stream, "HTTP/1.1 302 Found\r\nLocation: {left}\r\nContent-Length: 0\r\n\r\n")
            }
        };
    });
    for (redirects, status) in [(9, 204), (10, 502)] {
        let prober =
            json!({"httpGet": {"path": format!("/{redirects}"), "port": app.port}, "timeoutSeconds": 30});
        assert_eq!(probed(prober).status, status, "{redirects} redirects");
    }
}

#[test]
fn a_redirect_that_names_a_host_is_asked_for_under_that() {
    let app = App::start(|stream, request| {
        let path = request.split(' ').nth(1).unwrap();
        let answer = match path.strip_prefix("/from/") {
            Some(location) => format!("302 Found\r\nLocation: {location}"),
            None => "200 OK".to_owned(),
        };
        let _ = write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
    });
    let here = format!("127.0.0.1:{}", app.port);
    for (location, host) in
        [("/end".to_owned(), "shop.example"), (format!("http://{here}/end"), here.as_str())]
    {
        let own = json!([{"name": "Host", "value": "shop.example"}]);
        let path = format!("/from/{location}");
        let get = json!({"path": path, "port": app.port, "httpHeaders": own});
        assert_eq!(probed(json!({"httpGet": get, "timeoutSeconds": 30})).status, 200);
        assert!(app.request().contains("host: shop.example\r"));
        let second = app.request();
        assert!(second.contains(&format!("host: {host}\r")), "{second}");
    }
}

#[test]
fn https_is_asked_whatever_the_certificate_says() {
    let app = App::start_tls(&[], |stream, _| drop(stream.write_all(b"HTTP/1.1 203 X\r\n\r\n")));
    let https =
        |port| json!({"httpGet": {"path": "/", "port": port, "scheme": "HTTPS"}, "timeoutSeconds": 30});
    assert_eq!(probed(https(app.port)).status, 203);
    let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = plain.local_addr().unwrap().port();
    std::thread::spawn(move || plain.accept().unwrap().0.write_all(b"HTTP/1.1 400 X\r\n\r\n"));
    let answer = probed(https(port));
    assert!(answer.status == 502 && answer.body.contains("TLS"), "{answer:?}");
}

#[test]
fn https_over_http2_is_asked_too() {
    let port = http2_server(Some(crate::app::tls_config(&["h2"])), |request| {
        let good = request.uri().path() == "/healthz" && request.uri().scheme_str() == Some("https");
        Response::builder().status(if good { 206 } else { 500 }).body(Full::default()).unwrap()
    });
    let prober =
        json!({"httpGet": {"path": "/healthz", "port": port, "scheme": "HTTPS"}, "timeoutSeconds": 30});
    assert_eq!(probed(prober).status, 206);
}

#[test]
fn an_open_port_is_found_and_a_closed_one_named() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let tcp = |port: u16, host: &str| {
        probed(json!({"tcpSocket": {"port": port, "host": host}, "timeoutSeconds": 30}))
    };
    let port = listener.local_addr().unwrap().port();
    for host in ["", "localhost", "127.0.0.1"] {
        assert_eq!(tcp(port, host).status, 200, "{host:?}");
    }
    let answer = tcp(unused_port(), "");
    assert_eq!(answer.status, 502);
    assert!(answer.body.contains("TCP 127.0.0.1:") && answer.body.contains("refused"), "{answer:?}");
}

#[test]
fn localhost_is_the_pods_and_the_pods_address_is_not_localhost() {
    let app = App::start(|stream, _| drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")));
    let table = json!({
        READY: {"httpGet": {"port": app.port, "host": "localhost"}, "timeoutSeconds": 30},
        "/app-health/web/livez": {"httpGet": {"port": app.port}, "timeoutSeconds": 30},
    });
    // The application listens on 127.0.0.1 alone.
    let proxy = Proxy::start(&["--pod-ip", "127.0.0.2", "--application-probes", &table.to_string()]);
    assert_eq!(ask(&proxy, READY, &[]).unwrap().status, 200);
    let answer = ask(&proxy, "/app-health/web/livez", &[]).unwrap();
    assert!(answer.status == 502 && answer.body.contains("127.0.0.2"), "{answer:?}");
}

/// Answers in HTTP/2, with or without TLS; the trailers are gRPC's good end.
fn http2_server(
    tls: Option<rustls::ServerConfig>,
    answer: impl Fn(&Request<Incoming>) -> Response<Full<Bytes>> + Send + Clone + 'static,
) -> u16 {
    let (told, port): (Sender<u16>, _) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            told.send(listener.local_addr().unwrap().port()).unwrap();
            let acceptor = tls.map(|config| tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config)));
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, acceptor) = (answer.clone(), acceptor.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (head, body) = answer(&request).into_parts();
                    let status = head.headers.get("x-trailer-status").cloned();
                    let trailers = async move {
                        status.map(|status| {
                            Ok([("grpc-status".parse().unwrap(), status)].into_iter().collect())
                        })
                    };
                    let response = Response::from_parts(head, body.with_trailers(trailers));
                    async { Ok::<_, std::convert::Infallible>(response) }
                });
                tokio::spawn(async move {
                    let server = http2::Builder::new(TokioExecutor::new());
                    match acceptor {
                        Some(acceptor) => {
                            let stream = acceptor.accept(stream).await.unwrap();
                            drop(server.serve_connection(TokioIo::new(stream), service).await);
                        }
                        None => drop(server.serve_connection(TokioIo::new(stream), service).await),
                    }
                });
            }
        });
    });
    port.recv().unwrap()
}

#[test]
fn grpc_health_decides() {
    // The service's name is the last byte of the request, where there is one; bodies are `HealthCheckResponse`s.
    let port = http2_server(None, |request| {
        let head = Response::builder().header("content-type", "application/grpc");
        let good = request.uri().path() == "/grpc.health.v1.Health/Check"
            && request.headers()["te"] == "trailers"
            && request.headers()["user-agent"] == "kube-probe/1.34";
        let status = if good { "0" } else { "3" };
        head.header("x-trailer-status", status).body(Full::from(&[0, 0, 0, 0, 2, 0x08, 1][..])).unwrap()
    });
    let grpc = |port: u16| json!({"grpc": {"port": port, "service": "shop"}, "timeoutSeconds": 30});
    let proxy = with(&json!({READY: grpc(port)}));
    let answer = ask(&proxy, READY, &["User-Agent: kube-probe/1.34"]).unwrap();
    assert!(answer.status == 200 && answer.body.contains("SERVING"), "{answer:?}");
    let answer = ask(&proxy, READY, &["User-Agent: curl"]).unwrap();
    assert!(answer.status == 503 && answer.body.contains("gRPC status 3"), "{answer:?}");

    let not_serving = http2_server(None, |_| {
        let head = Response::builder().header("x-trailer-status", "0");
        head.body(Full::from(&[0, 0, 0, 0, 2, 0x08, 2][..])).unwrap()
    });
    let answer = probed(grpc(not_serving));
    assert!(
        answer.status == 503 && answer.body.contains("NOT_SERVING") && answer.body.contains("shop"),
        "{answer:?}"
    );

    let without = http2_server(None, |_| {
        Response::builder().header("grpc-status", "12").body(Full::default()).unwrap()
    });
    let answer = probed(grpc(without));
    assert!(answer.status == 503 && answer.body.contains("does not implement"), "{answer:?}");

    let endless = http2_server(None, |_| Response::new(Full::from(vec![0; 100_000])));
    assert_eq!(probed(grpc(endless)).status, 502);
    let http1 = App::start(|stream, _| drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")));
    assert_eq!(probed(grpc(http1.port)).status, 502);
}

#[test]
fn an_application_that_does_not_answer_costs_its_probe_and_nothing_else() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let stalled = App::start(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
        std::thread::park();
    });
    let table = json!({
        READY: {"httpGet": {"path": "/healthz", "port": port}, "timeoutSeconds": 1},
        "/app-health/web/livez": {"grpc": {"port": port}, "timeoutSeconds": 1},
        "/app-health/web/startupz": {"httpGet": {"port": stalled.port}, "timeoutSeconds": 1},
        "/app-health/tls/readyz": {"httpGet": {"port": port, "scheme": "HTTPS"}, "timeoutSeconds": 1},
    });
    let proxy = with(&table);
    std::thread::scope(|scope| {
        for path in table.as_object().unwrap().keys() {
            // More at once than are made at once.
            for _ in 0..8 {
                scope.spawn(|| {
                    let answer = ask(&proxy, path, &[]).unwrap();
                    assert!(answer.status == 504 && answer.body.contains("within 1 s"), "{answer:?}");
                });
            }
        }
        assert!(proxy.get(&proxy.addresses.readiness, "/healthz/ready").starts_with("HTTP/1.1 200"));
    });
}

#[test]
fn hostile_answers_are_failures() {
    for (hostile, status) in [
        (&b""[..], 502),
        (b"HTTP/1.1 200", 502),
        (b"220 mail.example ESMTP\r\n", 502),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 502),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 502),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", 502),
        (b"HTTP/1.1 99999 OK\r\n\r\n", 502),
    ] {
        let app = App::start(move |stream, _| drop(stream.write_all(hostile)));
        let answer = probed(http(app.port));
        assert_eq!(answer.status, status, "{} {answer:?}", String::from_utf8_lossy(hostile));
        assert!(
            answer.body.starts_with(&format!("GET http://127.0.0.1:{}/healthz: ", app.port)),
            "{answer:?}"
        );
    }
    let endless_head = App::start(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X-More: 0123456789012345678901234567890123456789\r\n").is_ok() {}
    });
    assert_eq!(probed(http(endless_head.port)).status, 502);
    let endless_body = App::start(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    assert_eq!(probed(http(endless_body.port)).status, 200, "the kubelet reads no more than it needs");
}

#[test]
fn a_lifecycle_handler_without_an_answer_gets_none() {
    let answering = App::start(|stream, _| drop(stream.write_all(b"HTTP/1.1 500 X\r\n\r\n")));
    let start = "/app-lifecycle/web/poststartz";
    let proxy = with(&json!({
        STOP: {"httpGet": {"path": "/stop", "port": answering.port}},
        start: {"httpGet": {"path": "/start", "port": unused_port()}},
    }));
    assert_eq!(ask(&proxy, STOP, &[]).unwrap().status, 500);
    assert!(ask(&proxy, start, &[]).is_none(), "the kubelet would take any status for a success");
}

#[test]
fn an_unknown_probe_is_not_found() {
    let proxy = with(&json!({READY: {"tcpSocket": {"port": 1}}}));
    for path in
        ["/app-health/web/livez", "/app-health/other/readyz", "/app-lifecycle/web/prestopz", "/app-health/"]
    {
        assert_eq!(ask(&proxy, path, &[]).unwrap().status, 404, "{path}");
    }
    assert_eq!(ask(&Proxy::start(&[]), READY, &[]).unwrap().status, 404);
}
