//! One exchange: a server is reached, the request goes out while the answer comes in, and what to do when that fails.
//!
//! Invariant: a request is sent a second time only where the [rule](crate::http::repeat) allows it, and once: the other connection is
//! a new one.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio::time::Instant;

use super::answer::Answer;
use super::answering::{Answered, Awaited, Heard, Unanswered, receive};
use super::asking::{Asking, send};
use super::inlet::Inlet;
use super::server::{Link, Open, Repeats, Server};
use super::{Connection, Means, Told};
use crate::balance::Held;
use crate::ending;
use crate::http::h1::{Refusal, Unended};
use crate::http::repeat::{Attempt, Failure};
use crate::net::leg::Leg;
use crate::net::relay::{Broken, Messages, NotContent};
use crate::telemetry::connections::Side;
use crate::telemetry::exchange::Timer;
use crate::telemetry::session::{End, Session};
use crate::upstream::Upstream;

/// What becomes of the client's connection after an exchange.
pub(super) enum Then {
    /// It waits for the next request.
    Next,
    /// It ends in good order.
    Close,
    /// It is over.
    End(End),
}

/// How far an exchange has come that has failed.
struct Failed {
    why: Unanswered,
    /// The server has said something.
    is_heard: bool,
    /// The client has been told something of an answer.
    is_answered: bool,
    /// The server has all of the request.
    is_sent: bool,
    /// The server had been asked before on this connection.
    was_used: bool,
}

/// What a client is told instead of an answer.
struct Instead {
    status: u16,
    end: End,
    /// What was refused, if that is why.
    refusal: Option<Refusal>,
    /// The client may go on.
    keep: bool,
}

impl<'a, U: Upstream> Connection<'a, U> {
    /// Has a request answered.
    pub(super) async fn exchange(&mut self, mut asking: Box<Asking<'a>>) -> Then {
        let (is_idempotent, is_complete) = (asking.is_idempotent, asking.message.body.is_done());
        let may_repeat = is_idempotent && is_complete;
        let mut repeats = Repeats { may: may_repeat, is: false };
        loop {
            let Self { means, session, upstream, client, server, .. } = self;
            let reached = tokio::select! {
                biased;
                reached = server.reach(*upstream, session, *means, repeats) => reached,
                // Who has gone may ask again elsewhere, and this must not be asked then.
                error = client.broken() => return give_up(*asking, ending::client_broken(&error)),
            };
            if let Err(end) = reached {
                let keep = asking.message.body.is_done();
                return self.instead(asking, Instead { status: 503, end, refusal: None, keep }).await;
            }
            match self.attempt(&mut asking, may_repeat).await {
                Ok(answered) if answered.is_tunnel => return self.tunnel(asking).await,
                Ok(answered) => {
                    let refusal = asking.message.refusal;
                    asking
                        .exchange
                        .close(refusal.map_or(End::COMPLETE, |refusal| self.refused(Side::Client, refusal)));
                    return if answered.keeps_client { Then::Next } else { Then::Close };
                }
                Err(failed) if failed.attempt(is_complete, is_idempotent).may_be_repeated() => {
                    self.server = Server::None;
                    self.session.retried_request();
                    repeats.is = true;
                }
                Err(failed) => return self.fail(asking, failed).await,
            }
        }
    }

