//! A response on its way: all interim ones, then the final one, from its head to the last byte of its content.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::content::MessageContent;
use super::inlet::{Inlet, Look, NoHead};
use super::interim::Interims;
use super::{Means, Told};
use crate::balance::Held;
use crate::http::h1::body::{Body, Length};
use crate::http::h1::request::Asked;
use crate::http::h1::response::Response;
use crate::http::h1::scan::{Kind, Scan};
use crate::http::h1::{Refusal, Room, Version};
use crate::http::responded;
use crate::net::leg::Leg;
use crate::net::relay::{Broken, Messages, Unsent};
use crate::telemetry::connections::Side;
use crate::telemetry::exchange::Exchange;

/// The final response was passed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Answered {
    /// The client's connection is kept, as it has been told.
    pub(super) keeps_client: bool,
    /// The server keeps its own.
    pub(super) keeps_server: bool,
    /// What follows is no HTTP.
    pub(super) is_tunnel: bool,
    /// It is between this client and the server's connection.
    pub(super) binds: bool,
}

/// Why it was not.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// A leg is broken, or the server has ended within a response's content.
    Broken(Broken),
    /// What the server sent may not be passed on.
    Refused(Refusal),
    /// The server has ended before a response.
    Ended,
    /// It has ended within the head of one.
    HeadEnded,
    /// Nothing was heard or said for too long.
    Idle,
}

/// How far a response is. Only one task uses it; the atomics let that task be `Send`.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The server has said something.
    pub(super) something: AtomicBool,
    /// The client has been told something of the final response, or is within the head of another one: it would take anything
    /// else for a part of that.
    pub(super) answer: AtomicBool,
}

/// Which response is awaited.
#[derive(Clone, Copy)]
pub(super) struct Awaited<'r> {
    pub(super) asked: Asked,
    pub(super) exchange: &'r Exchange,
    pub(super) heard: &'r Heard,
    /// The server has all of the request.
    pub(super) is_sent: &'r AtomicBool,
    /// It is the load of an endpoint.
    pub(super) held: Option<&'r Held>,
    pub(super) means: &'r Means<'r>,
}

/// A head that came and, in part at least, went on.
enum Came<'a> {
    Interim(Unsent<'a>),
    Final { unsent: Unsent<'a>, body: Body, answered: Answered },
    Refused(Refusal),
}

/// Returns when the client has all of the response.
pub(super) async fn receive<'a>(
    messages: &Messages<'a, Told<'a>>,
    (server, inlet): (&Leg, &mut Inlet<'_>),
    awaited: Awaited<'_>,
) -> Result<Answered, Unanswered> {
    let mut interims = Interims::new(Instant::now());
    let (unsent, mut body, answered) = loop {
        match head(messages, (server, inlet), awaited).await? {
            Came::Interim(unsent) => {
                awaited.heard.answer.store(!matches!(unsent, Unsent::Nothing), Ordering::Relaxed);
                messages.deliver(Side::Server, unsent).await;
                awaited.heard.answer.store(false, Ordering::Relaxed);
                interims.another(Instant::now()).map_err(Unanswered::Refused)?;
                // A server may have many of them ready.
                tokio::task::consume_budget().await;
            }
            Came::Final { unsent, body, answered } => break (unsent, body, answered),
            Came::Refused(refusal) => return Err(Unanswered::Refused(refusal)),
        }
    };
    messages.deliver(Side::Server, unsent).await;
    if !body.is_done() && !answered.is_tunnel {
        let mut refusal = None;
        let content = MessageContent { body: &mut body, ahead: &mut inlet.ahead, refusal: &mut refusal };
        messages.content(Side::Server, content).await.map_err(|broken| match refusal {
            Some(refusal) => Unanswered::Refused(refusal),
            None => Unanswered::Broken(broken),
        })?;
        inlet.resume();
    }
    Ok(answered)
}

async fn head<'a>(
    messages: &Messages<'a, Told<'a>>,
    (server, inlet): (&Leg, &mut Inlet<'_>),
    awaited: Awaited<'_>,
) -> Result<Came<'a>, Unanswered> {
    let mut scan = Scan::new(Kind::Response, &awaited.means.http.settings.h1);
    let use_head = |bytes: &[u8], head: usize| awaited.pass_on(messages, bytes, head);
    let mut look = inlet.look_back(&mut scan, use_head);
    loop {
        match look {
            Ok(Look::Head(came)) => return Ok(came),
            Ok(Look::Incomplete) => {}
            Ok(Look::End) if scan.is_empty() => return Err(Unanswered::Ended),
            Ok(Look::End) => return Err(Unanswered::HeadEnded),
            Err(NoHead::Broken(error)) => return Err(Unanswered::Broken(Broken::Server(error))),
            Err(NoHead::Refused(refusal)) => return Err(Unanswered::Refused(refusal)),
        }
        let reason =
            inlet.readable(server).await.map_err(|error| Unanswered::Broken(Broken::Server(error)))?;
        look = inlet.look(server, reason, &mut scan, use_head);
        if !scan.is_empty() {
            awaited.heard.something.store(true, Ordering::Relaxed);
        }
    }
}

