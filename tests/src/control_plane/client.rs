//! A small client of the Kubernetes API over HTTPS: JSON in, JSON out, one connection that is kept open.
//!
//! It deliberately knows no kinds, retries nothing but a connection that was closed, and shows what libraries hide: status,
//! warnings, and the API server's own words.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, WARNING};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::Value;
use tokio_rustls::TlsConnector;

/// A client with one bearer token.
pub struct Client {
    address: SocketAddr,
    authorization: String,
    tls: TlsConnector,
    connection: Option<SendRequest<Full<Bytes>>>,
    /// `Impersonate-*` headers of every request.
    impersonated: Vec<(&'static str, String)>,
}

/// What the API server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The texts of its `Warning` headers, which kubectl shows; those of admission webhooks are among them.
    pub warnings: Vec<String>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The object of a request that succeeded; else an error with the API server's message.
    pub fn object(&self) -> Result<Value> {
        if !self.status.is_success() {
            let message =
                self.json().ok().and_then(|status| Some(status.get("message")?.as_str()?.to_owned()));
            bail!("{}: {}", self.status, message.unwrap_or_else(|| self.text()));
        }
        self.json()
    }
}

impl Client {
    /// A client of the API server at `address`, whose certificate the authority signed for that address.
    pub fn new(address: SocketAddr, authority_pem: &str, token: &str) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority_pem.as_bytes()).context("the authority")?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Self {
            address,
            authorization: format!("Bearer {token}"),
            tls,
            connection: None,
            impersonated: Vec::new(),
        })
    }

    /// The same client as somebody else; only who may do everything may.
    pub fn impersonating(mut self, user: &str, groups: &[String]) -> Self {
        let groups = groups.iter().map(|group| ("impersonate-group", group.clone()));
        self.impersonated = [("impersonate-user", user.to_owned())].into_iter().chain(groups).collect();
        self
    }

    /// Reads an object, a list, or what else is at a path.
    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, None).await
    }

    /// Creates an object in a collection; an error with the API server's message unless it was created.
    pub async fn create(&mut self, collection: &str, object: &Value) -> Result<Value> {
        let answer = self.post(collection, object).await?;
        answer.object().with_context(|| format!("POST {collection}"))
    }

    /// Sends an object to a collection, whatever comes of it.
    pub async fn post(&mut self, collection: &str, object: &Value) -> Result<Answer> {
        self.send(Method::POST, collection, Some(("application/json", object.to_string().into()))).await
    }

    /// Replaces an object.
    pub async fn put(&mut self, path: &str, object: &Value) -> Result<Answer> {
        self.send(Method::PUT, path, Some(("application/json", object.to_string().into()))).await
    }

    /// Changes an object by a JSON merge patch (RFC 7386).
    pub async fn merge(&mut self, path: &str, patch: &Value) -> Result<Answer> {
        self.send(Method::PATCH, path, Some(("application/merge-patch+json", patch.to_string().into()))).await
    }

    /// Deletes an object, or every object of a collection.
    pub async fn delete(&mut self, path: &str) -> Result<Answer> {
        self.send(Method::DELETE, path, None).await
    }

    /// Any request; a body comes with its media type.
    pub async fn send(&mut self, method: Method, path: &str, body: Option<(&str, Bytes)>) -> Result<Answer> {
        let what = format!("{method} {path}");
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header(AUTHORIZATION, self.authorization.as_str());
        for (name, value) in &self.impersonated {
            request = request.header(*name, value);
        }
        if let Some((media, _)) = body {
            request = request.header(CONTENT_TYPE, media);
        }
        let request = request.body(Full::new(body.map(|(_, body)| body).unwrap_or_default()))?;
        self.exchange(request).await.context(what)
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let connection = self.connection().await?;
        let (parts, body) = connection.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let warnings = parts.headers.get_all(WARNING).iter();
        let warnings = warnings.map(|value| warning(&String::from_utf8_lossy(value.as_bytes()))).collect();
        Ok(Answer { status: parts.status, warnings, body })
    }

    /// The open connection; a new one where there is none, or where the server has closed it.
    async fn connection(&mut self) -> Result<&mut SendRequest<Full<Bytes>>> {
        if let Some(mut open) = self.connection.take()
            && open.ready().await.is_ok()
        {
            return Ok(self.connection.insert(open));
        }
        let stream = tokio::net::TcpStream::connect(self.address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let stream = self.tls.connect(name, stream).await.context("no TLS handshake")?;
        let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // However the connection ends, a request that needed it has its own error.
            let _ = driver.await;
        });
        Ok(self.connection.insert(sender))
    }
}

/// The text of a `Warning` header (RFC 7234, section 5.5): `299 - "text"`, with quotes and backslashes escaped.
fn warning(header: &str) -> String {
    let quoted = header.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map(|(text, _)| text);
    let Some(quoted) = quoted else { return header.to_owned() };
    let mut text = String::with_capacity(quoted.len());
    let mut escaped = false;
    for character in quoted.chars() {
        escaped = character == '\\' && !escaped;
        if !escaped {
            text.push(character);
        }
    }
    text
}