    async fn attempt(&mut self, asking: &mut Asking<'a>, may_repeat: bool) -> Result<Answered, Failed> {
        let Self { means, session, client, inlet, server, .. } = self;
        let Server::Open(open) = server else {
            return Err(Failed::at_the_beginning());
        };
        let Open { link, inlet: answers, held } = open;
        let Link { leg, used, is_self_call, is_bound, .. } = link;
        asking.exchange.routed(*is_self_call);
        let was_used = used.is_some();
        let (heard, is_sent) = (Heard::default(), AtomicBool::new(false));
        let sides = Sides { client, inlet, leg, answers, held: held.as_ref(), keep: may_repeat && was_used };
        let answered = both_ways(sides, asking, (&heard, &is_sent), session, means).await;
        let is_sent = is_sent.into_inner();
        let answered = answered.map_err(|why| Failed {
            why,
            is_heard: heard.something.into_inner(),
            is_answered: heard.answer.into_inner(),
            is_sent,
            was_used,
        })?;
        // Who has offered to speak something else, and began with it before that was agreed, may not mean a request.
        let is_request = !asking.asked.upgrade || inlet.ahead.bytes().is_empty();
        // A server that knows that nothing more comes will leave.
        let is_clean = answers.ahead.bytes().is_empty() && is_sent && !inlet.has_ended;
        *used = Some(Instant::now());
        *is_bound |= asking.binds || answered.binds;
        if !answered.is_tunnel {
            *held = None;
        }
        if !is_sent && !answered.is_tunnel {
            // A request that breaks off is reset.
            *server = Server::None;
        } else if !(answered.is_tunnel || (answered.keeps_server && is_clean)) {
            server.close();
        }
        Ok(Answered { keeps_client: answered.keeps_client && is_sent && is_request, ..answered })
    }

    async fn fail(&mut self, asking: Box<Asking<'a>>, failed: Failed) -> Then {
        let refusal = asking.message.refusal;
        let (status, end) = match (failed.why, refusal) {
            (_, Some(refusal)) => (refusal.status(), self.refused(Side::Client, refusal)),
            (Unanswered::Refused(refusal), None) => (502, self.refused(Side::Server, refusal)),
            (Unanswered::Ended, None) => (503, ending::unanswered()),
            (Unanswered::HeadEnded, None) => (503, self.unended(Side::Server, Unended::ResponseHead)),
            (Unanswered::Idle, None) => {
                self.session.timed_out(Timer::StreamIdle);
                (504, End::idle())
            }
            (Unanswered::Broken(broken), None) => match broken {
                Broken::NotContent(Side::Client, NotContent::Truncated) => {
                    return give_up(*asking, self.unended(Side::Client, Unended::Content));
                }
                Broken::NotContent(Side::Server, NotContent::Truncated) => {
                    (503, self.unended(Side::Server, Unended::Content))
                }
                Broken::Client(_) | Broken::NotContent(Side::Client, _) | Broken::HalfClosed(_) => {
                    return give_up(*asking, ending::broken(&broken));
                }
                Broken::Server(_) | Broken::NotContent(Side::Server, _) => (503, ending::broken(&broken)),
            },
        };
        if let (None, Server::Open(Open { held: Some(held), .. })) = (refusal, &self.server) {
            held.failed();
        }
        if failed.is_answered {
            return give_up(*asking, end);
        }
        let keep = failed.is_sent && refusal.is_none();
        self.instead(asking, Instead { status, end, refusal, keep }).await
    }

    fn refused(&self, side: Side, refusal: Refusal) -> End {
        self.session.refused(side, refusal.code());
        End::refused(side, refusal.code())
    }

    fn unended(&self, side: Side, unended: Unended) -> End {
        self.session.refused(side, unended.code());
        End::gone(side, unended.code().name())
    }

    /// Answers for a server that does not.
    async fn instead(&mut self, asking: Box<Asking<'a>>, instead: Instead) -> Then {
        let Instead { status, end, refusal, keep } = instead;
        self.server = Server::None;
        let Asking { asked, exchange, .. } = *asking;
        let keep = keep && asked.persists && !self.means.http.retiring.is_requested();
        let text = match refusal {
            Some(refusal) => format!("{refusal}\n"),
            None => format!("{}\n", end.failure.as_deref().or(end.details.as_deref()).unwrap_or(end.flags)),
        };
        let is_told = Answer { status, text: &text, keep, method: asked.method }.send(&self.client).await;
        exchange.answered(status);
        exchange.close(end.clone());
        match (is_told, keep) {
            (true, true) => Then::Next,
            (true, false) => Then::Close,
            (false, _) => Then::End(end),
        }
    }

