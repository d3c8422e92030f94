//! Knowledge from a directory of YAML files: read, checked as a whole and put in force at once, and then looked at again
//! for as long as the proxy runs.
//!
//! It speaks to nobody. Invariant: a directory that turns bad, or away, changes nothing but a metric, the log and the
//! dump; at start, where nothing is in force yet, it ends the program.

mod directory;
mod document;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::compile::{Problem, compile};
use super::metrics::DiscoveryMetrics;
use super::{Snapshot, Store};
use directory::Text;

/// Where the configuration of discovery comes from.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Directory of YAML files with Services, Workloads, External and Forbidden hosts, looked at again and again; without
    /// one, every connection goes where its client sent it
    #[arg(long, env = "REMORA_DISCOVERY_DIRECTORY", value_name = "DIRECTORY")]
    pub discovery_directory: Option<PathBuf>,

    /// Time between two looks at the directory
    #[arg(long, env = "REMORA_DISCOVERY_INTERVAL", default_value = "2s", value_name = "DURATION",
          value_parser = runtime::duration::parse)]
    pub discovery_interval: Duration,

    /// Bytes that the directory's files may have together; what is in force takes several times as much memory
    #[arg(long, env = "REMORA_MAX_DISCOVERY_BYTES", default_value_t = 8 << 20, value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub max_discovery_bytes: u64,
}

/// A directory that cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It, or one of its files, cannot be read.
    #[error("discovery: {path}: {error}; give --discovery-directory a directory whose files can be read")]
    Unreadable {
        /// Directory or file.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// Its files say what cannot be meant.
    #[error("discovery: {0}")]
    Bad(Problems),
    /// It cannot be watched.
    #[error("discovery: a thread cannot be started: {0}; is the pod's limit of processes reached?")]
    Thread(io::Error),
}

/// All that is wrong with a directory; never empty.
#[derive(Debug)]
pub struct Problems(Vec<Problem>);

/// Problems that are told at once; the others are told when these are mended.
const TOLD: usize = 10;

/// What part of the interval a new state has to last before it counts.
const SETTLES: u32 = 4;

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().take(TOLD).enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "; " })?;
        }
        match self.0.len().checked_sub(TOLD) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "; and {more} more"),
        }
    }
}

/// A directory in force; it is watched until this is dropped.
#[derive(Debug)]
pub struct FileSource {
    store: Arc<Store>,
    _watched: Sender<()>,
}

impl FileSource {
    /// Puts the directory of `settings` in force, for a pod that has the addresses `own`. Without a directory there is
    /// no source.
    pub fn start(
        settings: &Settings,
        own: Vec<IpAddr>,
        metrics: &runtime::metrics::Metrics,
    ) -> Result<Option<Self>, DirectoryError> {
        let Some(directory) = settings.discovery_directory.clone() else { return Ok(None) };
        let (watcher, store) = Watcher::start(directory, settings.max_discovery_bytes, own, metrics)?;
        let (watched, end) = channel();
        let interval = settings.discovery_interval;
        thread::Builder::new()
            .name("discovery".to_owned())
            .spawn(move || watcher.watch(interval, &end))
            .map_err(DirectoryError::Thread)?;
        Ok(Some(Self { store, _watched: watched }))
    }

    /// What is in force.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }
}

/// The directory between two looks.
struct Watcher {
    directory: PathBuf,
    most_bytes: u64,
    own: Vec<IpAddr>,
    store: Arc<Store>,
    metrics: DiscoveryMetrics,
    /// The hash of what was looked at last, in force or not; none if it could not be read.
    seen: Option<String>,
    /// The hash of another state that was seen at the last look alone.
    pending: Option<String>,
    failure: Option<String>,
}

impl Watcher {
    /// Of a directory whose files may have so many bytes.
    fn start(
        directory: PathBuf,
        most_bytes: u64,
        own: Vec<IpAddr>,
        metrics: &runtime::metrics::Metrics,
    ) -> Result<(Self, Arc<Store>), DirectoryError> {
        let texts = directory::read(&directory, most_bytes)?;
        let hash = directory::hash(&texts);
        let first = parse(&texts, hash.clone(), &own, None)?;
        let ours = DiscoveryMetrics::default();
        ours.register(metrics);
        ours.started(&first, directory::size(&texts));
        tracing::info!(directory = %directory.display(), hash, "discovery from files in force");
        let store = Arc::new(Store::new(first));
        let watcher = Self {
            directory,
            most_bytes,
            own,
            store: Arc::clone(&store),
            metrics: ours,
            seen: Some(hash),
            pending: None,
            failure: None,
        };
        Ok((watcher, store))
    }

    fn watch(mut self, interval: Duration, end: &Receiver<()>) {
        let mut wait = interval;
        while end.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            self.look();
            wait = if self.pending.is_some() { interval / SETTLES } else { interval };
        }
    }

    /// Puts what is there now in force, if it is another one and good.
    fn look(&mut self) {
        let texts = match directory::read(&self.directory, self.most_bytes) {
            Ok(texts) => texts,
            Err(error) => {
                self.seen = None;
                return self.failed(&error);
            }
        };
        let hash = directory::hash(&texts);
        if self.seen.as_ref() == Some(&hash) {
            self.pending = None;
            return;
        }
        // Somebody may be writing just now, and a file that is half there may be a good one.
        if self.pending.as_ref() != Some(&hash) {
            self.pending = Some(hash);
            return;
        }
        self.pending = None;
        self.seen = Some(hash.clone());
        match parse(&texts, hash, &self.own, Some(&self.store.snapshot())) {
            Err(error) => self.failed(&error),
            Ok(next) => {
                self.failure = None;
                self.metrics.applied(&next, directory::size(&texts));
                let (hash, generation) = (next.hash().to_owned(), next.generation());
                self.store.replace(next);
                tracing::info!(hash, generation, "discovery from files in force");
            }
        }
    }

    /// One failure is told once, however often it is seen.
    fn failed(&mut self, error: &DirectoryError) {
        let failure = error.to_string();
        if self.failure.as_ref() == Some(&failure) {
            return;
        }
        self.metrics.failed();
        tracing::warn!(failure, hash = self.store.snapshot().hash(), "the last good discovery is kept");
        self.store.set_failure(Some(failure.clone()));
        self.failure = Some(failure);
    }
}

fn parse(
    texts: &[Text],
    hash: String,
    own: &[IpAddr],
    previous: Option<&Snapshot>,
) -> Result<Snapshot, DirectoryError> {
    let resources = document::parse(texts).map_err(|problems| DirectoryError::Bad(Problems(problems)))?;
    compile(resources, hash, own, previous).map_err(|problems| DirectoryError::Bad(Problems(problems)))
}

/// The resources of documents without their first line, for tests of what becomes of them.
#[cfg(test)]
pub(super) fn parsed(documents: &[&str]) -> super::resource::Resources {
    let documents: Vec<_> =
        documents.iter().map(|text| format!("apiVersion: remora.dev/v1alpha1\n{text}")).collect();
    let text = Text { file: "test.yaml".into(), text: documents.join("---\n") };
    document::parse(&[text]).expect("documents of good form")
}
