//! Which limits there are: all of them, by what they are for.

use std::time::Duration;

use runtime::listen;

use super::{Basis, Value};
use crate::admin::connections;
use crate::direction::Direction;
use crate::net::{leg, relay};
use crate::{app_metrics, app_probes, control_socket, detect, http, probe, telemetry};

/// One of them.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) value: Value,
    pub(super) unit: &'static str,
    pub(super) source: Source,
    pub(super) metrics: &'static [&'static str],
}

/// Where a limit comes from, and where it is told what it does.
pub(super) enum Source {
    /// An option, whose help tells.
    Option(&'static str),
    /// From others, and from what the process was given.
    Follows(&'static str),
    /// The program: a bound that nobody has a reason to move.
    Fixed(&'static str),
}
use Source::{Fixed, Follows, Option as By};

/// All of them.
pub(super) fn rows(basis: &Basis<'_>) -> Vec<Row> {
    [
        connections(basis),
        traffic(basis),
        http(basis),
        http2(basis),
        http2_fixed(),
        ends(basis),
        telling(basis),
        callers(basis),
        application(basis),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn count(number: impl Into<u64>, unit: &'static str, name: &'static str, source: Source) -> Row {
    Row { name, value: Value::Count(number.into()), unit, source, metrics: &[] }
}

fn bytes(number: Option<u64>, name: &'static str, source: Source) -> Row {
    Row { name, value: number.map_or(Value::None, Value::Bytes), unit: "bytes", source, metrics: &[] }
}

fn time(time: Duration, name: &'static str, source: Source) -> Row {
    Row { name, value: Value::Time(time), unit: "seconds", source, metrics: &[] }
}

impl Row {
    /// These show it.
    const fn seen_in(self, metrics: &'static [&'static str]) -> Self {
        Self { metrics, ..self }
    }

    /// 0 means that there is none.
    fn unless_zero(self) -> Self {
        if self.value == Value::Time(Duration::ZERO) { Self { value: Value::None, ..self } } else { self }
    }
}

/// How many connections are carried, and by what.
fn connections(basis: &Basis<'_>) -> Vec<Row> {
    let Basis { config, descriptors, capacity, budget } = *basis;
    let [inbound, outbound] = Direction::BOTH.map(|direction| capacity.of(direction));
    vec![
        count(config.workers as u64, "threads", "workers", By("--workers"))
            .seen_in(&["remora_worker_cpu_seconds_total"]),
        count(descriptors, "descriptors", "descriptors", Follows("Of the process, by its hard limit"))
            .seen_in(&[
                "remora_process_open_fds",
                "remora_refused_connections_total{reason=\"descriptors\"}",
            ]),
        count(
            capacity.both(),
            "connections",
            "connections",
            Follows("Carried at once in both directions, by descriptors and memory"),
        )
        .seen_in(CONNECTIONS),
        count(inbound, "connections", "inbound_connections", By("--max-inbound-connections"))
            .seen_in(CONNECTIONS),
        count(outbound, "connections", "outbound_connections", By("--max-outbound-connections"))
            .seen_in(CONNECTIONS),
        bytes(budget.limit(), "memory", By("--memory-limit")).seen_in(&[
            "remora_process_resident_memory_bytes",
            "remora_refused_connections_total{reason=\"memory\"}",
        ]),
        count(
            listen::QUEUE,
            "connections",
            "listen_queue",
            Fixed("Waiting to be accepted, for each listener of a worker, where net.core.somaxconn allows"),
        ),
    ]
}

const CONNECTIONS: &[&str] =
    &["remora_open_connections", "remora_refused_connections_total{reason=\"limit\"}"];

/// What is done for one of them.
fn traffic(basis: &Basis<'_>) -> Vec<Row> {
    let Basis { config, budget, .. } = *basis;
    let dial = &config.dial;
    let or_common = |timeout: Option<Duration>| timeout.unwrap_or(dial.connect_timeout);
    let (inbound, outbound) = (dial.inbound_connect_timeout, dial.outbound_connect_timeout);
    vec![
        bytes(budget.buffers(), "buffers", Follows("For slow readers; then less is read ahead"))
            .seen_in(&["remora_relay_buffered_bytes"]),
        bytes(Some(relay::CHUNK as u64), "read_ahead", Fixed("Held of each direction whose reader is slow"))
            .seen_in(&["remora_relay_buffered_bytes"]),
        time(dial.connect_timeout, "connect", By("--connect-timeout")).seen_in(TIMEOUTS),
        time(or_common(inbound), "inbound_connect", By("--inbound-connect-timeout")).seen_in(TIMEOUTS),
        time(or_common(outbound), "outbound_connect", By("--outbound-connect-timeout")).seen_in(TIMEOUTS),
        count(dial.connect_attempts, "endpoints", "connect_attempts", By("--connect-attempts"))
            .seen_in(&["remora_connect_retries_total"]),
        time(config.detection.detection_timeout, "detection", By("--detection-timeout"))
            .seen_in(&["remora_detected_connections_total{reason=\"incomplete\"}"]),
        count(
            config.detection.detection_memory,
            "destinations",
            "detection_memory",
            By("--detection-memory"),
        )
        .seen_in(&["remora_detected_connections_total{protocol=\"opaque\",reason=\"memory\"}"]),
        bytes(
            Some(detect::LIMIT as u64),
            "first_bytes",
            Fixed("Looked at to tell what a client speaks; it is opaque then, unless a request has begun"),
        )
        .seen_in(&["remora_detected_connections_total{reason=\"too_long\"}"]),
        count(config.relay.splice_pipes, "pipes", "splice_pipes", By("--splice-pipes"))
            .seen_in(&["remora_relay_pipes", "remora_relay_splices_refused_total"]),
    ]
}

/// What a request may be and take.
fn http(basis: &Basis<'_>) -> Vec<Row> {
    let settings = &basis.config.http;
    let http::h1::Settings { http_max_head, http_max_fields, http_max_chunk_extension, http_max_trailers } =
        settings.h1;
    let most = |number: u32, name, option| bytes(Some(number.into()), name, By(option));
    let pooled = http::pool::affordable(settings.http_pool_size, basis.descriptors);
    vec![
        most(http_max_head, "http_head", "--http-max-head")
            .seen_in(&["remora_http_refused_messages_total{reason=\"http1.head_too_long\"}"]),
        count(http_max_fields, "fields", "http_fields", By("--http-max-fields"))
            .seen_in(&["remora_http_refused_messages_total{reason=\"http1.too_many_fields\"}"]),
        most(http_max_chunk_extension, "http_chunk_extension", "--http-max-chunk-extension")
            .seen_in(&["remora_http_refused_messages_total{reason=\"http1.chunk_extension_too_long\"}"]),
        most(http_max_trailers, "http_trailers", "--http-max-trailers")
            .seen_in(&["remora_http_refused_messages_total{reason=\"http1.trailers_too_long\"}"]),
        time(settings.http_head_timeout, "http_head_time", By("--http-head-timeout"))
            .seen_in(&["remora_http_timeouts_total{timer=\"request_head_timeout\"}"]),
        time(settings.http_idle_timeout, "http_idle", By("--http-idle-timeout"))
            .seen_in(&["remora_http_timeouts_total{timer=\"idle_timeout\"}"]),
        time(settings.http_stream_idle_timeout, "http_stream_idle", By("--http-stream-idle-timeout"))
            .seen_in(&["remora_http_timeouts_total{timer=\"stream_idle_timeout\"}"]),
        count(pooled, "connections", "http_pool", By("--http-pool-size"))
            .seen_in(&["remora_http_pool_connections", "remora_http_pool_evictions_total"]),
        time(settings.http_pool_idle_timeout, "http_pool_idle", By("--http-pool-idle-timeout"))
            .seen_in(&["remora_http_pool_connections"]),
        count(
            http::h1::MOST_INTERIM,
            "responses",
            "http_interim",
            Fixed("Interim ones to a request at once; 20 more each second"),
        )
        .seen_in(&["remora_http_refused_messages_total{reason=\"http1.interim_flood\"}"]),
        time(
            http::h1::LINGER,
            "http_linger",
            Fixed("For a client to read the last answer and to end its side"),
        ),
        time(http::GRACE, "http_grace", Fixed("Without a request, when the listeners have closed")),
    ]
}

/// What HTTP/2 adds to that.
fn http2(basis: &Basis<'_>) -> Vec<Row> {
    let memory = Follows("For connections of HTTP/2, each of which has 128 KiB of it");
    let http::h2::Settings {
        http2_max_streams,
        http2_stream_window,
        http2_connection_window,
        http2_max_head,
        http2_max_fields,
        http2_ping_interval,
        http2_ping_timeout,
    } = basis.config.http.h2;
    let most = |number: u32, name, option| bytes(Some(number.into()), name, By(option));
    vec![
        bytes(basis.budget.shared(), "http2_memory", memory)
            .seen_in(&["remora_refused_connections_total{reason=\"memory\"}"]),
        count(http2_max_streams, "streams", "http2_streams", By("--http2-max-streams"))
            .seen_in(&["remora_http_refused_messages_total{reason=\"http2.too_many_streams\"}"]),
        most(http2_stream_window, "http2_stream_window", "--http2-stream-window")
            .seen_in(&["remora_relay_buffered_bytes"]),
        most(http2_connection_window, "http2_connection_window", "--http2-connection-window")
            .seen_in(&["remora_relay_buffered_bytes"]),
        most(http2_max_head, "http2_head", "--http2-max-head")
            .seen_in(&["remora_http_refused_messages_total{reason=\"http2.head_too_long\"}"]),
        count(http2_max_fields, "fields", "http2_fields", By("--http2-max-fields"))
            .seen_in(&["remora_http_refused_messages_total{reason=\"http2.too_many_fields\"}"]),
        time(http2_ping_interval, "http2_ping_interval", By("--http2-ping-interval"))
            .seen_in(&["remora_http_timeouts_total{timer=\"ping_timeout\"}"]),
        time(http2_ping_timeout, "http2_ping", By("--http2-ping-timeout"))
            .seen_in(&["remora_http_timeouts_total{timer=\"ping_timeout\"}"]),
    ]
}

/// What of HTTP/2 is fixed.
fn http2_fixed() -> Vec<Row> {
    vec![
        count(
            http::h2::MOST_SERVERS as u64,
            "connections",
            "http2_servers",
            Fixed(
                "To servers, of a client or of those who share them, that are kept without a stream beside those that have some",
            ),
        )
        .seen_in(&["remora_http2_server_connections"]),
        count(
            http::h2::MOST_EACH as u64,
            "connections",
            "http2_connections_to_a_server",
            Fixed("Where those that there are have no room for another stream; then it waits"),
        )
        .seen_in(&["remora_http2_server_connections"]),
        count(
            http::h2::MOST_ATTEMPTS,
            "times",
            "http2_attempts",
            Fixed("That a request is sent which servers do not accept; then its client is told so"),
        )
        .seen_in(&["remora_http_retries_total"]),
        count(
            http::h2::MOST_USELESS,
            "frames",
            "http2_useless_frames",
            Fixed("That carry nothing, at once and in all; useful ones and time allow more"),
        )
        .seen_in(&["remora_http_refused_messages_total"]),
        count(
            http::h2::MOST_BROKEN,
            "streams",
            "http2_broken_streams",
            Fixed("Of a peer that break a rule of HTTP/2, or that are too many, at once; good ones and time allow more. Then its connection ends"),
        )
        .seen_in(&["remora_http_refused_messages_total"]),
    ]
}

const TIMEOUTS: &[&str] = &["remora_connect_timeouts_total"];

/// What ends them, and the process.
fn ends(basis: &Basis<'_>) -> Vec<Row> {
    let Basis { config, .. } = *basis;
    vec![
        time(config.dead_peers.dead_peer_timeout, "dead_peer", By("--dead-peer-timeout"))
            .unless_zero()
            .seen_in(&["remora_dead_peers_total"]),
        time(
            leg::KEEPALIVE,
            "idle_dead_peer",
            Fixed("Until a peer that says nothing on an idle connection is dead"),
        ),
        time(config.relay.half_closed_timeout, "half_closed", By("--half-closed-timeout"))
            .seen_in(&["remora_relay_half_closed_resets_total"]),
        time(config.drain.drain_delay, "drain_delay", By("--drain-delay")).seen_in(&["remora_draining"]),
        time(config.drain.drain_deadline, "drain_deadline", By("--drain-deadline"))
            .seen_in(&["remora_draining", "remora_open_connections"]),
    ]
}

/// What is known and told about them.
fn telling(basis: &Basis<'_>) -> Vec<Row> {
    let Basis { config, .. } = *basis;
    vec![
        count(config.access_log.access_log_queue, "lines", "access_log_queue", By("--access-log-queue"))
            .seen_in(&["remora_access_log_dropped_total"]),
        count(config.telemetry.max_edges, "pairs", "edges", By("--max-edges"))
            .seen_in(&["remora_unnamed_edges_total"]),
        bytes(Some(config.trace.trace_queue.into()), "trace_queue", By("--trace-queue"))
            .seen_in(&["remora_spans_dropped_total"]),
        count(
            telemetry::OUTCOMES as u64,
            "outcomes",
            "outcomes",
            Fixed("Codes, flags and gRPC statuses between a pair that metrics tell apart; more are unknown"),
        ),
        bytes(
            Some(telemetry::LOGGED_PATH as u64),
            "logged_path",
            Fixed("Of a path in the access log; other texts get 256, and what is cut ends with …"),
        ),
        time(config.discovery.discovery_interval, "discovery", By("--discovery-interval"))
            .seen_in(&["remora_discovery_reloads_total"]),
        bytes(Some(config.discovery.max_discovery_bytes), "discovery_files", By("--max-discovery-bytes"))
            .seen_in(&["remora_discovery_bytes", "remora_discovery_reloads_total{result=\"failed\"}"]),
        time(
            telemetry::LOG_PERIOD,
            "log",
            Fixed("For one line about refused clients, by reason and direction"),
        )
        .seen_in(&["remora_refused_connections_total"]),
    ]
}

/// Who asks the proxy.
fn callers(basis: &Basis<'_>) -> Vec<Row> {
    let clients = basis.config.admin.clients;
    vec![
        count(
            clients.max_admin_connections,
            "connections",
            "admin_connections",
            By("--max-admin-connections"),
        )
        .seen_in(&["remora_admin_connections_ended_total{reason=\"too_many\"}"]),
        time(clients.admin_timeout, "admin_client", By("--admin-timeout")).seen_in(&[
            "remora_admin_connections_ended_total{reason=\"no_request\"}",
            "remora_admin_connections_ended_total{reason=\"unread\"}",
        ]),
        bytes(
            Some(runtime::admin::LONGEST_HEAD as u64),
            "admin_request",
            Fixed("Of a request's head on the ports for people and machines; the answer is 431 then"),
        ),
        bytes(
            Some(telemetry::exposition::PIECE as u64),
            "scrape_piece",
            Fixed("Of the proxy's metrics, made at once for a scraper"),
        ),
        count(connections::ROWS as u64, "rows", "connections_page", Fixed("Of a page of /connections")),
        count(
            probe::WAITING as u64,
            "probes",
            "captured_probes",
            Fixed("Waiting to be answered; more are reset"),
        )
        .seen_in(&["remora_captured_probes_refused_total"]),
        bytes(
            Some(control_socket::LONGEST_REQUEST),
            "control_request",
            Fixed("Of a request over the control socket"),
        ),
        time(control_socket::PATIENCE, "control_client", Fixed("For such a request, and for its answer")),
    ]
}

/// What the proxy asks of the application for others.
fn application(basis: &Basis<'_>) -> Vec<Row> {
    let Basis { config, .. } = *basis;
    vec![
        count(
            app_probes::AT_ONCE as u64,
            "calls",
            "application_probes",
            Fixed("At once of each of the application's probes; more wait, within their time"),
        ),
        count(
            config.app_metrics.max_application_scrapes,
            "scrapes",
            "scrapes",
            By("--max-application-scrapes"),
        )
        .seen_in(&["remora_application_scrapes_total{result=\"busy\"}"]),
        time(
            app_metrics::SCRAPE_LIMIT,
            "scrape",
            Fixed("Of a scraper that names none; the application gets nine tenths of it"),
        )
        .seen_in(&["remora_application_scrapes_total{result=\"timeout\"}"]),
        bytes(
            Some(app_metrics::TOTAL as u64),
            "scrape_size",
            Fixed("Passed on of the application's metrics"),
        )
        .seen_in(&["remora_application_scrapes_total{result=\"too_large\"}"]),
        bytes(
            Some(app_metrics::LINE as u64),
            "scrape_line",
            Fixed("Of them in one line; a longer one is left out"),
        )
        .seen_in(&["remora_application_scrapes_total{result=\"malformed\"}"]),
    ]
}
