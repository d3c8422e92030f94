//! One request and its response.
//!
//! The two directions are independent: a response may come, and end, before the request has ended. Whoever breaks off, the
//! other side is told at once, by the same code. Before the head of a response, what failed is told by a response of our own.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::h2::client::{ResponseFuture, SendRequest};
use ::h2::server::SendResponse;
use ::h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_TYPE, SERVER};
use http::{HeaderValue, Request, Response, StatusCode};

use super::Refusal;
use super::content::{Account, Content, Stop};
use super::grpc;
use super::head::judge_response;
use super::portion::Portion;
use super::quiet::Quiet;
use super::shared::Shared;
use super::slots::Ticket;
use crate::telemetry::connections::Side;
use crate::telemetry::session::End;

/// What the connection tells of a stream that has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Notable {
    /// A message of this side was refused.
    Refused(Side, Refusal),
    /// Nothing was passed on for too long.
    Idle,
}

/// A request that the server has not been asked.
pub(super) struct Asking {
    pub(super) request: Request<()>,
    pub(super) content: RecvStream,
    pub(super) respond: SendResponse<Portion>,
    pub(super) account: Account,
    pub(super) ticket: Ticket,
    pub(super) requests: SendRequest<Portion>,
    pub(super) shared: Arc<Shared>,
    pub(super) quiet: Quiet,
}

impl Asking {
    /// Asks the server when it takes another stream, and carries the stream to its end.
    pub(super) async fn run(mut self) -> Option<Notable> {
        if let Err(broken) = poll_fn(|cx| self.poll_turn(cx)).await {
            return self.fail(&broken);
        }
        let is_end = self.content.is_end_stream();
        match self.requests.send_request(std::mem::take(&mut self.request), is_end) {
            Ok((response, sink)) => {
                let Self { content, respond, account, ticket, shared, quiet, .. } = self;
                account.exchange.asked();
                let upload = shared.upload(content, sink);
                let (interim, unwanted, _ticket) = (0, None, ticket);
                let stream =
                    Stream { upload, response, respond, account, shared, quiet, interim, unwanted, _ticket };
                stream.run().await
            }
            // Nothing was sent of it, so that it may be sent again, which the client has to be told.
            Err(_) => self.fail(&Broken::NotAccepted),
        }
    }

    fn fail(mut self, broken: &Broken) -> Option<Notable> {
        let end = broken.end(false);
        match broken {
            Broken::Idle => answer(&mut self.respond, &self.account, StatusCode::GATEWAY_TIMEOUT, &end),
            Broken::NotAccepted => {
                self.shared.reset_client(Reason::REFUSED_STREAM, |reason| self.respond.send_reset(reason));
            }
            Broken::Client(_) | Broken::Reset(_) | Broken::Violated | Broken::Gone | Broken::Refused(..) => {}
        }
        self.account.exchange.close(end);
        broken.notable()
    }

    /// Ready when there is room, or the client has broken off.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if let Poll::Ready(reason) = self.respond.poll_reset(cx) {
            return Poll::Ready(Err(Broken::Client(reason.ok())));
        }
        if self.ticket.poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.quiet.poll(cx, 0).map(|()| Err(Broken::Idle))
    }
}

/// A request that was sent to the server.
struct Stream {
    /// The request's content; also what resets the server's stream.
    upload: Content,
    response: ResponseFuture,
    respond: SendResponse<Portion>,
    account: Account,
    shared: Arc<Shared>,
    quiet: Quiet,
    /// Interim responses.
    interim: u64,
    /// Why the server took no more of the request, if it did not.
    unwanted: Option<Reason>,
    _ticket: Ticket,
}

/// How a stream ends that does not end well.
#[derive(Debug)]
enum Broken {
    /// The client has gone, or has broken off for this reason.
    Client(Option<Reason>),
    /// The server has broken off for this reason.
    Reset(Reason),
    /// The server has not accepted it, and another may.
    NotAccepted,
    /// The server does not keep to the protocol.
    Violated,
    /// The connection to the server is gone.
    Gone,
    /// A message may not be passed on.
    Refused(Side, Refusal),
    /// Nothing was passed on for too long.
    Idle,
}

