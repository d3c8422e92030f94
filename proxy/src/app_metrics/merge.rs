//! The merged stream: the application's lines as they come, then the proxy's families.
//!
//! A family that both have becomes one: the proxy's samples are put into the application's, behind its head. Memory does not
//! grow with either's text: one line, and a piece that is made beside one that waits for the scraper.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::line::{Line, line};
use crate::application::Answer;
use crate::telemetry::ScrapeResult;
use crate::telemetry::exposition::{Exposition, Family, Format, PIECE, give_way};

/// No sample is longer.
pub(crate) const LINE: usize = 1 << 20;

/// The largest exporters of whole clusters say a fifth of this.
pub(crate) const TOTAL: usize = 512 << 20;

/// A response body that a task writes.
pub(super) struct Stream(mpsc::Receiver<Bytes>);

impl Stream {
    pub(super) fn channel() -> (mpsc::Sender<Bytes>, Self) {
        let (sender, receiver) = mpsc::channel(1);
        (sender, Self(receiver))
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// One merged answer that is being written.
pub(super) struct Merge {
    format: Format,
    /// The proxy's families that have not been joined with the application's.
    own: Exposition,
    joined: Vec<String>,
    /// The proxy's part of the family whose head is going through, and what of it has not been written.
    waiting: Option<Family>,
    output: Vec<u8>,
    sender: mpsc::Sender<Bytes>,
    malformed: Option<Malformed>,
    ended: bool,
}

struct Malformed {
    first: String,
    count: u64,
}

/// Why the application's part ended early.
type Stopped = (ScrapeResult, String);

impl Merge {
    pub(super) fn new(format: Format, own: Exposition, sender: mpsc::Sender<Bytes>) -> Self {
        Self {
            format,
            own,
            joined: Vec::new(),
            waiting: None,
            output: Vec::with_capacity(PIECE),
            sender,
            malformed: None,
            ended: false,
        }
    }

    /// Passes the application's answer on, and tells how it went.
    pub(super) async fn application(&mut self, answer: Answer, deadline: Instant) -> (ScrapeResult, String) {
        let stopped = match timeout_at(deadline, self.pass(answer)).await {
            Ok(passed) => passed.err(),
            Err(_) if self.output.len() >= PIECE => {
                Some((ScrapeResult::Timeout, "the scraper does not read".to_owned()))
            }
            Err(_) => Some((ScrapeResult::Timeout, "not complete in time".to_owned())),
        };
        if let Some(stopped) = stopped {
            return stopped;
        }
        if let Some(Malformed { first, count }) = &self.malformed {
            return (ScrapeResult::Malformed, format!("{count} lines are no metrics; the first: {first}"));
        }
        if self.format == Format::OpenMetrics && !self.ended {
            return (ScrapeResult::Truncated, "the text does not end with # EOF".to_owned());
        }
        (ScrapeResult::Complete, String::new())
    }

    async fn pass(&mut self, mut answer: Answer) -> Result<(), Stopped> {
        let (mut unfinished, mut overlong, mut total) = (Vec::new(), false, 0);
        while !self.ended {
            let frame = match answer.response.body_mut().frame().await {
                Some(Ok(frame)) => frame,
                None => break,
                // What is left of a line may be half a number.
                Some(Err(error)) => return Err((ScrapeResult::Truncated, error.to_string())),
            };
            let Ok(data) = frame.into_data() else { continue };
            total += data.len();
            if total > TOTAL {
                return Err((ScrapeResult::TooLarge, format!("more than {TOTAL} bytes")));
            }
            for part in data.split_inclusive(|byte| *byte == b'\n') {
                let complete = part.strip_suffix(b"\n");
                if unfinished.len() + part.len() > LINE {
                    overlong = true;
                    unfinished.truncate(64);
                } else if !overlong {
                    unfinished.extend_from_slice(complete.unwrap_or(part));
                }
                if complete.is_some() {
                    self.line(&unfinished, overlong).await?;
                    unfinished.clear();
                    overlong = false;
                }
            }
        }
        self.line(&unfinished, overlong).await
    }

    async fn line(&mut self, bytes: &[u8], overlong: bool) -> Result<(), Stopped> {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let judged = if overlong { Line::Malformed } else { line(bytes, self.format) };
        match judged {
            _ if self.ended => return Ok(()),
            Line::Nothing => return Ok(()),
            Line::End => {
                self.ended = self.format == Format::OpenMetrics;
                return Ok(());
            }
            Line::Malformed => {
                let shown = String::from_utf8_lossy(bytes.get(..bytes.len().min(64)).unwrap_or_default());
                let first = format!("{shown:?}");
                self.malformed.get_or_insert(Malformed { first, count: 0 }).count += 1;
                return Ok(());
            }
            Line::Head(family) => {
                if self.waiting.as_ref().is_some_and(|waiting| waiting.name != family) {
                    self.join().await?;
                }
                if let Some(own) = self.own.remove(family) {
                    self.joined.push(own.name.clone());
                    self.waiting = Some(own.without_head());
                }
            }
            Line::Sample(name) => {
                self.join().await?;
                if let Some(own) = self.own.remove_with_sample(name) {
                    self.joined.push(own.name.clone());
                    self.waiting = Some(own);
                    self.join().await?;
                }
            }
        }
        self.output.extend_from_slice(bytes);
        self.output.push(b'\n');
        self.send_from(PIECE).await
    }

    /// Writes what is waiting. Whoever stops it loses nothing.
    async fn join(&mut self) -> Result<(), Stopped> {
        while let Some(own) = &mut self.waiting {
            if !own.write(&mut self.output) {
                self.waiting = None;
            }
            self.send_from(PIECE).await?;
        }
        Ok(())
    }

    /// Sends what there is, where it is as much as `least`, when the scraper has taken what was sent before.
    async fn send_from(&mut self, least: usize) -> Result<(), Stopped> {
        if self.output.len() >= least {
            let gone = |_| (ScrapeResult::Abandoned, "the scraper has gone".to_owned());
            let room = self.sender.reserve().await.map_err(gone)?;
            room.send(std::mem::replace(&mut self.output, Vec::with_capacity(PIECE)).into());
            give_way().await;
        }
        Ok(())
    }

    /// Ends the answer with the proxy's own metrics as they are now; the result of this scrape is among them. A scraper that
    /// does not read is the server's business, which ends its connection.
    pub(super) async fn finish(mut self, mut own: Exposition) {
        for joined in &self.joined {
            own.remove(joined);
        }
        // Nobody is left to be told.
        if self.join().await.is_err() || self.send_from(1).await.is_err() {
            return;
        }
        for piece in own {
            if self.sender.send(piece).await.is_err() {
                return;
            }
            give_way().await;
        }
    }
}
