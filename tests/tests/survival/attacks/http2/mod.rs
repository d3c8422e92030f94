//! Of HTTP/2: the floods that have had names, streams that break rules, and frames that carry next to nothing.

mod floods;
mod servers;
mod short;
mod streams;

use super::peers::Part;
use super::{Attack, MOST};
use crate::frames::*;

const ANSWERED: &str = "\"response_code\":200,\"response_flags\":\"-\"";

/// What h2 sees by itself.
const TOO_MUCH: &str = "\"http2.enhance_your_calm\"";
const BROKEN: &str = "\"http2.protocol_error\"";

/// More than any flood may have.
const MANY: usize = 1_100;

fn answer() -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, OK)
}

fn get(stream: u32) -> Vec<u8> {
    get_with(stream, b"")
}

/// The same with more fields, as they are encoded.
fn get_with(stream: u32, fields: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, [GET, fields].concat())
}

fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, POST)
}

fn client(name: &'static str, says: Vec<u8>, told: &'static str) -> Attack {
    Attack {
        name,
        client: Part::says(leaving(&says)),
        server: Part::answers_last_frame(answer()),
        told,
        most: MOST,
    }
}

/// A block of fields in one frame after the other, which does not end.
fn endless(first: &[u8], part: &[u8], times: usize) -> Vec<u8> {
    let rest = frame(CONTINUATION, 0, 1, part).repeat(times);
    [frame(HEADERS, END_STREAM, 1, first), rest].concat()
}

fn bomb(first: &[u8]) -> Vec<u8> {
    let block = [first, &long_field("cookie"), &[LATEST; 12_000]].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)
}

/// A field that fills a frame.
fn full_field() -> Vec<u8> {
    [&[0, 1, b'x', 0x7f, 0x81, 0x7c], &[b'v'; 16_000][..]].concat()
}

/// Each on a stream of its own.
fn on_each(count: usize, frames: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count as u32).flat_map(|number| frames(2 * number + 1)).collect()
}
