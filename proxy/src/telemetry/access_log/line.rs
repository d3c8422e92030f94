//! What a line of the access log records; how it looks is for [`json`](super::json) and [`text`](super::text).

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::texts::{Field, Texts};
use crate::detect::Detected;
use crate::direction::Direction;
use crate::telemetry::connections::{Connection, Way};
use crate::telemetry::end::End;

/// What is recorded of a connection or an exchange.
pub(in crate::telemetry) struct Line {
    pub(in crate::telemetry) started: SystemTime,
    pub(in crate::telemetry) duration: Duration,
    pub(in crate::telemetry) direction: Direction,
    pub(in crate::telemetry) downstream_remote: SocketAddr,
    pub(in crate::telemetry) original_dst: SocketAddr,
    pub(in crate::telemetry) way: Way,
    pub(in crate::telemetry) detected: Option<Detected>,
    pub(in crate::telemetry) bytes_received: u64,
    pub(in crate::telemetry) bytes_sent: u64,
    pub(in crate::telemetry) end: End,
    /// None of a connection.
    pub(in crate::telemetry) exchange: Option<Exchanged>,
}

/// What a connection does not have.
pub(in crate::telemetry) struct Exchanged {
    pub(in crate::telemetry) texts: Texts,
    pub(in crate::telemetry) protocol: &'static str,
    pub(in crate::telemetry) status: u16,
    pub(in crate::telemetry) upstream_service_time: Option<Duration>,
    pub(in crate::telemetry) grpc_status: Option<u32>,
}

impl Line {
    /// That of `connection`, which has lasted so long.
    pub(in crate::telemetry) fn of(connection: &Connection, duration: Duration, way: Way, end: End) -> Self {
        let (bytes_received, bytes_sent) = connection.bytes();
        Self {
            started: connection.started.0,
            duration,
            direction: connection.direction,
            downstream_remote: connection.client.remote,
            original_dst: connection.original_dst,
            way,
            detected: connection.detected().cloned(),
            bytes_received,
            bytes_sent,
            end,
            exchange: None,
        }
    }

    pub(super) fn text(&self, field: Field) -> Option<&str> {
        self.exchange.as_ref().and_then(|exchange| exchange.texts.get(field))
    }

    /// None where the request could not be read.
    pub(super) fn protocol(&self) -> Option<&'static str> {
        self.exchange.as_ref().map(|exchange| exchange.protocol).filter(|protocol| !protocol.is_empty())
    }

    /// 0 where there was no response.
    pub(super) fn code(&self) -> u16 {
        self.exchange.as_ref().map_or(0, |exchange| exchange.status)
    }

    pub(super) fn grpc_status(&self) -> Option<u32> {
        self.exchange.as_ref().and_then(|exchange| exchange.grpc_status)
    }

    pub(super) fn upstream_service_time(&self) -> Option<u64> {
        self.exchange.as_ref().and_then(|exchange| exchange.upstream_service_time).map(milliseconds)
    }

    /// `response_code_details`, which only exchanges have, and `connection_termination_details`, which only connections
    /// have.
    pub(super) fn details(&self) -> (Option<&str>, Option<&str>) {
        let details = self.end.details.as_deref();
        if self.exchange.is_some() { (details, None) } else { (None, details) }
    }

    pub(super) fn server_name(&self) -> Option<&str> {
        self.detected.as_ref()?.hello.as_ref()?.server_name.as_deref()
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
