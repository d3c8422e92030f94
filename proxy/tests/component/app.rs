//! Applications of a pod, friendly and hostile, and an HTTP client that shows exactly what it was answered.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use crate::support::{Proxy, patient};

/// A server of an application, and the heads of the requests that it gets.
pub(crate) struct App {
    pub(crate) port: u16,
    requests: Receiver<String>,
}

impl App {
    /// Answers every request as `answer` does, which gets the request's first line, and then closes.
    pub(crate) fn start(answer: impl Fn(&mut dyn Write, &str) + Send + Sync + 'static) -> Self {
        Self::serve(move |mut stream, told| {
            let head = request_head(&mut stream);
            // The test may be over.
            let _ = told.send(head.clone());
            answer(&mut stream, head.lines().next().unwrap_or_default());
        })
    }

    /// The same, over TLS with a certificate that nobody would accept.
    pub(crate) fn start_tls(
        alpn: &[&str],
        answer: impl Fn(&mut dyn Write, &str) + Send + Sync + 'static,
    ) -> Self {
        let config = Arc::new(tls_config(alpn));
        Self::serve(move |mut stream, told| {
            let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut stream);
            let head = request_head(&mut stream);
            let _ = told.send(head.clone());
            answer(&mut stream, head.lines().next().unwrap_or_default());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        })
    }

    fn serve(serve: impl Fn(TcpStream, &std::sync::mpsc::Sender<String>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (told, requests) = channel();
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (serve, told) = (Arc::clone(&serve), told.clone());
                std::thread::spawn(move || serve(patient(stream), &told));
            }
        });
        Self { port, requests }
    }

    /// The next request's head, in lower case.
    pub(crate) fn request(&self) -> String {
        self.requests.recv_timeout(crate::support::PATIENCE).expect("a request").to_ascii_lowercase()
    }
}

/// With a key of its own; the name is nobody's.
pub(crate) fn tls_config(alpn: &[&str]) -> rustls::ServerConfig {
    let certified = rcgen::generate_simple_self_signed(["nobody.invalid".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

fn request_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// What a server of the proxy answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Asks in HTTP/1.0, which has no chunks; `None` where the connection ended without an answer.
pub(crate) fn ask(proxy: &Proxy, path: &str, headers: &[&str]) -> Option<Answer> {
    let port = proxy.addresses.metrics.first().expect("an address").port();
    ask_at((Ipv4Addr::LOCALHOST, port).into(), path, headers)
}

pub(crate) fn ask_at(address: SocketAddr, path: &str, headers: &[&str]) -> Option<Answer> {
    let mut stream = patient(TcpStream::connect(address).expect("an open port"));
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    write!(stream, "GET {path} HTTP/1.0\r\n{headers}\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an end");
    let answer = String::from_utf8(answer).expect("text");
    if answer.is_empty() {
        return None;
    }
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Some(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}
