//! How a request comes to a server: one is reached, the request waits for its turn there, is sent, and is sent to another one
//! if it was not accepted.
//!
//! Invariant: a request is sent again only where that changes nothing (`stream` says when), and not for ever.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::h2::client::{ResponseFuture, SendRequest};
use ::h2::{RecvStream, SendStream};
use http::{Request, StatusCode};

use super::MOST_ATTEMPTS;
use super::broken::{Broken, Notable};
use super::metered::Seen;
use super::portion::Portion;
use super::server::{Seat, Server};
use super::servers::Servers;
use super::stream::{Front, Stream, Then};
use crate::telemetry::session::End;

/// A request that no server was asked, or none has accepted.
pub(super) struct Asking<'a> {
    pub(super) front: Front,
    pub(super) request: Request<()>,
    pub(super) content: RecvStream,
    pub(super) servers: Arc<Servers<'a>>,
}

/// RFC 9113, section 5.1.1: numbers of streams come to an end, and with them the connection. A thousand more may be under way.
const LAST_STREAM: u32 = i32::MAX as u32 - 4_096;

/// Why no server was asked.
enum Unasked {
    /// There is none that could be.
    NoServer(End),
    Broken(Broken),
}

impl Unasked {
    fn with_cause(self, client: &Seen, content: &mut RecvStream) -> Self {
        match self {
            Self::Broken(broken) => Self::Broken(broken.with_cause(client, content)),
            other @ Self::NoServer(_) => other,
        }
    }
}

impl Asking<'_> {
    /// Asks, and carries the stream to its end.
    #[expect(clippy::manual_async_fn, reason = "an async fn would have room for itself twice")]
    pub(super) fn run(mut self) -> impl Future<Output = Option<Notable>> + Send {
        async move {
            let mut attempts = 0;
            loop {
                attempts += 1;
                let is_last = attempts == MOST_ATTEMPTS;
                let (seat, requests) = match self.seated().await {
                    Ok(seated) => seated,
                    Err(Unasked::Broken(Broken::NotAccepted)) if !is_last => continue,
                    Err(unasked) => return self.fail(unasked),
                };
                // One that has just broken, since one that has is not asked.
                let Ok((sent, copy)) = self.send(&seat.server, requests, is_last) else {
                    return self.fail(Unasked::Broken(Broken::NotAccepted));
                };
                let Self { front, content, servers, .. } = self;
                let mut stream = Stream::new(front, seat, (copy, content), sent);
                match stream.run().await {
                    Then::Over(notable) => return notable,
                    Then::Again(request) => {
                        let (front, content) = stream.into_rest();
                        servers.retried();
                        self = Self { front, request: *request, content, servers };
                    }
                }
            }
        }
    }

    /// A server, when it takes another stream.
    async fn seated(&mut self) -> Result<(Seat, SendRequest<Portion>), Unasked> {
        let mut seat = self.reach().await?;
        poll_fn(|cx| self.front.poll_turn(&mut seat, cx)).await.map_err(Unasked::Broken)?;
        match seat.server.requests() {
            Some(requests) => Ok((seat, requests)),
            None => Err(Unasked::Broken(Broken::NotAccepted)),
        }
    }

    /// A place at a server, unless the client breaks off before.
    async fn reach(&mut self) -> Result<Seat, Unasked> {
        let Front { respond, account, .. } = &mut self.front;
        let mut reached = pin!(self.servers.reach(&account.exchange));
        poll_fn(|cx| match respond.poll_reset(cx) {
            Poll::Ready(reason) => Poll::Ready(Err(Unasked::Broken(Broken::Client(reason.ok())))),
            Poll::Pending => reached.as_mut().poll(cx).map_err(Unasked::NoServer),
        })
        .await
    }

    /// What the server is asked with, and a copy of the request if there may be another attempt once it was sent: there may not if
    /// content is there, which is passed on at once.
    fn send(
        &mut self,
        server: &Server,
        mut requests: SendRequest<Portion>,
        is_last: bool,
    ) -> Result<Sent, ::h2::Error> {
        let has_content = self.content.flow_control().used_capacity() > 0;
        let copy = (!is_last && !has_content).then(|| self.request.clone());
        let request = std::mem::take(&mut self.request);
        let sent = requests.send_request(request, self.content.is_end_stream())?;
        if sent.0.stream_id().as_u32() > LAST_STREAM {
            server.retire();
        }
        self.front.account.exchange.asked();
        Ok((sent, copy))
    }

    fn fail(mut self, unasked: Unasked) -> Option<Notable> {
        let unasked = unasked.with_cause(&self.front.shared.client.seen, &mut self.content);
        let (end, notable) = match &unasked {
            Unasked::NoServer(end) => (end.clone(), None),
            Unasked::Broken(broken) => (broken.end(false), broken.notable()),
        };
        match unasked {
            Unasked::NoServer(_) => self.front.answer(StatusCode::SERVICE_UNAVAILABLE, &end),
            Unasked::Broken(Broken::Idle) => self.front.answer(StatusCode::GATEWAY_TIMEOUT, &end),
            // Nothing was sent of it, so that it may be sent again, which the client has to be told.
            Unasked::Broken(Broken::NotAccepted) => self.front.refuse(),
            Unasked::Broken(
                Broken::Client(_) | Broken::Reset(_) | Broken::Left(..) | Broken::Gone | Broken::Refused(..),
            ) => {}
        }
        self.front.account.exchange.close(end);
        notable
    }
}

/// What was sent, and what can be sent again.
type Sent = ((ResponseFuture, SendStream<Portion>), Option<Request<()>>);

impl Front {
    /// Ready when there is room, or the client has broken off.
    fn poll_turn(&mut self, seat: &mut Seat, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if let Poll::Ready(reason) = self.respond.poll_reset(cx) {
            return Poll::Ready(Err(Broken::Client(reason.ok())));
        }
        if let Poll::Ready(turn) = seat.ticket.poll(cx) {
            return Poll::Ready(turn.map_err(|_| Broken::NotAccepted));
        }
        self.quiet.poll(cx, 0).map(|()| Err(Broken::Idle))
    }
}
