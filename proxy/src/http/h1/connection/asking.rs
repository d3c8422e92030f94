//! A request on its way: from its head to the last byte of its content, and then what its client does until the answer is there.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};

use super::content::MessageContent;
use super::inlet::Inlet;
use super::{Means, Told};
use crate::http::h1::body::Body;
use crate::http::h1::request::{Asked, Request};
use crate::http::h1::{Refusal, Room, Version};
use crate::http::pipeline::Admitted;
use crate::http::request_id;
use crate::net::leg::Leg;
use crate::net::relay::{Ahead, Broken, Messages};
use crate::telemetry::connections::Side;
use crate::telemetry::exchange::{self, Exchange};
use crate::telemetry::session::Session;

/// A request that was read.
pub(super) struct Asking<'a> {
    pub(super) asked: Asked,
    pub(super) is_idempotent: bool,
    /// It is between this client and the server's connection.
    pub(super) binds: bool,
    pub(super) message: Message<'a>,
    pub(super) exchange: Exchange,
}

/// A request that may not be passed on.
pub(super) struct Unread {
    pub(super) refusal: Refusal,
    /// Where its head is one.
    pub(super) exchange: Option<Exchange>,
}

/// What is sent to the server.
pub(super) struct Message<'a> {
    /// The head as the server gets it, and the content that came with it, until it was sent; longer only if it may have to be
    /// sent again.
    beginning: Ahead<'a>,
    /// So much of that is content.
    content: usize,
    /// How far the content is.
    pub(super) body: Body,
    /// Why it was not carried to its end.
    pub(super) refusal: Option<Refusal>,
}

impl<'a> Asking<'a> {
    /// Reads a request from `bytes`, which begin with its head, and says how many of them are of it.
    pub(super) fn read(
        bytes: &[u8],
        head: usize,
        session: &Session,
        means: &Means<'a>,
    ) -> (usize, Result<Box<Self>, Unread>) {
        let (head, after) = bytes.split_at(head.min(bytes.len()));
        let settings = &means.http.settings.h1;
        let mut room = Room::new();
        let request = match Request::parse(head, &mut room, settings) {
            Ok(request) => request,
            Err(refusal) => return (bytes.len(), Err(Unread { refusal, exchange: None })),
        };
        let Admitted { exchange, edits } = means.http.admit(session, &told(&request), request.fields());
        let mut body = Body::new(request.length(), settings);
        let content = match body.walk(after) {
            Ok(length) => after.get(..length).unwrap_or_default(),
            Err(refusal) => return (bytes.len(), Err(Unread { refusal, exchange: Some(exchange) })),
        };
        let mut forwarded = Vec::new();
        request.forward(request.asked().persists, (edits.removed(), &edits.lines()), &mut forwarded);
        forwarded.extend_from_slice(content);
        let message =
            Message { beginning: means.relay.keep(forwarded), content: content.len(), body, refusal: None };
        let (asked, is_idempotent, binds) = (request.asked(), request.is_idempotent(), request.binds());
        (head.len() + content.len(), Ok(Box::new(Self { asked, is_idempotent, binds, message, exchange })))
    }
}

fn told<'b>(request: &Request<'_, 'b>) -> exchange::Request<'b> {
    let [user_agent, x_forwarded_for, name] =
        request.values(["user-agent", "x-forwarded-for", request_id::NAME]);
    exchange::Request {
        protocol: match request.asked().version {
            Version::Old => "HTTP/1.0",
            Version::Current => "HTTP/1.1",
        },
        method: request.method().as_bytes(),
        path: request.target().as_bytes(),
        authority: request.host(),
        user_agent,
        x_forwarded_for,
        // One that is not passed on is no name across hops.
        request_id: name.filter(|_| !request.ends_here(request_id::NAME)),
        is_grpc: false,
    }
}

/// Sends a request, then watches its client, and returns when that is the end of both. `is_sent` becomes true when the server
/// has all of it; `keep` says whether it may be sent again.
pub(super) async fn send(
    messages: &Messages<'_, Told<'_>>,
    (message, exchange): (&mut Message<'_>, &Exchange),
    (client, inlet): (&Leg, &mut Inlet<'_>),
    (is_sent, keep): (&AtomicBool, bool),
) -> Broken {
    let Message { beginning, content, body, refusal } = message;
    messages.put(Side::Client, beginning.bytes()).await;
    exchange.asked();
    // Also where it is sent again, it was received once.
    let content = std::mem::take(content);
    if content > 0 {
        exchange.received(content);
    }
    if !keep {
        beginning.consume(usize::MAX);
    }
    if !body.is_done() {
        let content = MessageContent { body, ahead: &mut inlet.ahead, refusal };
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