impl Awaited<'_> {
    /// Passes on a response's head, and what has come of its content with it.
    fn pass_on<'a>(&self, messages: &Messages<'a, Told<'a>>, bytes: &[u8], head: usize) -> (usize, Came<'a>) {
        self.heard.something.store(true, Ordering::Relaxed);
        let (head, after) = bytes.split_at(head.min(bytes.len()));
        match self.try_pass_on(messages, head, after) {
            Ok((length, came)) => (head.len() + length, came),
            Err(refusal) => (bytes.len(), Came::Refused(refusal)),
        }
    }

    fn try_pass_on<'a>(
        &self,
        messages: &Messages<'a, Told<'a>>,
        head: &[u8],
        after: &[u8],
    ) -> Result<(usize, Came<'a>), Refusal> {
        let settings = &self.means.http.settings.h1;
        let mut room = Room::new();
        let response = Response::parse(head, &mut room, self.asked, settings)?;
        let mut forwarded = Vec::new();
        if response.is_interim() {
            // RFC 9110, section 15.2: not to a client that does not know them.
            if self.asked.version == Version::Old {
                return Ok((0, Came::Interim(Unsent::Nothing)));
            }
            response.forward(true, &mut forwarded);
            return Ok((0, Came::Interim(messages.write(Side::Server, forwarded, &[]))));
        }
        // RFC 9110, section 7.8: the request is to be whole before.
        if response.length() == Length::Tunnel && !self.is_sent.load(Ordering::Relaxed) {
            return Err(Refusal::UnaskedSwitch);
        }
        let mut body = Body::new(response.length(), settings);
        let length = body.walk(after)?;
        let content = after.get(..length).unwrap_or_default();
        let answered = self.answered(&response);
        response.forward(answered.keeps_client, &mut forwarded);
        self.heard.answer.store(true, Ordering::Relaxed);
        responded(self.exchange, response.status(), self.held);
        let unsent = messages.write(Side::Server, forwarded, content);
        if length > 0 {
            self.exchange.sent(length);
        }
        Ok((length, Came::Final { unsent, body, answered }))
    }

    fn answered(&self, response: &Response<'_, '_>) -> Answered {
        let ends_by_itself = match response.length() {
            Length::Exact(_) | Length::Chunked => true,
            Length::UntilClose | Length::Tunnel => false,
        };
        // A server that goes without having heard all leaves nobody who could take the rest.
        let is_heard = response.persists() || self.is_sent.load(Ordering::Relaxed);
        let stays = is_heard && !self.means.http.retiring.is_requested();
        Answered {
            keeps_client: self.asked.persists && ends_by_itself && stays,
            // It was told what the client had said of its own connection.
            keeps_server: response.persists() && self.asked.persists,
            is_tunnel: response.length() == Length::Tunnel,
            binds: response.binds(),
        }
    }
}
