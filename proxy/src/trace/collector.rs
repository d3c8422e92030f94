//! Who takes spans: where it is, what it speaks, and one delivery to it.
//!
//! Each delivery has a connection of its own: there is one a second at most, and none is kept that a collector might have left.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, TE};
use hyper::{Request, Response, Uri};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::call;

/// What a collector speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Protocol {
    /// OTLP over HTTP/1.1, in protobuf (port 4318, /v1/traces).
    OtlpHttp,
    /// OTLP over gRPC (port 4317).
    OtlpGrpc,
    /// Zipkin's JSON of version 2 (port 9411, /api/v2/spans).
    Zipkin,
}

/// The URL of a collector, without what its protocol says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// Without the brackets of an IPv6 address.
    host: String,
    port: Option<u16>,
    path: Option<String>,
}

/// A URL that nothing can be sent to.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum EndpointError {
    /// Its form.
    #[error("`{0}` is no URL of the form http://HOST[:PORT][/PATH]")]
    Form(String),
    /// Its scheme.
    #[error("`{0}` is not http; give the address of a collector in the cluster that takes spans without TLS")]
    Scheme(String),
}

/// A batch was not delivered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undelivered {
    /// The collector is not there, or is too busy now.
    #[error("the collector of spans does not answer: {0}")]
    Away(String),
    /// It will not take this batch, however often it is sent.
    #[error("the collector of spans refuses them: {0}")]
    Refused(String),
}

/// A collector.
pub(super) struct Collector {
    host: String,
    port: u16,
    protocol: Protocol,
    uri: Uri,
}

/// No delivery takes longer.
const LIMIT: Duration = Duration::from_secs(10);

/// More of an answer is not read.
const LONGEST_ANSWER: usize = 64 * 1024;

const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const GRPC_STATUS: &str = "grpc-status";

impl Endpoint {
    pub(super) fn parse(text: &str) -> Result<Self, EndpointError> {
        let form = || EndpointError::Form(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| form())?;
        if uri.scheme_str().ok_or_else(form)? != "http" {
            return Err(EndpointError::Scheme(text.to_owned()));
        }
        let authority = uri.authority().ok_or_else(form)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // A port that is none is not among the URL's parts either.
        let is_whole = match authority.port_u16() {
            Some(port) => authority.as_str() == format!("{}:{port}", authority.host()),
            None => authority.as_str() == authority.host(),
        };
        if host.is_empty() || !is_whole {
            return Err(form());
        }
        let path = uri.path_and_query().map(|path| path.as_str()).filter(|path| *path != "/");
        Ok(Self { host: host.to_owned(), port: authority.port_u16(), path: path.map(ToOwned::to_owned) })
    }
}

impl Collector {
    pub(super) fn new(endpoint: &Endpoint, protocol: Protocol) -> Result<Self, EndpointError> {
        let (port, path) = match protocol {
            Protocol::OtlpHttp => (4318, "/v1/traces"),
            Protocol::OtlpGrpc => (4317, GRPC_PATH),
            Protocol::Zipkin => (9411, "/api/v2/spans"),
        };
        let (host, port) = (endpoint.host.clone(), endpoint.port.unwrap_or(port));
        let authority =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let path = endpoint.path.as_deref().filter(|_| protocol != Protocol::OtlpGrpc).unwrap_or(path);
        let text = format!("http://{authority}{path}");
        let uri = text.parse().map_err(|_| EndpointError::Form(text))?;
        Ok(Self { host, port, protocol, uri })
    }

    /// Delivers a request's body, once.
    pub(super) async fn deliver(&self, body: Bytes) -> Result<(), Undelivered> {
        match timeout(LIMIT, self.try_deliver(body)).await {
            Ok(delivered) => delivered,
            Err(_) => Err(Undelivered::Away(format!("nothing came within {} s", LIMIT.as_secs()))),
        }
    }

    async fn try_deliver(&self, body: Bytes) -> Result<(), Undelivered> {
        let stream = self.connect().await.map_err(|error| Undelivered::Away(error.to_string()))?;
        match self.protocol {
            Protocol::OtlpHttp => self.post(stream, "application/x-protobuf", body).await,
            Protocol::Zipkin => self.post(stream, "application/json", body).await,
            Protocol::OtlpGrpc => self.call(stream, &body).await,
        }
    }

