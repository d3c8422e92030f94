//! The snapshot in force, and who is told that it is another one.

use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde::{Serialize, Serializer};
use tokio::sync::Notify;

use super::resource::Resources;
use super::{Discovery, Snapshot, Target};
use crate::detect::Hint;
use crate::telemetry::edge::Edge;

/// A snapshot that can be replaced while it is read.
#[derive(Debug)]
pub struct Store {
    current: ArcSwap<Snapshot>,
    replaced: Notify,
    failure: Mutex<Option<String>>,
}

/// What is in force, for people.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dump {
    /// The hash of the content.
    hash: String,
    /// How many snapshots were in force, with this one.
    generation: u64,
    /// Why what is written down now is not in force.
    failure: Option<String>,
    /// What is in force.
    #[serde(flatten, serialize_with = "shared")]
    resources: Arc<Resources>,
}

fn shared<S: Serializer>(resources: &Arc<Resources>, serializer: S) -> Result<S::Ok, S::Error> {
    resources.serialize(serializer)
}

impl Store {
    /// `first` is in force.
    pub fn new(first: Snapshot) -> Self {
        Self { current: ArcSwap::from_pointee(first), replaced: Notify::new(), failure: Mutex::default() }
    }

    /// What is in force now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// From now on `next` is in force.
    pub fn replace(&self, next: Snapshot) {
        self.set_failure(None);
        self.current.store(Arc::new(next));
        self.replaced.notify_waiters();
    }

    /// The last change could not be put in force, or could.
    pub(super) fn set_failure(&self, failure: Option<String>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// Everything, for people.
    pub fn dump(&self) -> Dump {
        let snapshot = self.current.load();
        Dump {
            hash: snapshot.hash().to_owned(),
            generation: snapshot.generation(),
            failure: self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            resources: snapshot.resources(),
        }
    }

    /// A watch of the destination `to`.
    pub fn watch(self: &Arc<Self>, to: SocketAddr) -> Watch {
        let snapshot = self.current.load();
        let (target, generation) = (snapshot.find(to), snapshot.generation());
        Watch { target, generation, to, store: Arc::clone(self) }
    }
}

impl Discovery for Store {
    fn lookup(self: Arc<Self>, to: SocketAddr) -> Pin<Box<dyn Future<Output = Watch> + Send>> {
        Box::pin(std::future::ready(self.watch(to)))
    }

    fn inbound(&self, from: IpAddr, to: SocketAddr) -> Arc<Edge> {
        self.current.load().inbound(from, to)
    }

    fn declared(&self, to: SocketAddr) -> Option<Hint> {
        self.current.load().declared(to)
    }
}

/// A destination, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Watch {
    target: Target,
    generation: u64,
    to: SocketAddr,
    store: Arc<Store>,
}

impl Watch {
    /// What it is now.
    pub fn current(&mut self) -> &Target {
        self.refresh();
        &self.target
    }

    /// The same, without remembering it.
    pub fn now(&self) -> Target {
        let snapshot = self.store.current.load();
        if snapshot.generation() == self.generation { self.target.clone() } else { snapshot.find(self.to) }
    }

    /// Returns when another snapshot is in force than the one of the last look.
    pub async fn changed(&mut self) {
        loop {
            let mut replaced = pin!(self.store.replaced.notified());
            // A replacement between the look and the wait is not to be missed.
            replaced.as_mut().enable();
            if self.store.current.load().generation() != self.generation {
                return;
            }
            replaced.await;
        }
    }

    fn refresh(&mut self) {
        let snapshot = self.store.current.load();
        if snapshot.generation() != self.generation {
            self.generation = snapshot.generation();
            self.target = snapshot.find(self.to);
        }
    }
}
