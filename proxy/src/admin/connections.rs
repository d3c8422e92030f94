//! `/connections`: the connections that are being carried, by age and in pages, as JSON or as a table for people.
//!
//! Names are the access log's where it has them. Invariant: a page is bounded, so that neither a worker nor the kubelet's
//! probes wait for somebody who looks at ten thousand connections.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Instant;

use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use serde::Serialize;

use crate::direction::Direction;
use crate::telemetry::connections::{Connection, Connections};

/// Rows of a page at most: about half a megabyte, and a few milliseconds.
pub(crate) const ROWS: usize = 1000;

const USAGE: &str = "known are direction=inbound|outbound, limit=1..1000, after=ID, format=json|text";

/// The page.
pub(crate) fn page(connections: Connections) -> Router {
    let answer = move |RawQuery(query): RawQuery| {
        std::future::ready(match Query::parse(query.as_deref().unwrap_or_default()) {
            Ok(query) => query.answer(&connections),
            Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
        })
    };
    Router::new().route("/connections", get(answer))
}

/// What somebody wants to see.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Query {
    direction: Option<Direction>,
    limit: usize,
    after: u64,
    text: bool,
}

impl Query {
    fn parse(query: &str) -> Result<Self, String> {
        let mut parsed = Self { direction: None, limit: ROWS, after: 0, text: false };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let known = pair.split_once('=').and_then(|(key, value)| parsed.set(key, value));
            known.ok_or_else(|| format!("{pair:?} is no question of this page; {USAGE}"))?;
        }
        Ok(parsed)
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match (key, value) {
            ("direction", name) => {
                let known = Direction::BOTH.into_iter().find(|direction| direction.name() == name)?;
                self.direction = Some(known);
            }
            ("limit", number) => {
                self.limit = number.parse().ok().filter(|limit| (1..=ROWS).contains(limit))?
            }
            ("after", id) => self.after = id.parse().ok()?,
            ("format", "json") => self.text = false,
            ("format", "text") => self.text = true,
            _ => return None,
        }
        Some(())
    }

    fn answer(self, connections: &Connections) -> Response {
        let wanted = |connection: &Connection| {
            self.direction.is_none_or(|direction| direction == connection.direction)
        };
        let now = Instant::now();
        // One more than is shown tells whether there is another page.
        let mut page = connections.page(self.after, self.limit + 1, wanted);
        let more = page.len() > self.limit;
        page.truncate(self.limit);
        let rows = page.iter().map(|connection| Row::of(connection, now)).collect::<Vec<_>>();
        let next = rows.last().map(|row| row.id).filter(|_| more);
        if self.text {
            return text(&rows, next).into_response();
        }
        Json(Page { open: connections.len(), connections: rows, next }).into_response()
    }
}

/// A page.
#[derive(Serialize)]
struct Page {
    /// How many are open at all, in both directions.
    open: usize,
    connections: Vec<Row>,
    /// What to give for `after` to get the next page; null on the last one.
    next: Option<u64>,
}

/// A connection.
#[derive(Serialize)]
struct Row {
    id: u64,
    direction: &'static str,
    state: &'static str,
    start_time: String,
    duration: u64,
    downstream_remote_address: SocketAddr,
    original_destination: SocketAddr,
    upstream_cluster: Option<String>,
    upstream_host: Option<SocketAddr>,
    upstream_local_address: Option<SocketAddr>,
    bytes_received: u64,
    bytes_sent: u64,
    detected_protocol: Option<&'static str>,
    relay: Option<&'static str>,
}

impl Row {
    fn of(connection: &Connection, now: Instant) -> Self {
        let (started, since) = connection.started;
        let (bytes_received, bytes_sent) = connection.bytes();
        let server = connection.server();
        Self {
            id: connection.id(),
            direction: connection.direction.name(),
            state: connection.state(),
            start_time: humantime::format_rfc3339_millis(started).to_string(),
            duration: u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX),
            downstream_remote_address: connection.client.remote,
            original_destination: connection.original_dst,
            upstream_cluster: connection.cluster().map(|cluster| cluster.to_string()),
            upstream_host: server.map(|server| server.remote),
            upstream_local_address: server.map(|server| server.local),
            bytes_received,
            bytes_sent,
            detected_protocol: connection.detected().map(|detected| detected.protocol.name()),
            relay: connection.relay_mode().map(|mode| mode.name()),
        }
    }
}

fn text(rows: &[Row], next: Option<u64>) -> String {
    let mut text = String::new();
    let mut line = |columns: [&str; 10]| {
        let [id, direction, state, age, received, sent, protocol, relay, peer, way] = columns;
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{id:>8} {direction:8} {state:18} {age:>10} {received:>12} {sent:>12} {protocol:8} {relay:6} {peer} > {way}"
        );
    };
    line(["ID", "WAY", "STATE", "AGE", "RECEIVED", "SENT", "PROTOCOL", "RELAY", "PEER", "DESTINATION"]);
    for row in rows {
        let way = match row.upstream_host {
            Some(host) if host != row.original_destination => {
                format!("{} > {host}", row.original_destination)
            }
            Some(_) | None => row.original_destination.to_string(),
        };
        line([
            &row.id.to_string(),
            row.direction,
            row.state,
            &format!("{}.{:03}s", row.duration / 1000, row.duration % 1000),
            &row.bytes_received.to_string(),
            &row.bytes_sent.to_string(),
            row.detected_protocol.unwrap_or("-"),
            row.relay.unwrap_or("-"),
            &row.downstream_remote_address.to_string(),
            &way,
        ]);
    }
    if let Some(next) = next {
        let _ = writeln!(text, "there are more: ?format=text&after={next}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Direction, Query};

    #[test]
    fn questions_are_understood_and_others_named() {
        let default = Query::parse("").unwrap();
        assert_eq!(default, Query { direction: None, limit: 1000, after: 0, text: false });
        let query = Query::parse("direction=outbound&limit=10&after=7&format=text").unwrap();
        let wanted = Query { direction: Some(Direction::Outbound), limit: 10, after: 7, text: true };
        assert_eq!(query, wanted);
        for bad in [
            "direction=sideways",
            "limit=0",
            "limit=1001",
            "limit=-1",
            "after=",
            "after=99999999999999999999",
            "format=xml",
            "all",
            "limit=5&x=y",
            "%00",
        ] {
            let error = Query::parse(bad).unwrap_err();
            assert!(
                error.contains(bad.split('&').next_back().unwrap()) && error.contains("after=ID"),
                "{error}"
            );
        }
    }
}