impl Stream {
    /// Carries it to its end.
    async fn run(mut self) -> Option<Notable> {
        let broken = match poll_fn(|cx| self.poll_head(cx)).await {
            Ok(response) => return self.respond(response).await,
            Err(broken) => broken,
        };
        let end = broken.end(false);
        self.break_server(&broken);
        match broken {
            Broken::Client(_) => {}
            Broken::Reset(reason) => {
                self.shared.reset_client(reason, |reason| self.respond.send_reset(reason))
            }
            Broken::NotAccepted => {
                self.shared.reset_client(Reason::REFUSED_STREAM, |reason| self.respond.send_reset(reason));
            }
            Broken::Refused(Side::Client, _) => {
                self.shared.reset_client(Reason::PROTOCOL_ERROR, |reason| self.respond.send_reset(reason));
            }
            Broken::Violated | Broken::Refused(Side::Server, _) => self.answer(StatusCode::BAD_GATEWAY, &end),
            Broken::Gone => self.answer(StatusCode::SERVICE_UNAVAILABLE, &end),
            Broken::Idle => self.answer(StatusCode::GATEWAY_TIMEOUT, &end),
        }
        self.account.exchange.close(end);
        broken.notable()
    }

    /// The final head, after the interim ones were passed on.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<RecvStream>, Broken>> {
        if let Poll::Ready(reason) = self.respond.poll_reset(cx) {
            return Poll::Ready(Err(Broken::Client(reason.ok())));
        }
        // A server that takes no more of the request may still respond.
        if let Poll::Ready(stop) = self.upload.poll(cx, &self.account)
            && let Some(broken) = Broken::of_upload(stop)
        {
            return Poll::Ready(Err(broken));
        }
        loop {
            match self.response.poll_informational(cx) {
                Poll::Ready(Some(Ok(interim))) => {
                    if let Err(broken) = self.pass_interim(interim) {
                        return Poll::Ready(Err(broken));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(Broken::of_server(&error, &self.shared)));
                }
                Poll::Ready(None) => break,
                Poll::Pending => return self.poll_quiet(cx, 0),
            }
        }
        let response = Pin::new(&mut self.response).poll(cx);
        response.map_err(|error| Broken::of_server(&error, &self.shared))
    }

    /// Pending, until nothing was passed on for too long.
    fn poll_quiet<T>(&mut self, cx: &mut Context<'_>, downloaded: u64) -> Poll<Result<T, Broken>> {
        let passed = self.upload.passed() + self.interim + downloaded;
        self.quiet.poll(cx, passed).map(|()| Err(Broken::Idle))
    }

    fn pass_interim(&mut self, interim: Response<()>) -> Result<(), Broken> {
        self.judge(&interim)?;
        self.interim += 1;
        self.respond.send_informational(interim).map_err(|_| Broken::Client(None))
    }

    fn judge<T>(&self, response: &Response<T>) -> Result<(), Broken> {
        judge_response(response.status(), response.headers(), self.account.most_fields)
            .map_err(|refusal| Broken::Refused(Side::Server, refusal))
    }

    /// Passes the response on, and what is left of the request.
    async fn respond(mut self, response: Response<RecvStream>) -> Option<Notable> {
        if let Err(broken) = self.judge(&response) {
            let end = broken.end(false);
            self.break_server(&broken);
            self.answer(StatusCode::BAD_GATEWAY, &end);
            self.account.exchange.close(end);
            return broken.notable();
        }
        let (head, source) = response.into_parts();
        let is_end = source.is_end_stream();
        let is_call = self.account.is_grpc && grpc::is_call(&head.headers);
        let exchange = &self.account.exchange;
        exchange.responded(head.status.as_u16());
        if let (true, Some(status)) = (is_end, grpc::status(&head.headers)) {
            exchange.grpc_status(status);
        }
        let Ok(sink) = self.respond.send_response(Response::from_parts(head, ()), is_end) else {
            let broken = Broken::Client(None);
            self.break_server(&broken);
            self.account.exchange.close(broken.end(true));
            return None;
        };
        let mut download = self.shared.download(source, sink);
        let ended = poll_fn(|cx| self.poll_both(cx, &mut download)).await;
        self.finish(ended, download, is_call)
    }

    /// Ready when both directions have ended: with the reason for which the server took no more of the request, if it did not.
    fn poll_both(
        &mut self,
        cx: &mut Context<'_>,
        download: &mut Content,
    ) -> Poll<Result<Option<Reason>, Broken>> {
        if let Poll::Ready(stop) = download.poll(cx, &self.account)
            && let Some(broken) = Broken::of_download(stop, &self.shared)
        {
            return Poll::Ready(Err(broken));
        }
        if let Poll::Ready(stop) = self.upload.poll(cx, &self.account) {
            if let Stop::Sink(reason) = &stop {
                self.unwanted = *reason;
            }
            if let Some(broken) = Broken::of_upload(stop) {
                return Poll::Ready(Err(broken));
            }
        }
        if self.upload.is_over() && download.is_over() {
            return Poll::Ready(Ok(self.unwanted));
        }
        self.poll_quiet(cx, download.passed())
    }

    fn finish(
        mut self,
        ended: Result<Option<Reason>, Broken>,
        mut download: Content,
        is_call: bool,
    ) -> Option<Notable> {
        let broken = match ended {
            Ok(unwanted) => {
                // RFC 9113, section 8.1: a response is not discarded because no more of the request is wanted. A reset
                // would discard what h2 has not sent; by itself h2 says NO_ERROR after that, to who has not ended a request.
                if let Some(reason) = unwanted.filter(|reason| *reason != Reason::NO_ERROR) {
                    self.shared.reset_client(reason, |reason| download.reset(reason));
                }
                self.account.exchange.close(End::COMPLETE);
                return None;
            }
            Err(broken) => broken,
        };
        let end = broken.end(true);
        self.break_server(&broken);
        match broken {
            Broken::Client(_) => {}
            Broken::Reset(reason) => self.shared.reset_client(reason, |reason| download.reset(reason)),
            // A client of gRPC takes the reset for INTERNAL, and the end of its own connection for UNAVAILABLE.
            Broken::NotAccepted | Broken::Gone if is_call => {
                download.fail_call(grpc::unavailable(why(&end)), &self.account);
            }
            Broken::NotAccepted | Broken::Violated | Broken::Gone | Broken::Refused(Side::Server, _) => {
                download.reset(Reason::INTERNAL_ERROR);
            }
            Broken::Idle => download.reset(Reason::CANCEL),
            Broken::Refused(Side::Client, _) => {
                self.shared.reset_client(Reason::PROTOCOL_ERROR, |reason| download.reset(reason));
            }
        }
        self.account.exchange.close(end);
        broken.notable()
    }

    /// Tells the server what the other side did.
    fn break_server(&mut self, broken: &Broken) {
        match broken {
            Broken::Client(reason) => {
                let reason = reason.filter(|_| !self.shared.is_client_gone());
                self.upload.reset(reason.unwrap_or(Reason::CANCEL));
            }
            Broken::Refused(Side::Client, _) | Broken::Idle => self.upload.reset(Reason::CANCEL),
            Broken::Refused(Side::Server, _) => {
                self.shared.reset_server(Reason::PROTOCOL_ERROR, |reason| self.upload.reset(reason));
            }
            Broken::Reset(_) | Broken::NotAccepted | Broken::Violated | Broken::Gone => {}
        }
    }

    fn answer(&mut self, status: StatusCode, end: &End) {
        answer(&mut self.respond, &self.account, status, end);
    }
}

