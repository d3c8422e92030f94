//! The gRPC health check, `grpc.health.v1.Health/Check`, as the kubelet makes it: without TLS.
//!
//! Its two messages have one field each, so they are written and read by hand (protobuf's wire format; gRPC over HTTP/2,
//! "Length-Prefixed-Message").

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT};
use hyper::{Request, StatusCode, Uri};

use crate::application::{Answer, CallError, Client, Origin};

const PATH: &str = "/grpc.health.v1.Health/Check";

/// The answer is seven bytes; what is longer is none.
const BODY: usize = 1024;

/// `HealthCheckResponse.ServingStatus`.
const STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const SERVING: u64 = 1;

/// gRPC's own code for a method that is not there.
const UNIMPLEMENTED: &str = "12";

/// What the application says about `service`, or about itself where that is empty.
pub(super) async fn check(
    client: &Client,
    origin: &Origin,
    service: &str,
    caller: &HeaderMap,
) -> Result<(StatusCode, String), CallError> {
    let mut request = Request::post(Uri::from_static(PATH)).body(Full::new(message(service))).map_err(bad)?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.extend(caller.get(USER_AGENT).map(|agent| (USER_AGENT, agent.clone())));
    let Answer { response, .. } = &mut client.post_http2(origin, request).await?;
    if response.status() != StatusCode::OK {
        return Err(bad(format!("HTTP status {}", response.status())));
    }
    let head = response.headers().clone();
    let body = Limited::new(response.body_mut(), BODY).collect().await.map_err(bad)?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    // A failure without a message has its status in the head.
    let field =
        |name: &str| trailers.get(name).or_else(|| head.get(name)).and_then(|value| value.to_str().ok());
    match field("grpc-status") {
        Some("0") => {}
        Some(UNIMPLEMENTED) => {
            return Ok(unhealthy("the server does not implement the gRPC health protocol"));
        }
        Some(code) => {
            return Ok(unhealthy(&format!(
                "gRPC status {code}: {}",
                field("grpc-message").unwrap_or_default()
            )));
        }
        None => return Err(bad("no gRPC status")),
    }
    match status(&body.to_bytes()) {
        Some(SERVING) => Ok((StatusCode::OK, "SERVING".to_owned())),
        Some(number) => {
            let name = usize::try_from(number).ok().and_then(|number| STATUSES.get(number));
            Ok(unhealthy(name.unwrap_or(&"an unknown status")))
        }
        None => Err(bad("no health check response")),
    }
}

fn unhealthy(found: &str) -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, found.to_owned())
}

fn bad(error: impl std::fmt::Display) -> CallError {
    CallError::Http(error.to_string())
}

/// A prefix (not compressed, four bytes of length), then `HealthCheckRequest`: field 1 is the service's name.
fn message(service: &str) -> Bytes {
    const SERVICE: u8 = 1 << 3 | 2;
    let mut field = Vec::new();
    if !service.is_empty() {
        field.push(SERVICE);
        append_varint(service.len() as u64, &mut field);
        field.extend_from_slice(service.as_bytes());
    }
    let mut message = vec![0];
    // A name that came in an environment variable is shorter than 4 GiB.
    message.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
    message.extend_from_slice(&field);
    message.into()
}

fn append_varint(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// `HealthCheckResponse`: field 1 is the status, and 0 where it is left out. Fields that are newer are passed over.
fn status(body: &[u8]) -> Option<u64> {
    let (prefix, mut message) = body.split_at_checked(5)?;
    let (compressed, length) = prefix.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if *compressed != 0 || message.len() != usize::try_from(length).ok()? {
        return None;
    }
    let mut status = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = varint(&mut message)?,
            (_, 0) => drop(varint(&mut message)?),
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{message, status};

    #[test]
    fn the_request_is_what_protobuf_writes() {
        assert_eq!(&message("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&message("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = message(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 0x01, 0x2f, 0x0a, 0xac, 0x02]);
        assert_eq!(long.len(), 5 + 303);
    }

    #[test]
    fn the_response_is_read_whatever_else_is_in_it() {
        assert_eq!(status(&[0, 0, 0, 0, 2, 0x08, 1]), Some(1));
        assert_eq!(status(&[0, 0, 0, 0, 0]), Some(0));
        assert_eq!(status(&[0, 0, 0, 0, 6, 0x12, 2, 9, 9, 0x08, 2]), Some(2));
        for bad in [
            &[][..],
            &[0, 0, 0, 0],
            &[1, 0, 0, 0, 2, 0x08, 1],
            &[0, 0, 0, 0, 3, 0x08, 1],
            &[0, 0, 0, 0, 1, 0x08],
            &[0, 0, 0, 0, 2, 0x12, 9],
            &[0, 0, 0, 0, 1, 0x0f],
            &[0, 0, 0, 0, 11, 0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255],
        ] {
            assert_eq!(status(bad), None, "{bad:?}");
        }
    }
}
