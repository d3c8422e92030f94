//! How streams end that do not end well, and how that is told: to the client, and in logs.

use ::h2::server::SendResponse;
use ::h2::{Reason, SendStream};
use http::header::{CONTENT_TYPE, SERVER};
use http::{HeaderValue, Response, StatusCode};

use super::content::{Account, Stop};
use super::portion::Portion;
use super::server::Server;
use super::{Refusal, grpc};
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

/// How a stream ends that does not end well.
#[derive(Debug)]
pub(super) enum Broken {
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

impl Broken {
    /// What follows for the stream when no more of a request is passed on.
    pub(super) fn of_upload(stop: Stop) -> Option<Self> {
        match stop {
            Stop::Ended | Stop::Sink(_) => None,
            // h2 has refused content that is not as long as announced, and has told the client.
            Stop::Source(error) if error.is_library() && error.is_reset() => {
                Some(Self::Refused(Side::Client, Refusal::Malformed))
            }
            Stop::Source(error) => Some(Self::Client(error.reason().filter(|_| error.is_reset()))),
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
            Some(_) if error.is_library() => Self::Violated,
            _ if server.has_violated() => Self::Violated,
            _ => Self::Gone,
        }
    }

    /// Whether it is the server that has failed.
    pub(super) fn is_the_servers(&self) -> bool {
        match self {
            Self::Reset(_) | Self::NotAccepted | Self::Violated | Self::Gone | Self::Idle => true,
            Self::Refused(side, _) => *side == Side::Server,
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

    /// What the connection is told of it.
    pub(super) fn notable(&self) -> Option<Notable> {
        match *self {
            Self::Refused(side, refusal) => Some(Notable::Refused(side, refusal)),
            Self::Idle => Some(Notable::Idle),
            Self::Client(_) | Self::Reset(_) | Self::NotAccepted | Self::Violated | Self::Gone => None,
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

/// How an exchange ends of which a message is refused: Envoy's downstream and upstream protocol errors.
pub(super) fn refused(side: Side, refusal: Refusal) -> End {
    let flags = match side {
        Side::Client => "DPE",
        Side::Server => "UPE",
    };
    End { flags, details: Some(format!("http2.{}", refusal.code()).into()), failure: None }
}
