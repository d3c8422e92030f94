//! The content of one message and its trailers, from one face to the other.
//!
//! What comes is taken from h2 at once, so that h2 never has many frames of a few bytes for one stream, and is passed on as
//! the reader has room; the sender gets credit for what was passed on, and not before. Invariant: what is passed on is what came, in order, and an end is
//! only passed on as the end that it was.

use std::sync::Arc;
use std::task::{Context, Poll};

use ::h2::{Reason, RecvStream, SendStream};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use runtime::metrics::types::gauge::Gauge;

use super::Refusal;
use super::face::Face;
use super::grpc::{self, Messages};
use super::head::{Most, judge_trailers};
use super::portion::Portion;
use crate::telemetry::connections::Side;
use crate::telemetry::exchange::Exchange;

/// Frames of fewer bytes that have come together are passed on together.
const MERGED: usize = 4096;

/// What content is counted in.
pub(super) struct Account {
    pub(super) exchange: Exchange,
    pub(super) is_grpc: bool,
    pub(super) most: Most,
}

/// Why nothing more is passed on.
#[derive(Debug)]
pub(super) enum Stop {
    /// All was.
    Ended,
    /// The sender has broken off.
    Source(::h2::Error),
    /// The reader has, for this reason, if it was a reset.
    Sink(Option<Reason>),
    /// The trailers may not be passed on.
    Refused(Refusal),
}

/// One direction of a stream.
pub(super) struct Content {
    /// Who sends.
    from: Side,
    source: RecvStream,
    sink: SendStream<Portion>,
    waiting: Waiting,
    trailers: Option<Box<HeaderMap>>,
    state: State,
    messages: Messages,
    passed: u64,
    /// Something has come.
    has_begun: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Content,
    Trailers,
    /// All has come, and not all was passed on.
    Complete,
    /// All was.
    Ended,
    /// It was broken off.
    Over,
}

impl Content {
    /// Between `from` and the other side. `waiting` counts what waits.
    pub(super) fn new(
        from: Side,
        source: RecvStream,
        sink: SendStream<Portion>,
        face: Arc<Face>,
        waiting: Gauge,
    ) -> Self {
        // The head has ended the message already.
        let state = if source.is_end_stream() { State::Ended } else { State::Content };
        let waiting = Waiting { first: Bytes::new(), others: BytesMut::new(), gauge: waiting, face };
        Self {
            from,
            source,
            sink,
            waiting,
            trailers: None,
            state,
            messages: Messages::default(),
            passed: 0,
            has_begun: false,
        }
    }

    /// Whether something was taken of it.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Where it comes from.
    pub(super) fn source(&mut self) -> &mut RecvStream {
        &mut self.source
    }

    /// What was not taken.
    pub(super) fn into_source(self) -> RecvStream {
        self.source
    }