/// Says what has failed, as the client understands it.
pub(super) fn answer(respond: &mut SendResponse<Portion>, account: &Account, status: StatusCode, end: &End) {
    let mut response = Response::new(());
    if account.is_grpc {
        *response.headers_mut() = grpc::unavailable(why(end));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(grpc::TYPE));
    } else {
        *response.status_mut() = status;
    }
    response.headers_mut().insert(SERVER, HeaderValue::from_static("remora"));
    account.exchange.answered(response.status().as_u16());
    if let Some(status) = grpc::status(response.headers()) {
        account.exchange.grpc_status(status);
    }
    // A client that is gone needs no answer.
    let _: Result<SendStream<Portion>, ::h2::Error> = respond.send_response(response, true);
}

/// The cause in the fewest words.
fn why(end: &End) -> &str {
    end.failure.as_deref().or(end.details.as_deref()).unwrap_or(end.flags)
}

/// How an exchange ends that another server may be asked for.
pub(super) fn not_accepted() -> End {
    Broken::NotAccepted.end(false)
}

/// How an exchange ends of which a message is refused: Envoy's downstream and upstream protocol errors.
pub(super) fn refused(side: Side, refusal: Refusal) -> End {
    let flags = match side {
        Side::Client => "DPE",
        Side::Server => "UPE",
    };
    End { flags, details: Some(format!("http2.{}", refusal.code()).into()), failure: None }
}

