//! One probe, made as the kubelet makes it.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{StatusCode, header};

use super::grpc;
use super::table::Action;
use crate::application::{Answer, CallError, Client, Get, Origin};

/// The kubelet reads no more of a body, and is content with that.
const BODY: usize = 10 << 10;

/// What a probe found.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What the kubelet is told.
    pub(super) status: StatusCode,
    /// What was tried and what happened.
    pub(super) text: String,
    /// Whether the application gave an answer at all.
    pub(super) answered: bool,
}

impl Outcome {
    /// As the kubelet sees it: redirects that are not followed are good.
    pub(super) fn passed(&self) -> bool {
        (200..400).contains(&self.status.as_u16())
    }
}

/// Makes a probe; `headers` came from the kubelet.
pub(super) async fn outcome(action: &Action, client: &Client, headers: &HeaderMap) -> Outcome {
    let tried = tried(action, client);
    let result = match action {
        Action::Http(origin, get) => http(client, origin, get, headers).await,
        Action::Tcp(origin) => client.connect(origin).await.map(|_| (StatusCode::OK, "connected".to_owned())),
        Action::Grpc(origin, service) => grpc::check(client, origin, service, headers).await,
    };
    match result {
        Ok((status, found)) => Outcome { status, text: format!("{tried}: {found}"), answered: true },
        Err(error) => {
            Outcome { status: StatusCode::BAD_GATEWAY, text: format!("{tried}: {error}"), answered: false }
        }
    }
}

/// What is told where the time is over.
pub(super) fn timed_out(action: &Action, client: &Client, limit: Duration) -> Outcome {
    let text = format!("{}: no answer within {} s", tried(action, client), limit.as_secs());
    Outcome { status: StatusCode::GATEWAY_TIMEOUT, text, answered: false }
}

fn tried(action: &Action, client: &Client) -> String {
    match action {
        Action::Http(origin, get) => format!("GET {}{}", client.name(origin), get.path),
        Action::Tcp(origin) => format!("TCP {}", client.authority(origin)),
        Action::Grpc(origin, service) if service.is_empty() => format!("gRPC {}", client.authority(origin)),
        Action::Grpc(origin, service) => {
            format!("gRPC {}, service {service:?}", client.authority(origin))
        }
    }
}

async fn http(
    client: &Client,
    origin: &Origin,
    get: &Get,
    caller: &HeaderMap,
) -> Result<(StatusCode, String), CallError> {
    let get = Get { headers: merged(caller, &get.headers), ..get.clone() };
    let Answer { response, .. } = &mut client.get(origin, &get).await?;
    let status = response.status();
    let read = Limited::new(response.body_mut(), BODY).collect().await;
    if let Err(error) = read
        && !error.is::<http_body_util::LengthLimitError>()
    {
        return Err(CallError::Http(format!("{status}, but its body breaks off: {error}")));
    }
    Ok((status, status.to_string()))
}

/// The caller's headers, but for those that belong to its connection (RFC 9110, section 7.6.1) and those that the probe
/// sets itself.
fn merged(caller: &HeaderMap, own: &HeaderMap) -> HeaderMap {
    const CONNECTION: [HeaderName; 10] = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::EXPECT,
        header::HOST,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
    ];
    let mut headers = caller.clone();
    let named = caller.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    for name in named.flat_map(|names| names.split(',')).map(str::trim) {
        headers.remove(name);
    }
    for name in CONNECTION.iter().chain(own.keys()) {
        headers.remove(name);
    }
    for (name, value) in own.iter().filter(|(name, value)| is_sent(name, value)) {
        headers.append(name, value.clone());
    }
    headers
}

/// Go frames a request itself, whatever its headers say; and the kubelet's own two headers are left out where the probe
/// has empty ones.
fn is_sent(name: &HeaderName, value: &HeaderValue) -> bool {
    match *name {
        header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::TRAILER => false,
        header::ACCEPT | header::USER_AGENT => !value.is_empty(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, merged};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_kubelets_headers_are_passed_on_and_the_probes_own_win() {
        let caller = headers(&[
            ("host", "192.0.2.1:15020"),
            ("user-agent", "kube-probe/1.34"),
            ("accept", "*/*"),
            ("x-a", "caller"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("content-length", "3"),
        ]);
        let own = headers(&[("x-a", "one"), ("x-a", "two"), ("accept", "text/plain")]);
        let mut sent: Vec<_> = merged(&caller, &own)
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        sent.sort();
        assert_eq!(sent, ["accept: text/plain", "user-agent: kube-probe/1.34", "x-a: one", "x-a: two"]);
    }

    #[test]
    fn what_go_would_not_send_is_not_sent() {
        let caller = headers(&[("user-agent", "kube-probe/1.34"), ("accept", "*/*")]);
        let own = headers(&[
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("trailer", "x-a"),
            ("user-agent", ""),
            ("accept", ""),
            ("x-a", ""),
        ]);
        assert_eq!(merged(&caller, &own), headers(&[("x-a", "")]));
    }
}
