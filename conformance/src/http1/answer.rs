//! A reader of final responses, as far as it takes to find their ends. It believes whoever wrote them.

use crate::wire::{Bytes, Connection, Stop};

/// A final response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Answer {
    /// None of what is no response.
    pub(super) status: Option<u16>,
    /// Whether all of it has come.
    pub(super) is_whole: bool,
    /// Whether another one may follow.
    pub(super) persists: bool,
}

/// What is not even the beginning of a response.
const NONE: Answer = Answer { status: None, is_whole: false, persists: false };

/// The next one. Without content if HEAD was asked.
pub(super) async fn next<S: Bytes>(from: &mut Connection<S>, to_head: bool) -> Result<Answer, Stop> {
    loop {
        let Some(head) = head(from).await? else { return Ok(NONE) };
        let Some(status) = status(&head) else { return Ok(NONE) };
        if status != 101 && (100..200).contains(&status) {
            continue;
        }
        let length = if to_head { Length::Exact(0) } else { length(&head, status) };
        let persists = !has(&head, "connection", "close") && !matches!(length, Length::UntilEnd);
        let is_whole = content(from, length).await;
        return Ok(Answer { status: Some(status), is_whole, persists: persists && is_whole });
    }
}

/// How long content is.
#[derive(Clone, Copy)]
enum Length {
    Exact(usize),
    Chunked,
    UntilEnd,
}

/// None if something else has come.
async fn head<S: Bytes>(from: &mut Connection<S>) -> Result<Option<String>, Stop> {
    until(from, b"\r\n\r\n").await.map(Some).or_else(|stop| {
        // HTTP/0.9 answers without a head.
        if from.unread().is_empty() { Err(stop) } else { Ok(None) }
    })
}

async fn until<S: Bytes>(from: &mut Connection<S>, end: &[u8]) -> Result<String, Stop> {
    loop {
        let found = from.unread().windows(end.len()).position(|window| window == end);
        if let Some(at) = found {
            return Ok(String::from_utf8_lossy(&from.take(at + end.len())).into_owned());
        }
        from.fill().await?;
    }
}

fn status(head: &str) -> Option<u16> {
    let (version, rest) = head.split_once(' ')?;
    if !version.starts_with("HTTP/1.") {
        return None;
    }
    rest.get(..3)?.parse().ok()
}

fn values<'h>(head: &'h str, name: &str) -> impl Iterator<Item = &'h str> {
    let fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    fields.filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn has(head: &str, name: &str, word: &str) -> bool {
    values(head, name).flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
}

/// RFC 9112, section 6.3.
fn length(head: &str, status: u16) -> Length {
    if matches!(status, 101 | 204 | 304) {
        return Length::Exact(0);
    }
    if has(head, "transfer-encoding", "chunked") {
        return Length::Chunked;
    }
    let said = values(head, "content-length").find_map(|value| value.parse().ok());
    said.map_or(Length::UntilEnd, Length::Exact)
}

/// Reads it, and says whether it was all there.
async fn content<S: Bytes>(from: &mut Connection<S>, length: Length) -> bool {
    match length {
        Length::Exact(length) => skip(from, length).await.is_ok(),
        Length::Chunked => chunks(from).await.is_ok(),
        Length::UntilEnd => loop {
            from.take(usize::MAX);
            match from.fill().await {
                Ok(()) => {}
                Err(stop) => return matches!(stop, Stop::Ended),
            }
        },
    }
}

async fn skip<S: Bytes>(from: &mut Connection<S>, mut length: usize) -> Result<(), Stop> {
    loop {
        length -= from.take(length).len();
        if length == 0 {
            return Ok(());
        }
        from.fill().await?;
    }
}

async fn chunks<S: Bytes>(from: &mut Connection<S>) -> Result<(), Stop> {
    loop {
        let line = until(from, b"\r\n").await?;
        let size = line.split([';', '\r']).next().unwrap_or_default();
        // What is no number ends nothing.
        let size = usize::from_str_radix(size, 16).map_err(|_| Stop::Ended)?;
        if size == 0 {
            break;
        }
        skip(from, size + 2).await?;
    }
    while until(from, b"\r\n").await? != "\r\n" {}
    Ok(())
}