impl Broken {
    fn of_upload(stop: Stop) -> Option<Self> {
        match stop {
            Stop::Ended | Stop::Sink(_) => None,
            Stop::Source(error) => Some(Self::Client(error.reason().filter(|_| error.is_reset()))),
            Stop::Refused(refusal) => Some(Self::Refused(Side::Client, refusal)),
        }
    }

    fn of_download(stop: Stop, shared: &Shared) -> Option<Self> {
        match stop {
            Stop::Ended => None,
            Stop::Source(error) => Some(Self::of_server(&error, shared)),
            Stop::Sink(reason) => Some(Self::Client(reason)),
            Stop::Refused(refusal) => Some(Self::Refused(Side::Server, refusal)),
        }
    }

    fn of_server(error: &::h2::Error, shared: &Shared) -> Self {
        match error.reason() {
            Some(reason) if error.is_remote() && error.is_reset() => Self::Reset(reason),
            Some(_) if error.is_remote() => Self::NotAccepted,
            Some(_) if error.is_library() => Self::Violated,
            _ if shared.has_server_violated() => Self::Violated,
            _ => Self::Gone,
        }
    }

    /// In the words of Envoy's access log.
    fn end(&self, is_after_head: bool) -> End {
        let (flags, before, after) = match self {
            Self::Client(_) => ("DC", "downstream_remote_disconnect", "downstream_remote_disconnect"),
            Self::Reset(_) => (
                "UR",
                "upstream_reset_before_response_started{remote_reset}",
                "upstream_reset_after_response_started{remote_reset}",
            ),
            Self::NotAccepted => (
                "UR",
                "upstream_reset_before_response_started{remote_refused_stream_reset}",
                "upstream_reset_after_response_started{remote_refused_stream_reset}",
            ),
            Self::Violated => (
                "UPE",
                "upstream_reset_before_response_started{protocol_error}",
                "upstream_reset_after_response_started{protocol_error}",
            ),
            Self::Gone => (
                "UC",
                "upstream_reset_before_response_started{connection_termination}",
                "upstream_reset_after_response_started{connection_termination}",
            ),
            Self::Refused(side, refusal) => return refused(*side, *refusal),
            Self::Idle => ("SI", "stream_idle_timeout", "stream_idle_timeout"),
        };
        let details = if is_after_head { after } else { before };
        End { flags, details: Some(details.into()), failure: None }
    }

    fn notable(&self) -> Option<Notable> {
        match *self {
            Self::Refused(side, refusal) => Some(Notable::Refused(side, refusal)),
            Self::Idle => Some(Notable::Idle),
            Self::Client(_) | Self::Reset(_) | Self::NotAccepted | Self::Violated | Self::Gone => None,
        }
    }
}
