//! The access log: one line on stdout for each request, when it is over, and for each connection that speaks no HTTP.
//!
//! Whoever makes a line also writes it, into memory: that costs less than to hand it over. A thread of its own takes many at
//! once to stdout, which is a pipe that its reader may leave full: then lines are dropped and counted, and neither traffic
//! nor the kubelet's probes nor signals wait.

mod form;
mod json;
mod line;
mod queue;
mod text;
mod texts;

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;

use super::metrics::Metrics;
pub(super) use line::{Exchanged, Line};
use queue::{Batch, Queue};
pub(crate) use texts::LONGEST_PATH;
pub(super) use texts::{Field, Texts};

/// How long lines are collected. A writer that wakes for each line costs 15 % of a short connection.
const COLLECT: Duration = Duration::from_millis(20);

/// Whether and how requests and connections are logged.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Format of the access log on stdout, one line for each request, or connection that speaks no HTTP
    #[arg(long, env = api::env::ACCESS_LOG, default_value = "json", value_enum, value_name = "FORMAT")]
    pub access_log: Format,

    /// Access-log lines that may wait for stdout, at 1 KiB each (longer ones count several times); more are dropped and
    /// counted
    #[arg(long, env = "REMORA_ACCESS_LOG_QUEUE", default_value_t = 4096, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub access_log_queue: u32,
}

/// Format of the access log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// One JSON object a line, with Istio's keys.
    Json,
    /// Istio's default format.
    Text,
    /// None.
    Off,
}

/// Takes lines; clones write to the same queue.
#[derive(Clone)]
pub struct AccessLog {
    writer: Option<Arc<Writer>>,
    metrics: Metrics,
}

/// The writer's end of the queue is open as long as this one.
struct Writer {
    append: Append,
    queue: Arc<Queue>,
}

/// Appends a line's form to what will be written.
type Append = fn(&Line, &mut Vec<u8>);

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Writes what is left in the queue.
#[must_use = "lines that are queued at exit are lost without it"]
pub struct Flush {
    done: Receiver<()>,
}

impl AccessLog {
    /// Starts the writer; `output` is stdout, or what a test reads.
    pub fn start(
        settings: &Settings,
        metrics: Metrics,
        output: impl Write + Send + 'static,
    ) -> io::Result<(Self, Flush)> {
        let (finished, done) = sync_channel(0);
        let append = match settings.access_log {
            Format::Json => json::append,
            Format::Text => text::append,
            Format::Off => return Ok((Self { writer: None, metrics }, Flush { done })),
        };
        let most = usize::try_from(settings.access_log_queue).unwrap_or(usize::MAX);
        let queue = Arc::new(Queue::new(most, COLLECT));
        let writer = Some(Arc::new(Writer { append, queue: Arc::clone(&queue) }));
        let counter = metrics.clone();
        thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            write_lines(&queue, output, &counter);
            drop(finished);
        })?;
        Ok((Self { writer, metrics }, Flush { done }))
    }

    /// Whether there is one.
    pub(super) fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Queues a line, which is only made if there is a log.
    pub(super) fn write(&self, line: impl FnOnce() -> Line) {
        thread_local! {
            static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let Some(writer) = &self.writer else { return };
        let is_queued = TEXT.with_borrow_mut(|text| {
            text.clear();
            (writer.append)(&line(), text);
            writer.queue.push(text)
        });
        if !is_queued {
            self.metrics.access_log_dropped(1);
        }
    }
}

impl Flush {
    /// Waits until everything queued has been written; false when `limit` was not enough, since nobody reads stdout.
    /// Every [`AccessLog`] has to be gone before.
    pub fn wait(self, limit: Duration) -> bool {
        self.done.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected)
    }
}

/// Until the queue is closed and empty.
fn write_lines(queue: &Queue, mut output: impl Write, metrics: &Metrics) {
    let mut written = Batch::default();
    while let Some(batch) = queue.next(written) {
        if let Err(error) = output.write_all(&batch.bytes).and_then(|()| output.flush()) {
            metrics.access_log_dropped(batch.lines);
            tracing::debug!(%error, "stdout does not take the access log");
        }
        written = batch;
    }
}

#[cfg(test)]
mod tests;
