//! One connection for one call, as the kubelet makes it: nothing is pooled, so that each probe proves that the application
//! still accepts.

use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue, LOCATION};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Uri};
use tokio::net::TcpStream;

use super::origin::Redirected;
use super::{Origin, Settings, tls};
use crate::call;
pub(crate) use crate::call::Answer;

/// As the kubelet's client, which counts the first one too.
const REQUESTS: usize = 10;

/// A call that got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nobody accepts.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// No TLS.
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    /// No HTTP.
    #[error("no valid HTTP answer: {0}")]
    Http(String),
    /// A circle.
    #[error("{REQUESTS} requests, and all led to redirects")]
    Redirects,
}

impl From<hyper::Error> for CallError {
    fn from(error: hyper::Error) -> Self {
        // The cause says what happened; hyper's own text only where.
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Self::Http(format!("{error}{}", cause.unwrap_or_default()))
    }
}

/// A GET request but for its destination.
#[derive(Clone, Debug)]
pub(crate) struct Get {
    pub(crate) path: PathAndQuery,
    /// Instead of the address.
    pub(crate) host: Option<HeaderValue>,
    pub(crate) headers: HeaderMap,
}

/// Calls the application.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pod: Option<IpAddr>,
}

impl Client {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { pod: settings.pod_ip }
    }

    /// `SCHEME://HOST:PORT`, for messages.
    pub(crate) fn name(&self, origin: &Origin) -> String {
        format!("{}://{}", origin.scheme(), self.authority(origin))
    }

    /// `HOST:PORT`, for messages.
    pub(crate) fn authority(&self, origin: &Origin) -> String {
        origin.authority(self.pod)
    }

    /// The first address of the host that accepts.
    pub(crate) async fn connect(&self, origin: &Origin) -> Result<(TcpStream, IpAddr), CallError> {
        let mut failure = io::ErrorKind::AddrNotAvailable.into();
        for ip in origin.host.addresses(self.pod) {
            match TcpStream::connect(SocketAddr::new(ip, origin.port)).await {
                Ok(stream) => return Ok((stream, ip)),
                Err(error) => failure = error,
            }
        }
        Err(CallError::Connect(failure))
    }

    /// Asks, and follows redirects to the same host.
    pub(crate) async fn get(&self, origin: &Origin, get: &Get) -> Result<Answer, CallError> {
        let (mut origin, mut get) = (origin.clone(), get.clone());
        let host = get.host.clone();
        for _ in 0..REQUESTS {
            let answer = self.get_once(&origin, &get).await?;
            let location = answer.response.headers().get(LOCATION).map(|value| value.as_bytes());
            let location = location.filter(|location| !location.is_empty()).map(String::from_utf8_lossy);
            let followed = matches!(answer.response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
                .then(|| origin.follow(self.pod, &get.path, &location?))
                .flatten();
            let Some(Redirected { origin: next, path, named }) = followed else { return Ok(answer) };
            origin = next;
            get = Get { path, host: host.clone().filter(|_| !named), ..get };
        }
        Err(CallError::Redirects)
    }

    async fn get_once(&self, origin: &Origin, get: &Get) -> Result<Answer, CallError> {
        let (stream, ip) = self.connect(origin).await?;
        let mut request = Request::new(Full::default());
        *request.headers_mut() = get.headers.clone();
        if !origin.tls {
            self.address(&mut request, origin, get)?;
            return Ok(call::http1(Box::new(stream), request).await?);
        }
        let stream = tls::handshake(stream, ip).await.map_err(CallError::Tls)?;
        if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2) {
            let authority = get.host.as_ref().and_then(|host| host.to_str().ok());
            let authority = authority.map_or_else(|| self.authority(origin), ToOwned::to_owned);
            *request.uri_mut() = absolute("https", &authority, &get.path)?;
            return Ok(call::http2(Box::new(stream), request).await?);
        }
        self.address(&mut request, origin, get)?;
        Ok(call::http1(Box::new(stream), request).await?)
    }

    /// Says where an HTTP/1 request goes and that no other will come.
    fn address(
        &self,
        request: &mut Request<Full<Bytes>>,
        origin: &Origin,
        get: &Get,
    ) -> Result<(), CallError> {
        let host = match &get.host {
            Some(host) => host.clone(),
            // Digits, dots, colons and brackets.
            None => HeaderValue::try_from(self.authority(origin)).map_err(unaskable)?,
        };
        *request.uri_mut() = Uri::from(get.path.clone());
        request.headers_mut().insert(HOST, host);
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Ok(())
    }

    /// One HTTP/2 request without TLS and without asking for it, as gRPC makes it.
    pub(crate) async fn post_http2(
        &self,
        origin: &Origin,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Answer, CallError> {
        let (stream, _) = self.connect(origin).await?;
        let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        *request.uri_mut() = absolute("http", &self.authority(origin), &path)?;
        Ok(call::http2(Box::new(stream), request).await?)
    }
}

fn absolute(scheme: &str, authority: &str, path: &PathAndQuery) -> Result<Uri, CallError> {
    Uri::builder().scheme(scheme).authority(authority).path_and_query(path.clone()).build().map_err(unaskable)
}

fn unaskable(error: impl std::fmt::Display) -> CallError {
    CallError::Http(error.to_string())
}
