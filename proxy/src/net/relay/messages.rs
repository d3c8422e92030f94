//! Two legs between which messages are carried, by somebody who knows where they begin and end.
//!
//! It knows no message. Invariant: as for whole connections, what cannot be written breaks the leg that does not take it, and
//! whoever wrote waits for ever, while what that leg's peer has sent can still be read.

use std::future::pending;
use std::io::{self, IoSlice};
use std::time::Duration;

use super::buffer::{Ahead, Rest};
use super::content::Everything;
use super::flow::{Carried, Flow, accepted};
use super::half_closed::Progress;
use super::{Account, Broken, Content, Relay, RelayMode, Side, broken};
use crate::net::leg::Leg;

/// Content so short is copied behind its head, since to write two pieces costs the kernel more than one.
const SHORT: usize = 1024;

/// The two, for one exchange.
pub(crate) struct Messages<'a, A>(Carried<'a, A>);

/// What is left of a write.
#[must_use = "what is left has to be delivered"]
pub(crate) enum Unsent<'a> {
    /// Nothing.
    Nothing,
    /// Bytes that the kernel did not take.
    Rest(Rest<'a>),
    /// The leg is broken.
    Failed,
}

impl<'a, A: Account> Messages<'a, A> {
    /// Between `client` and `server`.
    pub(crate) fn new(relay: &'a Relay, client: &'a Leg, server: &'a Leg, account: &'a A) -> Self {
        Self(Carried { relay, client, server, account, progress: Progress::default() })
    }

    /// Writes what the kernel takes at once of what came from a side: a head, and content that came with it.
    pub(crate) fn write(&self, from: Side, mut head: Vec<u8>, content: &[u8]) -> Unsent<'a> {
        let mut beside = content;
        if content.len() <= SHORT {
            head.extend_from_slice(content);
            beside = &[];
        }
        let to = self.0.other_leg(from).stream();
        let written = if beside.is_empty() {
            to.try_write(&head)
        } else {
            to.try_write_vectored(&[IoSlice::new(&head), IoSlice::new(beside)])
        };
        let written = match accepted(written) {
            Ok(written) => written,
            Err(error) => {
                self.0.failed(from, &error);
                return Unsent::Failed;
            }
        };
        self.0.moved(written, RelayMode::Copy);
        if written == head.len() + beside.len() {
            return Unsent::Nothing;
        }
        self.0.progress.stall();
        let left = [
            head.get(written..).unwrap_or_default(),
            beside.get(written.saturating_sub(head.len())..).unwrap_or_default(),
        ];
        Unsent::Rest(Rest::new(&left.concat(), &self.0.relay.telemetry.copy.buffered))
    }

    /// Returns when what was left has been written; never, if it cannot be.
    pub(crate) async fn deliver(&self, from: Side, unsent: Unsent<'a>) {
        let mut rest = match unsent {
            Unsent::Nothing => return,
            Unsent::Failed => return pending().await,
            Unsent::Rest(rest) => rest,
        };
        if let Err(error) = self.flush(from, &mut rest).await {
            self.0.failed(from, &error);
            pending().await
        }
    }

    async fn flush(&self, from: Side, rest: &mut Rest<'a>) -> io::Result<()> {
        let to = self.0.other_leg(from);
        while !rest.is_empty() {
            to.writable().await?;
            self.0.moved(accepted(rest.write(to))?, RelayMode::Copy);
        }
        Ok(())
    }

    /// Returns when these bytes, which stay where they are until then, have been written; never, if they cannot be.
    pub(crate) async fn put(&self, from: Side, bytes: &[u8]) {
        if let Err(error) = self.put_all(from, bytes).await {
            self.0.failed(from, &error);
            pending().await
        }
    }

    async fn put_all(&self, from: Side, mut bytes: &[u8]) -> io::Result<()> {
        let to = self.0.other_leg(from);
        loop {
            let written = accepted(to.stream().try_write(bytes))?;
            self.0.moved(written, RelayMode::Copy);
            bytes = bytes.get(written..).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(());
            }
            self.0.progress.stall();
            to.writable().await?;
        }
    }

    /// Both sides speak something else from now on: carries everything to the end, beginning with what the client has said
    /// already.
    pub(crate) async fn switch(&self, mut early: Ahead<'_>) -> Result<(), Broken> {
        let both = async {
            let client = async {
                self.put(Side::Client, early.bytes()).await;
                early.consume(usize::MAX);
                Flow::new(&self.0, Side::Client, Everything::<true>).run().await
            };
            let server = Flow::new(&self.0, Side::Server, Everything::<true>).run();
            tokio::try_join!(client, server).map(drop)
        };
        tokio::select! {
            biased;
            ended = both => ended,
            broken = self.0.breaks() => Err(broken),
        }
    }

    /// Carries content until it is complete. It does not return when it cannot be written.
    pub(crate) fn content(
        &self,
        from: Side,
        content: impl Content,
    ) -> impl Future<Output = Result<(), Broken>> {
        Flow::new(&self.0, from, content).run()
    }

    /// Returns when a leg is broken that is not being read, or to which nothing can be written.
    pub(crate) async fn broken(&self) -> Broken {
        let Carried { client, server, progress, .. } = &self.0;
        tokio::select! {
            biased;
            error = broken(client, progress) => Broken::Client(error),
            error = broken(server, progress) => Broken::Server(error),
        }
    }

    /// A side has ended its stream: tells the other one.
    pub(crate) fn end(&self, side: Side) {
        match self.0.other_leg(side).end_writing() {
            Ok(()) => self.0.account.half_closed(side),
            Err(error) => self.0.failed(side, &error),
        }
    }

    /// Returns when nothing was moved for so long.
    pub(crate) async fn idle(&self, limit: Duration) {
        self.0.progress.watch(limit).await;
    }
}
