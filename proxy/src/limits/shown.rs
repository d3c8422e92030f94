//! How the list is told: as a table or as JSON, on a page of its own and by the running proxy to who asks it.

use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use axum::extract::RawQuery;
use axum::response::IntoResponse;
use axum::{Json, Router, routing::get};
use clap::ValueEnum;

use super::Limit;

/// How a list is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// The list as text.
pub fn written(limits: &[Limit], output: Output) -> String {
    match output {
        Output::Json => {
            let json = serde_json::to_string_pretty(limits);
            format!("{}\n", json.expect("numbers and strings always have a JSON form"))
        }
        Output::Table => table(limits),
    }
}

fn table(limits: &[Limit]) -> String {
    let head = ["LIMIT", "VALUE", "OPTION", "ENVIRONMENT", "METRICS"].map(str::to_owned);
    let row = |Limit { name, value, option, environment, fixed, metrics, .. }: &Limit| {
        let option = option.unwrap_or(if *fixed { "fixed" } else { "-" });
        let metrics = if metrics.is_empty() { "-".to_owned() } else { metrics.join(" ") };
        let environment = environment.as_deref().unwrap_or("-");
        [(*name).to_owned(), value.to_string(), option.to_owned(), environment.to_owned(), metrics]
    };
    let rows: Vec<_> = std::iter::once(head).chain(limits.iter().map(row)).collect();
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let [wide_name, wide_value, wide_option, wide_environment, _] = widths;
    let line = |[name, value, option, environment, metrics]: &[String; 5]| {
        format!(
            "{name:wide_name$}  {value:>wide_value$}  {option:wide_option$}  {environment:wide_environment$}  {metrics}\n"
        )
    };
    rows.iter().map(line).collect()
}

/// `/limits`; with `?format=text` as a table.
pub(crate) fn page(limits: Vec<Limit>) -> Router {
    let answer = move |RawQuery(query): RawQuery| {
        std::future::ready(match query.as_deref() {
            Some(TABLE) => table(&limits).into_response(),
            Some(_) | None => Json(&limits).into_response(),
        })
    };
    Router::new().route(PATH, get(answer))
}

const PATH: &str = "/limits";
const TABLE: &str = "format=text";

/// The running proxy cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody answers, or no proxy does.
    #[error("port {port}: {error}; is the proxy running, and with the same --admin-port?")]
    Unreachable {
        /// Where it was asked.
        port: u16,
        /// Why not.
        error: io::Error,
    },
}

/// What the proxy says that has its port for administration here.
pub fn of_running(port: u16, output: Output) -> Result<String, AskError> {
    let addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), (Ipv6Addr::LOCALHOST, port).into()];
    ask(&addresses, output).map_err(|error| AskError::Unreachable { port, error })
}

fn ask(addresses: &[SocketAddr], output: Output) -> io::Result<String> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let mut stream = TcpStream::connect(addresses)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let query = match output {
        Output::Table => format!("?{TABLE}"),
        Output::Json => String::new(),
    };
    io::Write::write_all(&mut stream, format!("GET {PATH}{query} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(format!("{}\n", body.trim_end())),
        Some(_) | None => Err(io::Error::other("it does not tell its limits")),
    }
}
