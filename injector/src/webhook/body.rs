//! The body of a request, whole: bounded in length, time and number, and never in an encoding.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time::Instant;

use super::limits::{Limits, MAX_BODY, Room, Shed};

/// A body that is not read to its end.
#[derive(Debug)]
pub(super) enum BadBody {
    /// There is no room for it.
    Shed(Shed),
    /// What is wrong with it.
    Refused { status: StatusCode, reason: &'static str, text: String },
}

/// More is not taken only to be thrown away.
const DRAINED: usize = 64 * 1024 * 1024;

/// What can be said before the body is read.
pub(super) fn check(headers: &HeaderMap) -> Result<(), BadBody> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let unsupported = |reason, text: &str| BadBody::Refused {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        reason,
        text: text.to_owned(),
    };
    let media = text(header::CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default();
    if !media.trim().eq_ignore_ascii_case("application/json") {
        return Err(unsupported("media-type", "Content-Type must be application/json"));
    }
    if headers.contains_key(header::CONTENT_ENCODING) && text(header::CONTENT_ENCODING) != Some("identity") {
        return Err(unsupported("encoding", "the body must be plain JSON, without a Content-Encoding"));
    }
    Ok(())
}

/// The body, with the right to hold it.
pub(super) async fn read(
    mut body: Body,
    limits: &Limits,
    deadline: Instant,
    asked: bool,
) -> Result<(Bytes, Room), BadBody> {
    let told = body.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if told.is_some_and(|length| length > MAX_BODY) {
        if !asked {
            // A connection that is closed on unread bytes takes the answer with it.
            let _ = tokio::time::timeout_at(deadline, drain(body)).await;
        }
        return Err(too_large());
    }
    let mut room = limits.room(told.unwrap_or(0)).map_err(BadBody::Shed)?;
    let mut whole = Whole::default();
    loop {
        let frame = match tokio::time::timeout_at(deadline, body.frame()).await {
            Ok(None) => return Ok((whole.bytes(), room)),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                let text = format!("the body ended early: {error}");
                return Err(refused(StatusCode::BAD_REQUEST, "broken-body", text));
            }
            Err(_) => {
                let text = "the body took longer than the API server waits".to_owned();
                return Err(refused(StatusCode::REQUEST_TIMEOUT, "slow-body", text));
            }
        };
        let Ok(bytes) = frame.into_data() else { continue };
        let length = whole.len() + bytes.len();
        if length > MAX_BODY {
            let _ = tokio::time::timeout_at(deadline, drain(body)).await;
            return Err(too_large());
        }
        room = limits.grown(room, length).map_err(BadBody::Shed)?;
        whole.push(bytes, told);
    }
}

/// Most bodies come in one piece, which is not copied.
#[derive(Default)]
struct Whole {
    first: Bytes,
    more: Vec<u8>,
}

impl Whole {
    fn len(&self) -> usize {
        self.first.len().max(self.more.len())
    }

    fn push(&mut self, bytes: Bytes, told: Option<usize>) {
        if self.len() == 0 {
            self.first = bytes;
            return;
        }
        if self.more.is_empty() {
            self.more.reserve_exact(told.unwrap_or_default());
            self.more.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.more.extend_from_slice(&bytes);
    }

    fn bytes(self) -> Bytes {
        if self.more.is_empty() { self.first } else { self.more.into() }
    }
}

async fn drain(mut body: Body) {
    let mut left = DRAINED;
    while let Some(Ok(frame)) = body.frame().await {
        match frame.data_ref().and_then(|data| left.checked_sub(data.len())) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn too_large() -> BadBody {
    let text = format!("the body is longer than {MAX_BODY} bytes");
    refused(StatusCode::PAYLOAD_TOO_LARGE, "too-large", text)
}

fn refused(status: StatusCode, reason: &'static str, text: String) -> BadBody {
    BadBody::Refused { status, reason, text }
}
