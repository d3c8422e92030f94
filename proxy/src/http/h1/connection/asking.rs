//! A request on its way: from its head to the last byte of its content, and then what its client does until the answer is there.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};

use super::content::Carried;
use super::inlet::Inlet;
use super::{Means, Told};
use crate::http::h1::body::Body;
use crate::http::h1::request::{Asked, Request};
use crate::http::h1::{Refusal, Room, Version};
use crate::http::{RequestId, request_id};
use crate::net::leg::Leg;
use crate::net::relay::{Broken, Messages};
use crate::telemetry::connections::Side;
use crate::telemetry::exchange::{self, Exchange};
use crate::telemetry::session::Session;

/// A request that was read.
pub(super) struct Asking {
    pub(super) asked: Asked,
    pub(super) is_idempotent: bool,
    pub(super) message: Message,
    pub(super) exchange: Exchange,
}

/// What is sent to the server.
pub(super) struct Message {
    /// The head as the server gets it, and the content that came with it. Kept until there is an answer.
    beginning: Vec<u8>,
    /// How far the content is.
    pub(super) body: Body,
    /// Why it was not carried to its end.
    pub(super) refusal: Option<Refusal>,
}

impl Asking {
    /// Reads a request from `bytes`, which begin with its head, and says how many of them are of it.
    pub(super) fn read(
        bytes: &[u8],
        head: usize,
        session: &Session,
        means: &Means<'_>,
    ) -> (usize, Result<Box<Self>, Refusal>) {
        let (head, after) = bytes.split_at(head.min(bytes.len()));
        let settings = &means.http.settings.h1;
        let mut room = Room::new();
        let read = Request::parse(head, &mut room, settings).and_then(|request| {
            let mut body = Body::new(request.length(), settings);
            let length = body.walk(after)?;
            let content = after.get(..length).unwrap_or_default();
            let asking = Self::begin(&request, (content, body), session, means.http.settings.http_request_id);
            Ok((head.len() + length, asking))
        });
        match read {
            Ok((length, asking)) => (length, Ok(Box::new(asking))),
            Err(refusal) => (bytes.len(), Err(refusal)),
        }
    }

    fn begin(
        request: &Request<'_, '_>,
        (content, body): (&[u8], Body),
        session: &Session,
        request_id: RequestId,
    ) -> Self {
        let [user_agent, x_forwarded_for, given] =
            request.values(["user-agent", "x-forwarded-for", request_id::NAME]);
        let made = (given.is_none() && request_id == RequestId::Generate).then(request_id::field);
        let asked = request.asked();
        let told = exchange::Request {
            protocol: match asked.version {
                Version::Old => "HTTP/1.0",
                Version::Current => "HTTP/1.1",
            },
            method: request.method().as_bytes(),
            path: request.target().as_bytes(),
            authority: request.host(),
            user_agent,
            x_forwarded_for,
            request_id: given.or(made.as_ref().map(request_id::Field::id)),
            is_grpc: false,
        };
        let exchange = session.begin(&told);
        let added = made.as_ref().map(request_id::Field::line).unwrap_or_default();
        let mut beginning = Vec::new();
        request.forward(asked.persists, added, &mut beginning);
        beginning.extend_from_slice(content);
        if !content.is_empty() {
            exchange.received(content.len());
        }
        let message = Message { beginning, body, refusal: None };
        Self { asked, is_idempotent: request.is_idempotent(), message, exchange }
    }
}

/// Sends a request, then watches its client, and returns when that is the end of both. `is_sent` becomes true when the server
/// has all of it.
pub(super) async fn send(
    messages: &Messages<'_, Told<'_>>,
    (message, exchange): (&mut Message, &Exchange),
    (client, inlet): (&Leg, &mut Inlet<'_>),
    is_sent: &AtomicBool,
) -> Broken {
    let Message { beginning, body, refusal } = message;
    messages.deliver(Side::Client, messages.write(Side::Client, beginning, &[])).await;
    exchange.asked();
    if !body.is_done() {
        let content = Carried { body, ahead: &mut inlet.ahead, refusal };
        if let Err(broken) = messages.content(Side::Client, content).await {
            return broken;
        }
        inlet.resume();
    }
    is_sent.store(true, Ordering::Relaxed);
    match inlet.until_end(client).await {
        Ok(()) => {
            messages.end(Side::Client);
            pending().await
        }
        Err(error) => Broken::Client(error),
    }
}
