//! Answers of the proxy's own, where there is no server's to pass on. They have no Date, which is for origin servers (RFC 9110,
//! section 6.6.1).

use std::io;
use std::time::Duration;

use http::StatusCode;
use tokio::time::timeout;

use crate::http::h1::request::Method;
use crate::net::leg::Leg;

/// What a client is told instead of a server's answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    /// For whoever reads it; in the end it is in a log as well.
    pub(super) text: &'a str,
    /// Whether the connection is kept.
    pub(super) keep: bool,
    /// What was asked, if that is known.
    pub(super) method: Method,
}

impl Answer<'_> {
    /// The whole message.
    pub(super) fn message(&self) -> Vec<u8> {
        let Self { status, text, keep, method } = *self;
        let connection = if keep { "" } else { "Connection: close\r\n" };
        let content = if method == Method::Head { "" } else { text };
        format!(
            "HTTP/1.1 {status} {reason}\r\nServer: remora\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {length}\r\n{connection}\r\n{content}",
            reason = StatusCode::from_u16(status)
                .ok()
                .and_then(|status| status.canonical_reason())
                .unwrap_or("Error"),
            length = text.len(),
        )
        .into_bytes()
    }

    /// Sends it, to a client that takes it in time; whether that has taken all of it.
    pub(super) async fn send(&self, client: &Leg) -> bool {
        let message = self.message();
        let mut left = message.as_slice();
        let send = async {
            while !left.is_empty() {
                client.writable().await?;
                match client.stream().try_write(left) {
                    Ok(written) => left = left.get(written..).unwrap_or_default(),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        timeout(PATIENCE, send).await.is_ok_and(|sent| sent.is_ok())
    }
}

/// For a client that has not read what it was sent before.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::{Answer, Method};
    use crate::http::h1::body::Length;
    use crate::http::h1::request::Asked;
    use crate::http::h1::tests::settings;
    use crate::http::h1::{Room, Version, response::Response};

    #[test]
    fn an_answer_is_a_response_that_this_proxy_accepts() {
        for status in [400, 408, 431, 502, 503, 504] {
            for (keep, method) in [(true, Method::Other), (false, Method::Head)] {
                let message = Answer { status, text: "why\n", keep, method }.message();
                let text = String::from_utf8(message).unwrap();
                let (head, content) = text.split_at(text.find("\r\n\r\n").unwrap() + 4);
                let asked = Asked { method, version: Version::Current, persists: true, upgrade: false };
                let mut room = Room::new();
                let response = Response::parse(head.as_bytes(), &mut room, asked, &settings()).unwrap();
                assert_eq!((response.status(), response.persists()), (status, keep), "{text}");
                assert_eq!(response.length(), Length::Exact(content.len() as u64), "{text}");
                assert!(!head.starts_with(&format!("HTTP/1.1 {status} Error")), "{text}");
            }
        }
    }
}