    /// Both sides speak something else from now on.
    async fn tunnel(&mut self, asking: Box<Asking<'a>>) -> Then {
        let Self { means, session, client, inlet, server, .. } = self;
        let Asking { message, exchange, .. } = *asking;
        drop(message);
        let end = match server {
            Server::Open(open) => {
                let told = Told { exchange: &exchange, session };
                let early = std::mem::replace(&mut inlet.ahead, means.relay.ahead());
                exchange.received(early.bytes().len());
                let carried = Messages::new(means.relay, client, &open.link.leg, &told).switch(early).await;
                carried.map_or_else(|broken| ending::broken(&broken), |()| End::COMPLETE)
            }
            Server::None | Server::Failed(_) => End::COMPLETE,
        };
        if end == End::COMPLETE {
            server.close();
        }
        exchange.close(end.clone());
        Then::End(end)
    }
}

/// The two ends of an exchange.
struct Sides<'s, 'a> {
    client: &'s Leg,
    inlet: &'s mut Inlet<'a>,
    leg: &'s Leg,
    answers: &'s mut Inlet<'a>,
    held: Option<&'s Held>,
    /// The request may have to be sent again.
    keep: bool,
}

/// The request goes out, and the answer comes in.
async fn both_ways(
    sides: Sides<'_, '_>,
    asking: &mut Asking<'_>,
    (heard, is_sent): (&Heard, &AtomicBool),
    session: &Session,
    means: &Means<'_>,
) -> Result<Answered, Unanswered> {
    let Sides { client, inlet, leg, answers, held, keep } = sides;
    let Asking { asked, message, exchange, .. } = asking;
    let told = Told { exchange, session };
    let messages = Messages::new(means.relay, client, leg, &told);
    let mut sending = pin!(send(&messages, (message, exchange), (client, inlet), (is_sent, keep)));
    let awaited = Awaited { asked: *asked, exchange, heard, is_sent, held, means };
    let limit = means.http.settings.http_stream_idle_timeout;
    let answered = tokio::select! {
        biased;
        broken = &mut sending => Err(Unanswered::Broken(broken)),
        answered = receive(&messages, (leg, answers), awaited) => answered,
        broken = messages.broken() => Err(Unanswered::Broken(broken)),
        () = messages.idle(limit) => Err(Unanswered::Idle),
    }?;
    let is_sent = || is_sent.load(Ordering::Relaxed);
    // An answer may come before the end of what was asked; the rest is still for the server, as long as it listens.
    if !answered.is_tunnel && !is_sent() {
        tokio::select! {
            biased;
            _ = &mut sending => {}
            () = poll_fn(|_| if is_sent() { Poll::Ready(()) } else { Poll::Pending }) => {}
            () = answers.stirs(leg) => {}
            _ = messages.broken() => {}
            () = messages.idle(limit) => {}
        }
    }
    Ok(answered)
}

impl Failed {
    /// No server was there.
    fn at_the_beginning() -> Self {
        Self { why: Unanswered::Ended, is_heard: false, is_answered: false, is_sent: false, was_used: false }
    }

    /// In the terms of the rule, of a request that was there when it was sent, or not.
    fn attempt(&self, is_complete: bool, is_idempotent: bool) -> Attempt {
        let gone = Failure::Gone { was_used: self.was_used };
        let failure = match &self.why {
            Unanswered::Broken(broken) => match broken {
                Broken::Server(_) => gone,
                Broken::Client(_) | Broken::HalfClosed(_) | Broken::NotContent(..) => Failure::Other,
            },
            Unanswered::Ended => gone,
            Unanswered::HeadEnded | Unanswered::Refused(_) | Unanswered::Idle => Failure::Other,
        };
        // It was kept if it was there.
        Attempt { failure, is_heard: self.is_heard, is_kept: is_complete, is_complete, is_idempotent }
    }
}

/// The exchange and the connection end together.
fn give_up(asking: Asking<'_>, end: End) -> Then {
    asking.exchange.close(end.clone());
    Then::End(end)
}
