//! What is spoken between client and application, and its two ends.

use std::borrow::Cow;

use anyhow::Result;

use crate::http2;
use crate::wire::{Incoming, Messages};

/// What is spoken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    /// Something that no proxy knows: TCP for all of them.
    Opaque,
    /// HTTP/1.1, with connections that persist.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

impl Protocol {
    fn messages(self) -> Option<Messages> {
        match self {
            Self::Opaque => Some(Messages::Opaque),
            Self::Http1 => Some(Messages::Http1),
            Self::Http2 => None,
        }
    }
}

/// A client's end of a connection.
pub(crate) enum Asking {
    Messages(Messages, Incoming),
    Http2(http2::Asking),
}

impl Asking {
    /// Of a new connection.
    pub(crate) fn new(protocol: Protocol) -> Self {
        match protocol.messages() {
            Some(messages) => Self::Messages(messages, Incoming::default()),
            None => Self::Http2(http2::Asking::default()),
        }
    }

    /// The next request.
    pub(crate) fn request(&mut self) -> Cow<'static, [u8]> {
        match self {
            Self::Messages(messages, _) => messages.request().into(),
            Self::Http2(asking) => asking.request().into(),
        }
    }

    /// Takes what has come: whether the answer is whole with it, and what there is to be said.
    pub(crate) fn take(&mut self, came: &[u8]) -> Result<(bool, Vec<u8>)> {
        match self {
            Self::Messages(messages, answer) => {
                Ok((answer.take(came, |all| messages.is_response(all))?, Vec::new()))
            }
            Self::Http2(asking) => asking.take(came),
        }
    }
}

/// The application's end.
pub(crate) enum Answering {
    Messages(Messages, Incoming),
    Http2(http2::Answering),
}

impl Answering {
    /// Of a new connection.
    pub(crate) fn new(protocol: Protocol) -> Self {
        match protocol.messages() {
            Some(messages) => Self::Messages(messages, Incoming::default()),
            None => Self::Http2(http2::Answering::default()),
        }
    }

    /// Takes what has come: what there is to be said.
    pub(crate) fn take(&mut self, came: &[u8]) -> Result<Cow<'static, [u8]>> {
        Ok(match self {
            Self::Messages(messages, request) => {
                let is_whole = request.take(came, |all| messages.is_request(all))?;
                if is_whole { messages.response().into() } else { Cow::default() }
            }
            Self::Http2(answering) => answering.take(came)?.into(),
        })
    }
}
