//! The webhook to compare with: it allows everything at once, with a patch that was made before or without one. The TLS and HTTP
//! libraries, their settings, and the single thread are the injector's.

use std::convert::Infallible;
use std::net::Ipv6Addr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Files in its directory.
pub(crate) const CERTIFICATE: &str = "serving.crt";
/// Its key.
pub(crate) const KEY: &str = "serving.key";
/// What follows the uid in its answers.
pub(crate) const REST: &str = "rest.json";

/// By this argument we are it.
pub(crate) const COMMAND: &str = "allow-at-once";

/// Serves until it is killed.
pub(crate) async fn serve(port: u16, directory: &Path) -> Result<()> {
    let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
    let rest: Arc<str> = std::fs::read_to_string(directory.join(REST)).context("the answer")?.into();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(certificate)?],
            PrivateKeyDer::from_pem_file(key)?,
        )?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await.context("bind")?;
    println!("ready");
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (acceptor, rest) = (acceptor.clone(), rest.clone());
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                // An error is a client that went away.
                let http = hyper::server::conn::http1::Builder::new();
                let service = service_fn(|request| answer(request, &rest));
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}

async fn answer(request: Request<Incoming>, rest: &str) -> Result<Response<Full<Bytes>>, Infallible> {
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let uid = uid(&text).unwrap_or_default();
    let answer = format!(
        "{{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"response\":{{\"uid\":\"{uid}\",\"allowed\":true{rest}}}}}"
    );
    let mut response = Response::new(Full::from(answer));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The first `uid` of a review is the request's: Go writes the fields of `AdmissionRequest` in this order.
fn uid(review: &str) -> Option<&str> {
    let (_, request) = review.split_once("\"request\":{")?;
    let (_, rest) = request.split_once("\"uid\":\"")?;
    rest.split_once('"').map(|(uid, _)| uid)
}
