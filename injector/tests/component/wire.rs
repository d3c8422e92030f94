//! What a peer can send that the API server never does: broken framing, encodings, endless and slow bodies, clients without
//! a certificate. Each gets a clear 4xx or its connection ends, and the next review is answered as ever.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tests::api_server::ApiServer;
use tests::webhook::{admission_review, review, server_name};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::common::pod;
use crate::running::{Injector, api_server, bundle};

const PATH: &str = api::control::WEBHOOK_NAMESPACE_PATH;

/// A TLS connection on which anything can be written; `identity` is certificate and key of a client.
async fn dial(
    injector: &Injector,
    api: &ApiServer,
    identity: Option<(&str, &str)>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(bundle(api).as_bytes()).flatten());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            config.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    let stream = TcpStream::connect(injector.webhook).await?;
    let name = ServerName::try_from(server_name()).unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Writes everything and reads until the peer closes.
async fn exchange(stream: &mut TlsStream<TcpStream>, request: &[u8]) -> std::io::Result<String> {
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    // An end without a TLS alert is an end.
    if answer.is_empty() {
        read?;
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn body() -> String {
    admission_review("shop", &pod("bare")).to_string()
}

fn head(more: &str) -> String {
    format!(
        "POST {PATH} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\nconnection: close\r\n{more}\r\n"
    )
}

#[tokio::test]
async fn broken_requests_are_refused_and_disturb_nobody() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let review_body = body();
    let length = review_body.len();
    let chunked = head("transfer-encoding: chunked\r\n");
    let long = format!("{}{:x}\r\n{}\r\n0\r\n\r\n", chunked, 4 << 20, "x".repeat(4 << 20));
    let cases: [(&str, String, &str); 9] = [
        ("no HTTP", "\u{1}\u{2}\r\n\r\n".to_owned(), "400"),
        ("chunks without a length", format!("{chunked}zz\r\n{review_body}\r\n0\r\n\r\n"), "400"),
        ("chunks that end early", format!("{chunked}ffffffffffffffffff\r\nx"), "400"),
        (
            "two lengths",
            format!("{}{review_body}", head("content-length: 1\r\ncontent-length: 2\r\n")),
            "400",
        ),
        ("a head without an end", head(&format!("x: {}\r\n", "y".repeat(64 * 1024))), "431"),
        (
            "gzip",
            format!(
                "{}{review_body}",
                head(&format!("content-encoding: gzip\r\ncontent-length: {length}\r\n"))
            ),
            "415",
        ),
        ("4 MiB in chunks", long, "413"),
        ("good chunks", format!("{chunked}{length:x}\r\n{review_body}\r\n0\r\n\r\n"), "200"),
        ("no body", head("content-length: 0\r\n"), "400"),
    ];
    for (what, request, status) in cases {
        let mut stream = dial(&injector, &api, None).await.unwrap();
        let answer = exchange(&mut stream, request.as_bytes()).await.unwrap();
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{what}: {:.200}", answer);
    }
    assert!(review(injector.webhook, &bundle(&api), &pod("bare")).await.is_ok());
}

/// Whoever asks first is told before it sends; whoever sends anyway is heard out and told then.
#[tokio::test]
async fn fifty_megabytes_are_refused_with_the_limit() {
    const LENGTH: usize = 50 << 20;
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let mut stream = dial(&injector, &api, None).await.unwrap();
    let asks = head(&format!("content-length: {LENGTH}\r\nexpect: 100-continue\r\n"));
    let answer = exchange(&mut stream, asks.as_bytes()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("longer than"), "{answer}");
    let mut stream = dial(&injector, &api, None).await.unwrap();
    let mut sends = head(&format!("content-length: {LENGTH}\r\n")).into_bytes();
    sends.resize(sends.len() + LENGTH, b' ');
    let answer = exchange(&mut stream, &sends).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("longer than"), "{answer}");
}

