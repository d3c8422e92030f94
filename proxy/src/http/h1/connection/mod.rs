//! One client's connection, request after request, and the connection to its server: each request is read, sent, answered,
//! and then the next one is read.
//!
//! It does not say what a message is (the modules beside do), nor where a server is (`Upstream` knows). Invariant: one exchange
//! at a time, so that answers come in the order of the requests; nothing that came before the end of one of them is taken
//! for a part of another; and a client sees a whole answer, or that it is not whole.

mod answer;
mod answering;
mod asking;
mod attempt;
mod content;
mod inlet;
mod interim;
mod server;

use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, timeout};

use super::Unended;
use super::request::Method;
use super::scan::{Kind, Scan};
use crate::ending::client_broken;
use crate::http::{GRACE, Http};
use crate::net::leg::Leg;
use crate::net::relay::{Account, Reason, Relay};
use crate::telemetry::connections::{RelayMode, Side};
use crate::telemetry::exchange::{self, Exchange, Timer};
use crate::telemetry::session::{End, Session};
use crate::upstream::{Dialed, Upstream};
use answer::Answer;
use asking::{Asking, Unread};
use attempt::Then;
use inlet::{Inlet, Look, NoHead};
use server::Server;

pub(crate) use interim::MOST as MOST_INTERIM;

/// How long a client may take to read the last answer and to end its side. To close earlier would reset the connection if it
/// still sends, and a reset overtakes what it has not read (RFC 9112, section 9.6).
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// What carries HTTP, apart from the two ends.
#[derive(Clone, Copy)]
pub(crate) struct Means<'a> {
    pub(crate) relay: &'a Relay,
    pub(crate) http: &'a Http,
}

/// A connection on which HTTP/1 is spoken.
pub(crate) struct Connection<'a, U> {
    means: Means<'a>,
    session: &'a Session,
    upstream: &'a U,
    client: Leg,
    inlet: Inlet<'a>,
    server: Server<'a>,
}

/// What comes next on a connection.
enum Next<'a> {
    Asking(Box<Asking<'a>>),
    /// No request, but an answer and the end.
    Refused(Why),
    /// None any more, as far as the proxy is concerned.
    None,
    /// The end.
    End(End),
}

/// Why a request is answered before it was read.
enum Why {
    Unread(Unread),
    /// It was not all there in time.
    Late,
    /// The client had ended its side before that; it may still read.
    Ended,
}

impl<'a, U: Upstream> Connection<'a, U> {
    /// With its client, and the server that was reached for it already, or why none was.
    pub(crate) fn new(
        (client, first): (Leg, Option<Result<Dialed, End>>),
        upstream: &'a U,
        session: &'a Session,
        means: Means<'a>,
    ) -> Self {
        session.speaks_http();
        let server = first.map_or(Server::None, |first| Server::first(first, means.relay));
        let inlet = Inlet::new(means.relay);
        Self { means, session, upstream, client, inlet, server }
    }

    /// Closes it in good order.
    pub(crate) fn finish(mut self) {
        self.leave_server();
        self.client.finish();
    }

    /// Carries it until it has ended; it has to be [`finish`](Self::finish)ed then, if that was in good order.
    pub(crate) async fn carry(&mut self) -> End {
        let mut limit = pin!(sleep(self.means.http.settings.http_idle_timeout));
        loop {
            let asking = match self.next(limit.as_mut()).await {
                Next::Asking(asking) => asking,
                // Boxed, as all that is not always there, since an idle connection would keep the room for it.
                Next::Refused(why) => return Box::pin(self.refuse(why)).await,
                Next::None => {
                    self.leave_server();
                    Box::pin(linger(&self.client, &mut self.inlet)).await;
                    return End::COMPLETE;
                }
                Next::End(end) => {
                    self.leave_server();
                    return end;
                }
            };
            match Box::pin(self.exchange(asking)).await {
                Then::Next => {}
                Then::Close => {
                    self.leave_server();
                    Box::pin(linger(&self.client, &mut self.inlet)).await;
                    return End::COMPLETE;
                }
                Then::End(end) => return end,
            }
        }
    }

