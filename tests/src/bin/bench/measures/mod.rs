//! What is measured: one file for each, with the rows that it fills, and the order of the table.

mod binary;
mod bulk;
mod connections;
mod exchanges;
mod latency;
pub(crate) mod memory;
mod outbound;
mod overload;
mod scrape;
mod start;

use anyhow::Result;
use clap::ValueEnum;
use tests::netns::Netns;

use crate::pod::Pod;
use crate::protocol::Protocol;
use crate::way::{Direction, Way};

/// A row of the table.
#[derive(Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    /// Digits behind the point.
    pub(crate) digits: usize,
    /// What is wanted of ours; for the reader, nobody judges by it.
    pub(crate) goal: &'static str,
}

/// One value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) row: &'static Row,
    pub(crate) value: f64,
}

impl Row {
    const fn new(name: &'static str, unit: &'static str, digits: usize) -> Self {
        Self { name, unit, digits, goal: "" }
    }

    const fn wanted(self, goal: &'static str) -> Self {
        Self { goal, ..self }
    }

    fn reading(&'static self, value: f64) -> Reading {
        Reading { row: self, value }
    }
}

/// How much is done for a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Amount {
    /// Enough for a figure.
    Full,
    /// Enough to see that it works.
    Quick,
}

impl Amount {
    fn of(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => full / 10,
        }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Measure {
    /// Many bytes over few connections
    Bulk,
    /// New connections, each with one exchange
    Connections,
    /// Small exchanges as fast as they go
    Exchanges,
    /// Small exchanges at a fixed rate
    Latency,
    /// Memory, without and with idle connections
    Memory,
    /// HTTP/1.1 requests as fast as they go
    Http1Requests,
    /// HTTP/1.1 requests at a fixed rate
    Http1Latency,
    /// HTTP/1.1 requests of three times as many connections as keep everybody busy
    Http1Overload,
    /// Memory, without and with idle HTTP/1.1 connections
    Http1Memory,
    /// HTTP/1.1 requests as fast as they go, of the pod to a Service with 8 endpoints
    Http1Outbound,
    /// HTTP/2 requests as fast as they go, one at a time on each connection
    Http2Requests,
    /// HTTP/2 requests at a fixed rate
    Http2Latency,
    /// Memory, without and with idle HTTP/2 connections
    Http2Memory,
    /// HTTP/2 requests as fast as they go, of the pod to a Service with 8 endpoints
    Http2Outbound,
    /// Scrapes of metrics, and HTTP/1.1 requests beside them
    Scrape,
    /// Time from exec to the first answer
    Start,
    /// Size of the program
    Binary,
}

impl Measure {
    pub(crate) const ALL: [Self; 17] = [
        Self::Bulk,
        Self::Connections,
        Self::Exchanges,
        Self::Latency,
        Self::Memory,
        Self::Http1Requests,
        Self::Http1Latency,
        Self::Http1Overload,
        Self::Http1Memory,
        Self::Http1Outbound,
        Self::Http2Requests,
        Self::Http2Latency,
        Self::Http2Memory,
        Self::Http2Outbound,
        Self::Scrape,
        Self::Start,
        Self::Binary,
    ];

    /// What is spoken, where proxies differ in whether they carry it.
    pub(crate) fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Bulk | Self::Connections | Self::Exchanges | Self::Latency | Self::Memory => {
                Some(Protocol::Opaque)
            }
            Self::Http1Requests
            | Self::Http1Latency
            | Self::Http1Overload
            | Self::Http1Memory
            | Self::Http1Outbound
            | Self::Scrape => Some(Protocol::Http1),
            Self::Http2Requests | Self::Http2Latency | Self::Http2Memory | Self::Http2Outbound => {
                Some(Protocol::Http2)
            }
            Self::Start | Self::Binary => None,
        }
    }

    /// Which way it is about.
    pub(crate) fn direction(self) -> Direction {
        if matches!(self, Self::Http1Outbound | Self::Http2Outbound) {
            Direction::Outbound
        } else {
            Direction::Inbound
        }
    }

    /// On the direct path; none where it has nothing of the kind.
    pub(crate) fn direct(self, way: Way, amount: Amount) -> Result<Vec<Reading>> {
        match self {
            Self::Bulk => bulk::measure(way, amount),
            Self::Connections => connections::measure(way, amount),
            Self::Exchanges => exchanges::measure(way, Protocol::Opaque, amount),
            Self::Latency => latency::measure(way, Protocol::Opaque, amount),
            Self::Http1Requests => exchanges::measure(way, Protocol::Http1, amount),
            Self::Http1Latency => latency::measure(way, Protocol::Http1, amount),
            Self::Http1Overload => overload::measure(way, amount),
            Self::Http1Outbound => outbound::measure(way, Protocol::Http1, amount),
            Self::Http2Outbound => outbound::measure(way, Protocol::Http2, amount),
            Self::Http2Requests => exchanges::measure(way, Protocol::Http2, amount),
            Self::Http2Latency => latency::measure(way, Protocol::Http2, amount),
            Self::Memory
            | Self::Http1Memory
            | Self::Http2Memory
            | Self::Scrape
            | Self::Start
            | Self::Binary => Ok(Vec::new()),
        }
    }

    /// Of a proxy; `direct` is what the direct path had in the same round.
    pub(crate) fn proxied(
        self,
        client: &Netns,
        pod: &mut Pod,
        direct: &[Reading],
        amount: Amount,
    ) -> Result<Vec<Reading>> {
        match self {
            Self::Memory => memory::measure(client, pod, Protocol::Opaque, amount),
            Self::Http1Memory => memory::measure(client, pod, Protocol::Http1, amount),
            Self::Http2Memory => memory::measure(client, pod, Protocol::Http2, amount),
            Self::Scrape => scrape::measure(client, pod, amount),
            Self::Start => start::measure(client, pod),
            Self::Binary => binary::measure(pod),
            Self::Bulk
            | Self::Connections
            | Self::Exchanges
            | Self::Latency
            | Self::Http1Requests
            | Self::Http1Latency
            | Self::Http1Overload
            | Self::Http1Outbound
            | Self::Http2Requests
            | Self::Http2Latency
            | Self::Http2Outbound => {
                let way = Way { client, pod, direction: self.direction(), direct: false };
                let readings = self.direct(way, amount)?;
                let added = latency::added(&readings, direct);
                Ok(readings.into_iter().chain(added).collect())
            }
        }
    }
}

/// Restarts a pod's proxy and waits until it carries connections.
pub(crate) fn restart(client: &Netns, pod: &mut Pod) -> Result<()> {
    start::measure(client, pod).map(drop)
}
