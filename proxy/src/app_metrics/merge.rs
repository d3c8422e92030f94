//! The merged stream: the application's lines as they come, then the proxy's families.
//!
//! A family that both have becomes one: the proxy's samples are put into the application's, behind its head. Memory does not
//! grow with the application's text: one line, and one buffer.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::exposition::Exposition;
use super::line::{Line, line};
use super::negotiation::Format;
use crate::application::Answer;
use crate::telemetry::ScrapeResult;

/// What is sent at once.
const BUFFER: usize = 16 << 10;

/// No sample is longer.
pub(crate) const LINE: usize = 1 << 20;

/// The largest exporters of whole clusters say a fifth of this.
pub(crate) const TOTAL: usize = 512 << 20;

/// How long the end of a stream waits for a scraper that does not read.
const END_LIMIT: Duration = Duration::from_secs(5);

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
    /// Samples of the proxy's for the family whose head is going through.
    waiting: Option<(String, String)>,
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
            output: Vec::with_capacity(BUFFER),
            sender,
            malformed: None,
            ended: false,
        }
    }

    /// Passes the application's answer on, and tells how it went.
    pub(super) async fn application(&mut self, answer: Answer, deadline: Instant) -> (ScrapeResult, String) {
        if let Err(stopped) = self.pass(answer, deadline).await {
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

    async fn pass(&mut self, mut answer: Answer, deadline: Instant) -> Result<(), Stopped> {
        let (mut unfinished, mut overlong, mut total) = (Vec::new(), false, 0);
        while !self.ended {
            let frame = match timeout_at(deadline, answer.response.body_mut().frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => break,
                // What is left of a line may be half a number.
                Ok(Some(Err(error))) => return Err((ScrapeResult::Truncated, error.to_string())),
                Err(_) => return Err((ScrapeResult::Timeout, "not complete in time".to_owned())),
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
                    self.line(&unfinished, overlong);
                    unfinished.clear();
                    overlong = false;
                    self.flush(BUFFER, deadline).await?;
                }
            }
        }
        self.line(&unfinished, overlong);
        Ok(())
    }

    fn line(&mut self, bytes: &[u8], overlong: bool) {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let judged = if overlong { Line::Malformed } else { line(bytes, self.format) };
        match judged {
            _ if self.ended => return,
            Line::Nothing => return,
            Line::End => {
                self.ended = self.format == Format::OpenMetrics;
                return;
            }
            Line::Malformed => {
                let shown = String::from_utf8_lossy(bytes.get(..bytes.len().min(64)).unwrap_or_default());
                let first = format!("{shown:?}");
                self.malformed.get_or_insert(Malformed { first, count: 0 }).count += 1;
                return;
            }
            Line::Head(family) => {
                if self.waiting.as_ref().is_some_and(|(waiting, _)| waiting != family) {
                    self.join();
                }
                if let Some(own) = self.own.take(family) {
                    self.joined.push(own.name.clone());
                    self.waiting = Some((own.name, own.samples));
                }
            }
            Line::Sample(name) => {
                self.join();
                if let Some(own) = self.own.take_with_sample(name) {
                    self.output.extend_from_slice(own.head.as_bytes());
                    self.output.extend_from_slice(own.samples.as_bytes());
                    self.joined.push(own.name);
                }
            }
        }
        self.output.extend_from_slice(bytes);
        self.output.push(b'\n');
    }

    fn join(&mut self) {
        if let Some((_, samples)) = self.waiting.take() {
            self.output.extend_from_slice(samples.as_bytes());
        }
    }

    /// Sends what there is, where it is as much as `least`.
    async fn flush(&mut self, least: usize, deadline: Instant) -> Result<(), Stopped> {
        if self.output.len() < least || self.output.is_empty() {
            return Ok(());
        }
        let bytes = Bytes::from(std::mem::replace(&mut self.output, Vec::with_capacity(BUFFER)));
        match timeout_at(deadline, self.sender.send(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err((ScrapeResult::Abandoned, "the scraper has gone".to_owned())),
            Err(_) => Err((ScrapeResult::Timeout, "the scraper does not read".to_owned())),
        }
    }

    /// Ends the answer with the proxy's own metrics as they are now; the result of this scrape is among them.
    pub(super) async fn finish(mut self, open_metrics: &str) {
        self.join();
        let mut own = Exposition::new(open_metrics, self.format);
        for joined in &self.joined {
            own.take(joined);
        }
        self.output.extend_from_slice(own.text().as_bytes());
        // Nobody is left to be told.
        let _ = timeout(END_LIMIT, self.sender.send(self.output.into())).await;
    }
}