    /// The next request, if there is one. The timer is the same for all: to put it off costs less than to make another one.
    async fn next(&mut self, mut limit: Pin<&mut Sleep>) -> Next<'a> {
        let (means, session) = (self.means, self.session);
        let mut scan = Scan::new(Kind::Request, &means.http.settings.h1);
        let read = move |bytes: &[u8], head: usize| Asking::read(bytes, head, session, &means);
        limit.as_mut().reset(Instant::now() + self.means.http.settings.http_idle_timeout);
        let mut look = self.inlet.look_back(&mut scan, read);
        let mut has_begun = false;
        loop {
            match look {
                Ok(Look::Head(Ok(asking))) => return Next::Asking(asking),
                Ok(Look::Head(Err(unread))) => return Next::Refused(Why::Unread(unread)),
                Err(NoHead::Refused(refusal)) => {
                    return Next::Refused(Why::Unread(Unread { refusal, exchange: None }));
                }
                Ok(Look::End) if scan.is_empty() => return Next::End(End::COMPLETE),
                Ok(Look::End) => return Next::Refused(Why::Ended),
                Ok(Look::Incomplete) if self.inlet.has_ended => return Next::End(End::COMPLETE),
                Ok(Look::Incomplete) => {}
                Err(NoHead::Broken(error)) => return Next::End(client_broken(&error)),
            }
            if !has_begun && !scan.is_empty() {
                has_begun = true;
                limit.as_mut().reset(Instant::now() + self.means.http.settings.http_head_timeout);
            }
            let reason = match self.awaits(limit.as_mut(), has_begun).await {
                Ok(reason) => reason,
                Err(next) => return next,
            };
            look = self.inlet.look(&self.client, reason, &mut scan, read);
        }
    }

    /// Returns when the client may have said something, unless the connection ends before.
    async fn awaits(&mut self, mut limit: Pin<&mut Sleep>, has_begun: bool) -> Result<Reason, Next<'a>> {
        let mut is_leaving = false;
        loop {
            let Self { means, server, inlet, client, .. } = self;
            let leaves = leaves(*means, server);
            tokio::select! {
                biased;
                () = server.stirs() => server.close(),
                reason = inlet.readable(client) => {
                    return reason.map_err(|error| Next::End(client_broken(&error)));
                }
                () = leaves, if !(has_begun || is_leaving) => {
                    is_leaving = true;
                    limit.as_mut().reset(Instant::now() + GRACE);
                }
                () = &mut limit => {
                    if is_leaving {
                        return Err(Next::None);
                    }
                    self.session.timed_out(if has_begun { Timer::Head } else { Timer::Idle });
                    return Err(if has_begun { Next::Refused(Why::Late) } else { Next::None });
                }
            }
        }
    }

    /// Answers a request that was not read.
    async fn refuse(&mut self, why: Why) -> End {
        self.leave_server();
        let (status, code, text, exchange) = match why {
            Why::Unread(Unread { refusal, exchange }) => {
                self.session.refused(Side::Client, refusal.code());
                (refusal.status(), refusal.code(), refusal.to_string(), exchange)
            }
            // It has been counted as a time limit.
            Why::Late => {
                (408, Timer::Head.code(), "the request's head did not come in time".to_owned(), None)
            }
            Why::Ended => {
                let unended = Unended::RequestHead;
                self.session.refused(Side::Client, unended.code());
                (400, unended.code(), unended.to_string(), None)
            }
        };
        let exchange = exchange.unwrap_or_else(|| self.session.begin(&exchange::Request::default()));
        let answer = Answer { status, text: &format!("{text}\n"), keep: false, method: Method::Other };
        let is_told = answer.send(&self.client).await;
        let end = End::refused(Side::Client, code);
        exchange.answered(status);
        exchange.close(end.clone());
        if !is_told {
            return end;
        }
        linger(&self.client, &mut self.inlet).await;
        End::COMPLETE
    }
}

/// Returns when a connection on which nothing is asked should end [soon](GRACE), since the proxy goes away. A server that is not
/// connected any more may be the application that goes away itself.
fn leaves(means: Means<'_>, server: &Server<'_>) -> impl Future<Output = ()> + Send + use<> {
    let Http { retiring, closing, .. } = means.http;
    let mut signal = if let Server::Open(_) = server { closing } else { retiring }.clone();
    async move { signal.requested().await }
}

/// Ends the stream to the client, and waits until it has ended its own.
async fn linger(client: &Leg, inlet: &mut Inlet<'_>) {
    if client.end_writing().is_ok() {
        let _ = timeout(LINGER, inlet.drain(client)).await;
    }
}

/// Who is told what happens to content.
struct Told<'e> {
    exchange: &'e Exchange,
    session: &'e Session,
}

impl Account for Told<'_> {
    fn carried(&self, from: Side, bytes: usize) {
        match from {
            Side::Client => self.exchange.received(bytes),
            Side::Server => self.exchange.sent(bytes),
        }
    }

    fn relayed(&self, mode: RelayMode) {
        self.session.relayed(mode);
    }

    fn half_closed(&self, side: Side) {
        self.session.half_closed(side);
    }
}
