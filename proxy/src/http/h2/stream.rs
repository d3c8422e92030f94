//! One request and its response.
//!
//! The two directions are independent: a response may come, and end, before the request has ended. Whoever breaks off, the
//! other side is told at once, by the same code. Before the head of a response, what failed is told by a response of our own.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::h2::client::ResponseFuture;
use ::h2::server::SendResponse;
use ::h2::{Reason, RecvStream, SendStream};
use http::{Request, Response, StatusCode};

use super::broken::{Broken, Notable, answer, why};
use super::content::{Account, Content, Stop};
use super::grpc;
use super::head::judge_response;
use super::portion::Portion;
use super::quiet::Quiet;
use super::server::Seat;
use super::shared::Shared;
use crate::http::repeat::{Attempt, Failure};
use crate::http::responded;
use crate::telemetry::connections::Side;
use crate::telemetry::session::End;

/// What a stream has of the client, whichever server it goes to.
pub(super) struct Front {
    pub(super) respond: SendResponse<Portion>,
    pub(super) account: Account,
    pub(super) shared: Arc<Shared>,
    pub(super) quiet: Quiet,
}

/// A request that was sent to a server.
pub(super) struct Stream {
    front: Front,
    seat: Seat,
    /// The request's content; also what resets the server's stream.
    upload: Content,
    response: ResponseFuture,
    /// What can be sent again.
    request: Option<Request<()>>,
    has_content: bool,
    /// Interim responses.
    interim: u64,
}

/// What has become of a stream.
pub(super) enum Then {
    /// It is over.
    Over(Option<Notable>),
    /// The server has not seen this request, or it does not matter if it has: another attempt may be made, with what is
    /// [left](Stream::into_rest).
    Again(Box<Request<()>>),
}

impl Stream {
    /// Of a request whose head was sent, and whose `content` is to follow. There is a copy of the head where it may be sent again.
    pub(super) fn new(
        front: Front,
        seat: Seat,
        (request, content): (Option<Request<()>>, RecvStream),
        (response, sink): (ResponseFuture, SendStream<Portion>),
    ) -> Self {
        let (face, waiting) = (Arc::clone(&front.shared.client), front.shared.waiting.clone());
        let has_content = !content.is_end_stream();
        let upload = Content::new(Side::Client, content, sink, face, waiting);
        Self { front, seat, upload, response, request, has_content, interim: 0 }
    }

    /// Carries it to its end.
    pub(super) async fn run(&mut self) -> Then {
        match poll_fn(|cx| self.poll_head(cx)).await {
            Ok(response) => Then::Over(self.respond(response).await),
            Err(broken) => match self.again(&broken) {
                Some(request) => Then::Again(Box::new(request)),
                None => Then::Over(self.fail(broken)),
            },
        }
    }

    /// What is left besides the request.
    pub(super) fn into_rest(self) -> (Front, RecvStream) {
        (self.front, self.upload.into_source())
    }

    /// The request, if it may be sent again.
    fn again(&mut self, broken: &Broken) -> Option<Request<()>> {
        let request = self.request.take()?;
        let failure = match broken {
            Broken::NotAccepted | Broken::Reset(Reason::REFUSED_STREAM) => Failure::NotAccepted,
            Broken::Gone => Failure::Gone { was_used: self.seat.server.has_answered() },
            Broken::Client(_) | Broken::Reset(_) | Broken::Left(..) | Broken::Refused(..) | Broken::Idle => {
                Failure::Other
            }
        };
        let attempt = Attempt {
            failure,
            is_heard: self.interim > 0,
            is_kept: !self.upload.has_begun(),
            is_complete: !self.has_content,
            is_idempotent: request.method().is_idempotent(),
        };
        attempt.may_be_repeated().then_some(request)
    }

