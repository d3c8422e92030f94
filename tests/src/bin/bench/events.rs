//! Readiness of many sockets: epoll, where each has a number.

use std::os::fd::AsFd;

use anyhow::{Context, Result, ensure};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tests::peer::PATIENCE;

/// At most so many events are taken at once.
const BATCH: usize = 256;

/// Who is ready: a list that is used again and again.
pub(crate) struct Events {
    epoll: Epoll,
    buffer: [EpollEvent; BATCH],
}

impl Events {
    pub(crate) fn new() -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("epoll")?;
        Ok(Self { epoll, buffer: [EpollEvent::empty(); BATCH] })
    }

    /// Reports under `number` for as long as there is something to read.
    pub(crate) fn on_input(&self, source: &impl AsFd, number: usize) -> Result<()> {
        self.add(source, number, EpollFlags::EPOLLIN)
    }

    /// Reports under `number` when something has changed, the end of connecting included.
    pub(crate) fn on_change(&self, source: &impl AsFd, number: usize) -> Result<()> {
        self.add(source, number, EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET)
    }

    fn add(&self, source: &impl AsFd, number: usize, flags: EpollFlags) -> Result<()> {
        self.epoll.add(source, EpollEvent::new(flags, number as u64)).context("epoll")
    }

    /// Waits until somebody is ready, for however long that takes, and fills `ready` with their numbers.
    pub(crate) fn wait(&mut self, ready: &mut Vec<usize>) -> Result<()> {
        self.take(ready, EpollTimeout::NONE)
    }

    /// The same, and it is a failure when nobody is for long.
    pub(crate) fn wait_for_answers(&mut self, ready: &mut Vec<usize>) -> Result<()> {
        self.take(ready, EpollTimeout::try_from(PATIENCE)?)?;
        ensure!(!ready.is_empty(), "no answer within {PATIENCE:?}");
        Ok(())
    }

    fn take(&mut self, ready: &mut Vec<usize>, timeout: EpollTimeout) -> Result<()> {
        let count = self.epoll.wait(&mut self.buffer, timeout).context("epoll")?;
        ready.clear();
        ready.extend(self.buffer.iter().take(count).filter_map(|event| usize::try_from(event.data()).ok()));
        Ok(())
    }
}