#[tokio::test]
async fn a_client_that_expects_to_continue_may() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let mut stream = dial(&injector, &api, None).await.unwrap();
    let review_body = body();
    let asks = head(&format!("content-length: {}\r\nexpect: 100-continue\r\n", review_body.len()));
    stream.write_all(asks.as_bytes()).await.unwrap();
    let mut first = [0; 25];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    let answer = exchange(&mut stream, review_body.as_bytes()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("JSONPatch"), "{answer}");
}

#[tokio::test]
async fn requests_in_one_go_are_answered_in_their_order() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let mut stream = dial(&injector, &api, None).await.unwrap();
    let mut requests = String::new();
    for uid in ["one", "two", "three"] {
        let mut review = admission_review("shop", &pod("bare"));
        review["request"]["uid"] = json!(uid);
        let body = review.to_string();
        let head = head(&format!("content-length: {}\r\n", body.len()));
        let head = if uid == "three" { head } else { head.replace("connection: close\r\n", "") };
        requests.push_str(&format!("{head}{body}"));
    }
    let answers = exchange(&mut stream, requests.as_bytes()).await.unwrap();
    let at =
        |uid: &str| answers.find(&format!("\"uid\":\"{uid}\"")).unwrap_or_else(|| panic!("{uid}: {answers}"));
    assert!(at("one") < at("two") && at("two") < at("three"));
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3);
}

/// The API server says how long it waits.
#[tokio::test]
async fn a_body_that_takes_longer_than_the_api_server_waits_is_given_up() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let mut stream = dial(&injector, &api, None).await.unwrap();
    let slow = head("content-length: 1000\r\n").replace(PATH, &format!("{PATH}?timeout=50ms"));
    let answer = exchange(&mut stream, format!("{slow}{{").as_bytes()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("longer than the API server"), "{answer}");
}

/// Long reviews have few places, and short ones do not wait for them.
#[tokio::test]
async fn what_there_is_no_room_for_is_shed_with_503() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let mut stream = dial(&injector, &api, None).await.unwrap();
        let begun = head("content-length: 2000000\r\n").replace(PATH, &format!("{PATH}?timeout=30s"));
        stream.write_all(format!("{begun}{{").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        waiting.push(stream);
    }
    injector.admin_until("/metrics", |_, text| text.contains("webhook_in_flight 8\n")).await;
    let mut stream = dial(&injector, &api, None).await.unwrap();
    let answer = exchange(&mut stream, head("content-length: 2000000\r\n").as_bytes()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(review(injector.webhook, &bundle(&api), &pod("bare")).await.is_ok());
    drop(waiting);
    injector.admin_until("/metrics", |_, text| text.contains("webhook_in_flight 0\n")).await;
    let (_, metrics) = injector.admin("/metrics").await.unwrap();
    assert!(metrics.contains("webhook_shed_total{reason=\"long-reviews\"} 1"), "{metrics}");
}

/// The longest pod that there can be is decided, with room for everybody else meanwhile.
#[tokio::test]
async fn a_long_review_is_answered_like_a_short_one() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let mut pod = pod("bare");
    pod["metadata"]["annotations"]["example.com/long"] = json!("x".repeat(1 << 20));
    let answer = review(injector.webhook, &bundle(&api), &pod).await.unwrap();
    assert_eq!(answer["response"]["patchType"], "JSONPatch");
}

/// A key that appears twice could be read in two ways.
#[tokio::test]
async fn duplicate_keys_are_refused_wherever_they_are() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let review = body();
    for (key, text) in [
        ("\"hostNetwork\":true,\"hostNetwork\":false,", "\"hostNetwork\" appears twice"),
        ("\"containers\":[],", "\"containers\" appears twice"),
    ] {
        let twice = review.replacen("\"spec\":{", &format!("\"spec\":{{{key}"), 1);
        assert_ne!(twice, review);
        let mut connection = injector.connect(&api).await.unwrap();
        let (status, answer) = connection.post(PATH, twice.into()).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(status == 400 && answer.contains(text), "{status} {answer}");
    }
    let twice = review.replacen("\"uid\":", "\"uid\":\"other\",\"uid\":", 1);
    let mut connection = injector.connect(&api).await.unwrap();
    assert_eq!(connection.post(PATH, twice.into()).await.unwrap().0, 400);
}

struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: rcgen::Issuer::new(params, key) }
    }

    /// Certificate and key of a client.
    fn client(&self, name: &str) -> (String, String) {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = rcgen::KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// Only who shows a certificate of the authority, and of the name, is heard; the file is read again when it changes.
#[tokio::test]
async fn clients_without_the_certificate_are_turned_away() {
    let (ours, others) = (Authority::new(), Authority::new());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("client-ca.pem");
    std::fs::write(&file, ours.certificate.pem()).unwrap();
    let api = api_server();
    let injector = Injector::start(&api, |args| {
        args.clients.client_ca = Some(file.clone());
        args.clients.client_name = Some("kube-apiserver".to_owned());
    })
    .await;
    // It looks at its own port without a certificate, and is ready nevertheless.
    injector.becomes_ready().await;
    let body = body();
    let request = format!("{}{body}", head(&format!("content-length: {}\r\n", body.len())));
    let asked = async |identity: Option<&(String, String)>| {
        let identity = identity.map(|(certificate, key)| (certificate.as_str(), key.as_str()));
        let mut stream = dial(&injector, &api, identity).await?;
        exchange(&mut stream, request.as_bytes()).await
    };
    let good = ours.client("kube-apiserver");
    let foreign = others.client("kube-apiserver");
    assert!(asked(Some(&good)).await.unwrap().starts_with("HTTP/1.1 200 "));
    for refused in [None, Some(&foreign), Some(&ours.client("somebody"))] {
        let error = asked(refused).await.unwrap_err().to_string();
        assert!(error.contains("alert"), "{error}");
    }
    // A file that turns bad changes nothing; a good one does.
    std::fs::write(&file, "nothing").unwrap();
    assert!(asked(Some(&good)).await.unwrap().starts_with("HTTP/1.1 200 "));
    std::fs::write(&file, others.certificate.pem()).unwrap();
    let changed = async {
        while asked(Some(&foreign)).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), changed).await.unwrap();
    assert!(asked(Some(&good)).await.is_err());
}

#[tokio::test]
async fn a_client_authority_that_cannot_be_used_ends_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for (file, text) in [(empty, "no certificate"), (directory.path().join("absent"), "No such file")] {
        let mut args = crate::running::options();
        args.clients.client_ca = Some(file.clone());
        let error = injector::app::App::start(&args).await.err().unwrap().to_string();
        assert!(error.contains("--client-ca") && error.contains(text), "{error}");
    }
}

/// Values that would break a template, a shell or a log come out as a patch of plain strings, or as a denial.
#[tokio::test]
async fn hostile_annotation_values_are_denied_or_without_effect() {
    let api = api_server();
    let injector = Injector::ready(&api).await;
    let values = [
        "\n- name: evil".to_owned(),
        "\"},{\"op\":\"remove\",\"path\":\"/spec\"}".to_owned(),
        "{{ .Values.image }}${HOME}$(id)`id`".to_owned(),
        "\u{0}\u{1b}[31m\u{202e}".to_owned(),
        "9".repeat(64 * 1024),
    ];
    for key in
        [api::annotations::PROXY_CPU, api::annotations::LOG_LEVEL, api::annotations::EXCLUDE_OUTBOUND_PORTS]
    {
        for value in &values {
            let mut pod = pod("bare");
            pod["metadata"]["annotations"] = json!({key: value});
            let answer = review(injector.webhook, &bundle(&api), &pod).await.unwrap();
            let response = &answer["response"];
            assert_eq!(response["allowed"], false, "{key} {value:.40}");
            let message = response["status"]["message"].as_str().unwrap();
            assert!(message.contains(key) && message.len() < 1000, "{message}");
            assert!(!message.contains(char::is_control) && response["patch"] == Value::Null, "{message:?}");
        }
    }
}