    fn fail(&mut self, broken: Broken) -> Option<Notable> {
        let broken = broken.with_cause(&self.front.shared.client.seen, self.upload.source());
        let end = broken.end(false);
        if broken.is_the_servers()
            && let Some(held) = &self.seat.held
        {
            held.failed();
        }
        self.break_server(&broken);
        match broken {
            Broken::Client(_) | Broken::Left(Side::Client, _) => {}
            Broken::Reset(reason) => {
                self.front.shared.client.seen.passes_reset(reason);
                self.front.reset(reason);
            }
            Broken::NotAccepted => self.front.refuse(),
            Broken::Refused(Side::Client, _) => self.front.reset(Reason::PROTOCOL_ERROR),
            Broken::Left(Side::Server, _) | Broken::Refused(Side::Server, _) => {
                self.front.answer(StatusCode::BAD_GATEWAY, &end)
            }
            Broken::Gone => self.front.answer(StatusCode::SERVICE_UNAVAILABLE, &end),
            Broken::Idle => self.front.answer(StatusCode::GATEWAY_TIMEOUT, &end),
        }
        self.front.account.exchange.presume(end);
        broken.notable()
    }

    /// The final head, after the interim ones were passed on.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<RecvStream>, Broken>> {
        if let Poll::Ready(reason) = self.front.respond.poll_reset(cx) {
            return Poll::Ready(Err(Broken::Client(reason.ok())));
        }
        // A server that takes no more of the request may still respond.
        if let Poll::Ready(stop) = self.poll_upload(cx)
            && let Some(broken) = Broken::of_upload(stop)
        {
            return Poll::Ready(Err(broken));
        }
        if self.upload.has_begun() {
            // It will not be sent again, and calls may last for days.
            self.request = None;
        }
        loop {
            match self.response.poll_informational(cx) {
                Poll::Ready(Some(Ok(interim))) => {
                    if let Err(broken) = self.pass_interim(interim) {
                        return Poll::Ready(Err(broken));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(Broken::of_server(&error, &self.seat.server)));
                }
                Poll::Ready(None) => break,
                Poll::Pending => return self.poll_quiet(cx, 0),
            }
        }
        let response = Pin::new(&mut self.response).poll(cx);
        response.map_err(|error| Broken::of_server(&error, &self.seat.server))
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        let passed = self.upload.passed();
        let stop = self.upload.poll(cx, &self.front.account);
        let waits = stop.is_pending() && self.upload.is_blocked() && !self.upload.is_over();
        self.seat.waits(waits, self.upload.passed() != passed);
        stop
    }

    /// Pending, until nothing was passed on for too long.
    fn poll_quiet<T>(&mut self, cx: &mut Context<'_>, downloaded: u64) -> Poll<Result<T, Broken>> {
        let passed = self.upload.passed() + self.interim + downloaded;
        self.front.quiet.poll(cx, passed).map(|()| Err(Broken::Idle))
    }

    fn pass_interim(&mut self, interim: Response<()>) -> Result<(), Broken> {
        self.judge(&interim)?;
        self.interim += 1;
        self.front.respond.send_informational(interim).map_err(|_| Broken::Client(None))
    }

    fn judge<T>(&self, response: &Response<T>) -> Result<(), Broken> {
        judge_response(response.status(), response.headers(), self.front.account.most)
            .map_err(|refusal| Broken::Refused(Side::Server, refusal))
    }

    /// Passes the response on, and what is left of the request.
    async fn respond(&mut self, response: Response<RecvStream>) -> Option<Notable> {
        if let Err(broken) = self.judge(&response) {
            let end = broken.end(false);
            self.break_server(&broken);
            self.front.answer(StatusCode::BAD_GATEWAY, &end);
            self.front.account.exchange.presume(end);
            return broken.notable();
        }
        self.seat.server.answered();
        self.request = None;
        let (head, source) = response.into_parts();
        let is_end = source.is_end_stream();
        let is_call = self.front.account.is_grpc && grpc::is_call(&head.headers);
        let exchange = &self.front.account.exchange;
        responded(exchange, head.status.as_u16(), self.seat.held.as_ref());
        if let (true, Some(status)) = (is_end, grpc::status(&head.headers)) {
            exchange.grpc_status(status);
        }
        let Ok(sink) = self.front.respond.send_response(Response::from_parts(head, ()), is_end) else {
            let client = &self.front.shared.client.seen;
            let broken = Broken::Client(None).with_cause(client, self.upload.source());
            self.break_server(&broken);
            self.front.account.exchange.presume(broken.end(true));
            return broken.notable();
        };
        let face = Arc::clone(&self.seat.server.face);
        let mut download = Content::new(Side::Server, source, sink, face, self.front.shared.waiting.clone());
        let ended = poll_fn(|cx| self.poll_both(cx, &mut download)).await;
        self.finish(ended, download, is_call)
    }

    /// Ready when both directions have ended.
    fn poll_both(&mut self, cx: &mut Context<'_>, download: &mut Content) -> Poll<Result<(), Broken>> {
        if let Poll::Ready(stop) = download.poll(cx, &self.front.account)
            && let Some(broken) = Broken::of_download(stop, &self.seat.server)
        {
            return Poll::Ready(Err(broken));
        }
        if let Poll::Ready(stop) = self.poll_upload(cx)
            && let Some(broken) = Broken::of_upload(stop)
        {
            return Poll::Ready(Err(broken));
        }
        if self.upload.is_over() && download.is_over() {
            return Poll::Ready(Ok(()));
        }
        // The head has been passed on, too.
        self.poll_quiet(cx, download.passed() + 1)
    }

    fn finish(&mut self, ended: Result<(), Broken>, mut download: Content, is_call: bool) -> Option<Notable> {
        let broken = match ended {
            Ok(()) => {
                // RFC 9113, section 8.1: a response is not discarded because no more of the request is wanted. A reset
                // would discard what h2 has not sent; by itself h2 says NO_ERROR after that, to who has not ended a request.
                self.front.account.exchange.presume(End::COMPLETE);
                return None;
            }
            Err(broken) => broken.with_cause(&self.front.shared.client.seen, self.upload.source()),
        };
        self.break_server(&broken);
        // It does not end its request, and has all that it wants.
        let is_served = matches!(broken, Broken::Client(_)) && download.has_ended();
        let end = if is_served { End::COMPLETE } else { broken.end(true) };
        match broken {
            Broken::Client(_) | Broken::Left(Side::Client, _) => {}
            Broken::Reset(reason) => {
                self.front.shared.client.seen.passes_reset(reason);
                download.reset(reason);
            }
            // A client of gRPC takes the reset for INTERNAL, and the end of its own connection for UNAVAILABLE.
            Broken::NotAccepted | Broken::Gone if is_call => {
                download.fail_call(grpc::unavailable(why(&end)), &self.front.account);
            }
            Broken::NotAccepted
            | Broken::Gone
            | Broken::Left(Side::Server, _)
            | Broken::Refused(Side::Server, _) => download.reset(Reason::INTERNAL_ERROR),
            Broken::Idle => download.reset(Reason::CANCEL),
            Broken::Refused(Side::Client, _) => download.reset(Reason::PROTOCOL_ERROR),
        }
        self.front.account.exchange.presume(end);
        broken.notable()
    }

    /// Tells the server what the other side did.
    fn break_server(&mut self, broken: &Broken) {
        match broken {
            Broken::Client(reason) => {
                let reason = reason.filter(|_| !self.front.shared.is_client_gone());
                self.upload.reset(reason.unwrap_or(Reason::CANCEL));
            }
            Broken::Refused(Side::Client, _) | Broken::Left(Side::Client, _) | Broken::Idle => {
                self.upload.reset(Reason::CANCEL);
            }
            Broken::Refused(Side::Server, _) => self.upload.reset(Reason::PROTOCOL_ERROR),
            Broken::Reset(_) | Broken::NotAccepted | Broken::Left(Side::Server, _) | Broken::Gone => {}
        }
    }
}

impl Front {
    /// Says what has failed.
    pub(super) fn answer(&mut self, status: StatusCode, end: &End) {
        answer(&mut self.respond, &self.account, status, end);
    }

    /// Tells the client that it may ask again: no server has accepted its request.
    pub(super) fn refuse(&mut self) {
        self.shared.client.seen.passes_reset(Reason::REFUSED_STREAM);
        self.reset(Reason::REFUSED_STREAM);
    }

    /// Breaks the client's stream off.
    pub(super) fn reset(&mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }
}