    /// Whether nothing more will be passed on.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Ended | State::Over)
    }

    /// Whether all was passed on.
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Whether the reader does not take what has come.
    pub(super) fn is_blocked(&self) -> bool {
        self.waiting.len() > 0
    }

    /// How many bytes were passed on.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// Tells the reader that the stream is broken off.
    pub(super) fn reset(&mut self, reason: Reason) {
        self.state = State::Over;
        self.sink.send_reset(reason);
    }

    /// Ends a response to gRPC that the server did not end, after what has been passed on of it.
    pub(super) fn fail_call(&mut self, trailers: HeaderMap, account: &Account) {
        self.trailers = Some(Box::new(trailers));
        self.state = State::Over;
        // A client that is gone needs no end.
        let _: Stop = self.send_end(account);
    }

    /// Passes on what can be. Pending for ever after it was ready.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, account: &Account) -> Poll<Stop> {
        if self.is_over() {
            return Poll::Pending;
        }
        let stop = match self.sink.poll_reset(cx) {
            Poll::Ready(reason) => Stop::Sink(reason.ok()),
            Poll::Pending => match self.poll_pass(cx, account) {
                Poll::Ready(stop) => stop,
                Poll::Pending => return Poll::Pending,
            },
        };
        self.state = if matches!(stop, Stop::Ended) { State::Ended } else { State::Over };
        Poll::Ready(stop)
    }

    fn poll_pass(&mut self, cx: &mut Context<'_>, account: &Account) -> Poll<Stop> {
        loop {
            let more = match self.state {
                State::Content => self.poll_content(cx),
                State::Trailers => self.poll_trailers(cx, account),
                State::Complete | State::Ended | State::Over => return self.poll_send(cx, account),
            };
            match more {
                Poll::Ready(Ok(())) if self.waiting.len() < MERGED => {}
                Poll::Ready(Ok(())) => {
                    if let Poll::Ready(stop) = self.poll_send(cx, account) {
                        return Poll::Ready(stop);
                    }
                }
                Poll::Ready(Err(stop)) => return Poll::Ready(stop),
                Poll::Pending => return self.poll_send(cx, account),
            }
        }
    }

    /// Takes what has come.
    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        self.source.poll_data(cx).map(|data| match data {
            Some(Ok(bytes)) => {
                self.has_begun = true;
                if self.source.is_end_stream() {
                    self.state = State::Complete;
                }
                // What others wait before is copied anyway.
                let is_blocked = !bytes.is_empty() && self.waiting.len() == 0 && {
                    self.sink.reserve_capacity(bytes.len());
                    self.sink.capacity() == 0
                };
                self.waiting.push(bytes, is_blocked);
                Ok(())
            }
            Some(Err(error)) => Err(Stop::Source(error)),
            None => {
                self.has_begun = true;
                self.state = State::Trailers;
                Ok(())
            }
        })
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>, account: &Account) -> Poll<Result<(), Stop>> {
        self.source.poll_trailers(cx).map(|trailers| {
            self.state = State::Complete;
            let Some(trailers) = trailers.map_err(Stop::Source)? else { return Ok(()) };
            let length = self.waiting.face.seen.long_block(self.source.stream_id().as_u32());
            judge_trailers(&trailers, account.most, length).map_err(Stop::Refused)?;
            self.trailers = Some(Box::new(trailers));
            Ok(())
        })
    }

    /// Passes on what waits, and the end after it; ready when there is nothing more to be done.
    fn poll_send(&mut self, cx: &mut Context<'_>, account: &Account) -> Poll<Stop> {
        while self.waiting.len() > 0 {
            self.sink.reserve_capacity(self.waiting.len());
            let mut room = self.sink.capacity();
            if room == 0 {
                room = match self.sink.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(room))) => room,
                    Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Stop::Sink(None)),
                    Poll::Pending => return Poll::Pending,
                };
            }
            let bytes = self.waiting.take(room);
            self.count(&bytes, account);
            let is_end = self.state == State::Complete && self.waiting.len() == 0 && self.trailers.is_none();
            let flow = self.source.flow_control().clone();
            let portion =
                Portion::new(bytes, flow, self.waiting.face.ledger.clone(), self.waiting.gauge.clone());
            if self.sink.send_data(portion, is_end).is_err() {
                return Poll::Ready(Stop::Sink(None));
            }
            if is_end {
                return Poll::Ready(Stop::Ended);
            }
        }
        if self.state == State::Complete { Poll::Ready(self.send_end(account)) } else { Poll::Pending }
    }

    fn send_end(&mut self, account: &Account) -> Stop {
        let sent = match self.trailers.take() {
            Some(trailers) => {
                if let (Side::Server, Some(status)) = (self.from, grpc::status(&trailers)) {
                    account.exchange.grpc_status(status);
                }
                self.sink.send_trailers(*trailers)
            }
            None => self.sink.send_data(Portion::EMPTY, true),
        };
        sent.map_or(Stop::Sink(None), |()| Stop::Ended)
    }

    fn count(&mut self, bytes: &[u8], account: &Account) {
        self.passed += bytes.len() as u64;
        let begun = if account.is_grpc { self.messages.begun(bytes) } else { 0 };
        let exchange = &account.exchange;
        match self.from {
            Side::Client => {
                exchange.received(bytes.len());
                (0..begun).for_each(|_| exchange.request_message());
            }
            Side::Server => {
                exchange.sent(bytes.len());
                (0..begun).for_each(|_| exchange.response_message());
            }
        }
    }
}

/// What has come and was not passed on.
struct Waiting {
    first: Bytes,
    /// Copies, since a few bytes of h2's would keep the whole buffer in which they were read.
    others: BytesMut,
    gauge: Gauge,
    face: Arc<Face>,
}

impl Waiting {
    fn len(&self) -> usize {
        self.first.len() + self.others.len()
    }

    fn push(&mut self, bytes: Bytes, is_blocked: bool) {
        self.gauge.inc_by(bytes.len() as i64);
        self.face.ledger.hold(bytes.len());
        if is_blocked || self.len() > 0 {
            self.others.extend_from_slice(&bytes);
        } else {
            self.first = bytes;
        }
    }

    /// At most so many bytes from the front. They are counted until they have been sent.
    fn take(&mut self, most: usize) -> Bytes {
        if self.first.is_empty() {
            self.first = std::mem::take(&mut self.others).freeze();
        }
        self.first.split_to(most.min(self.first.len()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.gauge.dec_by(self.len() as i64);
        self.face.ledger.let_go(self.len());
    }
}
