//! A client that costs little: HTTP/1.1 by hand over rustls, the same bytes again and again, as the API server's connections
//! that are kept alive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hyper::body::Bytes;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::process::local;
use crate::times::Times;

/// Whom to ask, and what.
#[derive(Clone)]
pub(crate) struct Target {
    port: u16,
    name: ServerName<'static>,
    connector: TlsConnector,
    request: Bytes,
}

impl Target {
    pub(crate) fn new(port: u16, name: &str, authority_pem: &str, body: &[u8]) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority_pem.as_bytes()) {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let path = api::control::WEBHOOK_NAMESPACE_PATH;
        let length = body.len();
        let head = format!(
            "POST {path}?timeout=5s HTTP/1.1\r\nHost: {name}\r\nUser-Agent: kube-apiserver-admission\r\n\
             Content-Length: {length}\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\n\r\n"
        );
        let request = [head.as_bytes(), body].concat().into();
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self { port, name: ServerName::try_from(name.to_owned())?, connector, request })
    }

    async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(local(self.port)).await.context("connect")?;
        stream.set_nodelay(true)?;
        let stream = self.connector.connect(self.name.clone(), stream).await.context("handshake")?;
        Ok(Connection { stream, buffer: Vec::with_capacity(32 * 1024) })
    }
}

struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Asks once. Whether the connection can be used again is told.
    async fn exchange(&mut self, request: &[u8]) -> Result<bool> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the connection was closed");
            let Some((head, body)) = split(&self.buffer) else { continue };
            let head = std::str::from_utf8(head).context("the answer's head")?;
            ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
            let header = |name: &str| {
                let mut lines = head.lines().filter_map(|line| line.split_once(": "));
                lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
            };
            let length: usize = header("content-length").context("no Content-Length")?.parse()?;
            if body.len() < length {
                continue;
            }
            ensure!(allowed(body), "not allowed: {}", String::from_utf8_lossy(body));
            return Ok(header("connection") != Some("close"));
        }
    }
}

fn split(buffer: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = buffer.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((buffer.get(..at)?, buffer.get(at + 4..)?))
}

/// The field stands before the patch.
fn allowed(body: &[u8]) -> bool {
    let wanted = b"\"allowed\":true";
    body.windows(wanted.len()).any(|window| window == wanted)
}

/// Asks as fast as answers come, over so many connections, until there were `count` answers; gives the time that took.
pub(crate) async fn closed_loop(target: &Target, connections: usize, count: usize) -> Result<Duration> {
    let mut tasks = JoinSet::new();
    let mut ready = Vec::new();
    for _ in 0..connections {
        ready.push(target.connect().await?);
    }
    let begun = Instant::now();
    for mut connection in ready {
        let target = target.clone();
        tasks.spawn(async move {
            for _ in 0..count / connections {
                if !connection.exchange(&target.request).await? {
                    connection = target.connect().await?;
                }
            }
            anyhow::Ok(())
        });
    }
    finish(tasks).await?;
    Ok(begun.elapsed())
}

/// Asks at a fixed rate, whether answers come or not; a latency counts from the moment at which the question was due.
pub(crate) async fn open_loop(target: &Target, rate: usize, time: Duration) -> Result<Times> {
    const CONNECTIONS: usize = 64;
    let interval = Duration::from_secs(1).div_f64(rate as f64);
    let count = (time.as_secs_f64() * rate as f64) as usize;
    let mut tasks = JoinSet::new();
    let mut ready = Vec::new();
    for _ in 0..CONNECTIONS {
        ready.push(target.connect().await?);
    }
    let begun = Instant::now();
    for (first, mut connection) in ready.into_iter().enumerate() {
        let target = target.clone();
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            for number in (first..count).step_by(CONNECTIONS) {
                let due = begun + interval * u32::try_from(number)?;
                tokio::time::sleep_until(due.into()).await;
                let reusable = connection.exchange(&target.request).await?;
                latencies.push(due.elapsed());
                if !reusable {
                    connection = target.connect().await?;
                }
            }
            anyhow::Ok(latencies)
        });
    }
    Ok(Times::new(finish(tasks).await?.into_iter().flatten().collect()))
}

async fn finish<T: 'static>(mut tasks: JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut results = Vec::new();
    while let Some(result) = tasks.join_next().await {
        results.push(result??);
    }
    if results.is_empty() {
        bail!("nothing was asked");
    }
    Ok(results)
}
