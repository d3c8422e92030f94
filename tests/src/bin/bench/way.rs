//! The way of a client to an application: through a pod's proxy, or past it, into the pod or out of it. Whatever is measured is
//! measured on one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use tests::netns::Netns;

use crate::backend::Service;
use crate::endpoints;
use crate::pod::Pod;
use crate::process;

/// Where a way leads, as the pod sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Direction {
    /// From the client to the pod's application.
    Inbound,
    /// From the pod to the endpoints of a Service, which are where the client is otherwise.
    Outbound,
}

/// A way.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    /// What is not in a pod.
    pub(crate) client: &'a Netns,
    /// Whose proxy it is.
    pub(crate) pod: &'a Pod,
    /// Which of the two asks.
    pub(crate) direction: Direction,
    /// Whether it leads past the proxy.
    pub(crate) direct: bool,
}

/// What some work has taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Time of the clock.
    pub(crate) elapsed: Duration,
    /// Processor time of the proxy, where there is one on the way.
    pub(crate) proxy: Option<Duration>,
}

impl Way<'_> {
    /// The application's address.
    pub(crate) fn to(&self, service: Service) -> SocketAddr {
        match self.direction {
            Direction::Inbound => self.pod.address(service, self.direct),
            Direction::Outbound => endpoints::address(service, self.direct),
        }
    }

    /// Where who asks is.
    pub(crate) fn from(&self) -> &Netns {
        match self.direction {
            Direction::Inbound => self.client,
            Direction::Outbound => self.pod.netns(),
        }
    }

    /// Does `work` as who asks.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.from().run(work)?
    }

    /// The same, and tells what it has taken.
    pub(crate) fn cost<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<(Cost, T)> {
        let (used, begun) = (self.processor_time()?, Instant::now());
        let done = self.run(work)?;
        let elapsed = begun.elapsed();
        let proxy = self.processor_time()?.zip(used).map(|(now, then)| now.saturating_sub(then));
        Ok((Cost { elapsed, proxy }, done))
    }

    fn processor_time(&self) -> Result<Option<Duration>> {
        if self.direct {
            return Ok(None);
        }
        process::processor_time(self.pod.pid()?).map(Some)
    }
}

impl Cost {
    /// Microseconds of the proxy's processor time for each of `count`.
    pub(crate) fn micros_each(&self, count: usize) -> Option<f64> {
        self.proxy.map(|time| time.as_secs_f64() * 1e6 / count as f64)
    }

    /// So many in a second.
    pub(crate) fn rate(&self, count: usize) -> f64 {
        count as f64 / self.elapsed.as_secs_f64()
    }
}
