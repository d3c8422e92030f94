//! How streams end that do not end well, and how that is told: to the client, and in logs.

use std::task::{Context, Poll, Waker};

use ::h2::server::SendResponse;
use ::h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_TYPE, SERVER};
use http::{HeaderValue, Response, StatusCode};

use super::content::{Account, Stop};
use super::meter::Violation;
use super::metered::Seen;
use super::portion::Portion;
use super::server::Server;
use super::{Refusal, grpc};
use crate::telemetry::Code;
use crate::telemetry::connections::Side;
use crate::telemetry::session::End;

/// What the connection tells of a stream that has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Notable {
    /// A message of this side was refused, here or by h2.
    Refused(Side, Refusal),
    /// Nothing was passed on for too long.
    Idle,
}

/// How a stream ends that does not end well.
#[derive(Debug)]
pub(super) enum Broken {
    /// The client has gone, or has broken off for this reason.
    Client(Option<Reason>),
    /// The server has broken off for this reason.
    Reset(Reason),
    /// The server has not accepted it, and another may.
    NotAccepted,
    /// The connection of this side was ended for what came over it; that is counted where the connection is.
    Left(Side, Code),
    /// The connection to the server is gone.
    Gone,
    /// A message of this side may not be passed on, or h2 has reset its stream.
    Refused(Side, Refusal),
    /// Nothing was passed on for too long.
    Idle,
}

impl Broken {
    /// What follows for the stream when no more of a request is passed on.
    pub(super) fn of_upload(stop: Stop) -> Option<Self> {
        match stop {
            Stop::Ended | Stop::Sink(_) => None,
            Stop::Source(error) => {
                let reason = error.reason().filter(|_| error.is_reset());
                Some(Self::of_h2(Side::Client, &error).unwrap_or(Self::Client(reason)))
            }
            Stop::Refused(refusal) => Some(Self::Refused(Side::Client, refusal)),
        }
    }

    /// What follows when no more of a response is.
    pub(super) fn of_download(stop: Stop, server: &Server) -> Option<Self> {
        match stop {
            Stop::Ended => None,
            Stop::Source(error) => Some(Self::of_server(&error, server)),
            Stop::Sink(reason) => Some(Self::Client(reason)),
            Stop::Refused(refusal) => Some(Self::Refused(Side::Server, refusal)),
        }
    }

    /// What a server has done.
    pub(super) fn of_server(error: &::h2::Error, server: &Server) -> Self {
        match error.reason() {
            Some(reason) if error.is_remote() && error.is_reset() => Self::Reset(reason),
            Some(_) if error.is_remote() => Self::NotAccepted,
            _ => Self::of_h2(Side::Server, error)
                .or_else(|| server.face.seen.left().map(|code| Self::Left(Side::Server, code)))
                .unwrap_or(Self::Gone),
        }
    }

    /// What h2 has found of this side, if that is it.
    fn of_h2(side: Side, error: &::h2::Error) -> Option<Self> {
        let reason = error.reason().filter(|_| error.is_library())?;
        Some(match error.is_reset() {
            true => Self::Refused(side, Refusal::of_stream(reason)),
            false => Self::Left(side, left_for(reason)),
        })
    }

    /// The same with whether a client that has gone was made to, which h2 tells only him who waits for its `content`.
    pub(super) fn with_cause(self, client: &Seen, content: &mut RecvStream) -> Self {
        if !matches!(self, Self::Client(_)) {
            return self;
        }
        if let Some(code) = client.left() {
            return Self::Left(Side::Client, code);
        }
        loop {
            match content.poll_data(&mut Context::from_waker(Waker::noop())) {
                // Nobody wants it any more.
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Self::of_h2(Side::Client, &error).unwrap_or(self),
                Poll::Ready(None) | Poll::Pending => return self,
            }
        }
    }

    /// Whether it is the server that has failed.
    pub(super) fn is_the_servers(&self) -> bool {
        match self {
            Self::Reset(_) | Self::NotAccepted | Self::Gone | Self::Idle => true,
            Self::Refused(side, _) | Self::Left(side, _) => *side == Side::Server,
            Self::Client(_) => false,
        }
    }

    /// In the words of Envoy's access log.
    pub(super) fn end(&self, is_after_head: bool) -> End {
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
            Self::Gone => (
                "UC",
                "upstream_reset_before_response_started{connection_termination}",
                "upstream_reset_after_response_started{connection_termination}",
            ),
            Self::Refused(side, refusal) => return End::refused(*side, refusal.code()),
            Self::Left(side, code) => return End::refused(*side, *code),
            Self::Idle => return End::idle(),
        };
        let details = if is_after_head { after } else { before };
        End { flags, details: Some(details.into()), failure: None }
    }

    /// What the connection is told of it.
    pub(super) fn notable(&self) -> Option<Notable> {
        match *self {
            Self::Refused(side, refusal) => Some(Notable::Refused(side, refusal)),
            Self::Idle => Some(Notable::Idle),
            Self::Client(_) | Self::Reset(_) | Self::NotAccepted | Self::Left(..) | Self::Gone => None,
        }
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
pub(super) fn why(end: &End) -> &str {
    end.failure.as_deref().or(end.details.as_deref()).unwrap_or(end.flags)
}

/// Why h2 has ended a connection with this code.
pub(super) fn left_for(reason: Reason) -> Code {
    match reason {
        // It judges a frame's length before the meter has enough of the frame to look at it.
        Reason::FRAME_SIZE_ERROR => Violation::FrameSize.code(),
        other => Refusal::of_connection(other).code(),
    }
}