    /// The first address that accepts.
    async fn connect(&self) -> io::Result<TcpStream> {
        let mut failure = io::ErrorKind::AddrNotAvailable.into();
        for address in tokio::net::lookup_host((self.host.as_str(), self.port)).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn post(&self, stream: TcpStream, kind: &str, body: Bytes) -> Result<(), Undelivered> {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::post(path)
            .header(HOST, authority)
            .header(CONNECTION, "close")
            .header(CONTENT_TYPE, kind)
            .body(Full::new(body))
            .map_err(|error| Undelivered::Refused(error.to_string()))?;
        let answer = call::http1(Box::new(stream), request).await.map_err(away)?;
        judge(&answer.response)?;
        // Read, so that the collector can end in good order.
        let _ = Limited::new(answer.response.into_body(), LONGEST_ANSWER).collect().await;
        Ok(())
    }

    async fn call(&self, stream: TcpStream, message: &[u8]) -> Result<(), Undelivered> {
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
        let body = [&[0][..], &length, message].concat();
        let request = Request::post(self.uri.clone())
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(Full::<Bytes>::from(body))
            .map_err(|error| Undelivered::Refused(error.to_string()))?;
        let answer = call::http2(Box::new(stream), request).await.map_err(away)?;
        judge(&answer.response)?;
        if answer.response.headers().contains_key(GRPC_STATUS) {
            return judge_grpc(answer.response.headers());
        }
        let body = Limited::new(answer.response.into_body(), LONGEST_ANSWER).collect().await;
        let body = body.map_err(|error| Undelivered::Away(error.to_string()))?;
        judge_grpc(body.trailers().unwrap_or(&HeaderMap::new()))
    }
}

fn away(error: hyper::Error) -> Undelivered {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    Undelivered::Away(format!("{error}{}", cause.unwrap_or_default()))
}

/// By HTTP's code. OTLP tells which ones are worth another attempt, and Zipkin means the same.
fn judge(response: &Response<Incoming>) -> Result<(), Undelivered> {
    let status = response.status();
    match status.as_u16() {
        200..=299 => Ok(()),
        429 | 502..=504 => Err(Undelivered::Away(status.to_string())),
        _ => Err(Undelivered::Refused(status.to_string())),
    }
}

/// By gRPC's status, and again by what OTLP says of it.
fn judge_grpc(fields: &HeaderMap) -> Result<(), Undelivered> {
    let status = fields.get(GRPC_STATUS).and_then(|status| status.to_str().ok()).unwrap_or("none");
    match status {
        "0" => Ok(()),
        "1" | "4" | "8" | "10" | "11" | "14" | "15" => {
            Err(Undelivered::Away(format!("gRPC status {status}")))
        }
        _ => Err(Undelivered::Refused(format!("gRPC status {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Collector, Endpoint, Protocol};

    #[test]
    fn a_url_says_what_its_protocol_does_not() {
        for (text, protocol, expected) in [
            ("http://otel", Protocol::OtlpHttp, "http://otel:4318/v1/traces"),
            (
                "http://otel/",
                Protocol::OtlpGrpc,
                "http://otel:4317/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            ),
            ("http://zipkin.ops:80/x?y", Protocol::Zipkin, "http://zipkin.ops:80/x?y"),
            ("http://[::1]:1", Protocol::Zipkin, "http://[::1]:1/api/v2/spans"),
        ] {
            let collector = Collector::new(&Endpoint::parse(text).unwrap(), protocol).unwrap();
            assert_eq!(collector.uri.to_string(), expected);
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for bad in [
            "",
            "otel",
            "otel:4318",
            "/v1/traces",
            "http://",
            "http://otel:99999",
            "http://u@otel",
            "http://a b",
        ] {
            assert!(Endpoint::parse(bad).unwrap_err().to_string().contains(&format!("`{bad}`")), "{bad}");
        }
        for bad in ["https://otel", "grpc://otel:4317"] {
            assert!(Endpoint::parse(bad).unwrap_err().to_string().contains("is not http"), "{bad}");
        }
    }
}
