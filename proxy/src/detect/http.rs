//! The beginning of HTTP: the preface of HTTP/2, or the request line of HTTP/1.
//!
//! It reads no header and judges no request: one that is wrong, and that somebody could take for HTTP, is HTTP, or nobody would refuse
//! it. The whole request line counts, since other protocols begin with a word and a space as well (`EHLO host`, `get key`).

use super::Found;

/// RFC 9113, section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Methods are words; the longest registered one has 17 letters.
const LONGEST_METHOD: usize = 64;

/// RFC 9112, section 2.3. Which versions there are is not asked here.
const VERSION: &[u8] = b"HTTP/";

/// Whether these are the first bytes of the preface, or all of them.
pub(super) fn is_preface(bytes: &[u8]) -> bool {
    PREFACE.starts_with(bytes)
}

/// Reads the beginning of a stream.
pub(super) fn read(bytes: &[u8]) -> Found {
    match begins(bytes, PREFACE) {
        Begins::Yes(_) => Found::Http2,
        Begins::Perhaps => Found::Begun,
        Begins::No => request_line(bytes),
    }
}

/// Whether what has begun like a request line, however long that will be, asks for a path or a URL.
pub(super) fn asks_for_a_path(bytes: &[u8]) -> bool {
    let bytes = without_empty_line(bytes);
    let method = bytes.iter().take_while(|byte| is_token(**byte)).count();
    let target = unblank(bytes.get(method..).unwrap_or_default());
    let is_url = target.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http"));
    method > 0 && (target.starts_with(b"/") || is_url)
}

/// RFC 9112, section 2.2: a server should ignore an empty line before a request, and may take a lone LF for an end of line.
fn without_empty_line(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\r\n").or_else(|| bytes.strip_prefix(b"\n")).unwrap_or(bytes)
}

/// RFC 9112, section 3: `method SP request-target SP HTTP-version CRLF`, or what a lenient reader takes for it.
fn request_line(bytes: &[u8]) -> Found {
    let bytes = without_empty_line(bytes);
    if bytes == b"\r" {
        return Found::Begun;
    }
    let method = bytes.iter().take_while(|byte| is_token(**byte)).count();
    if method > LONGEST_METHOD {
        return Found::Nothing;
    }
    match bytes.split_at(method) {
        (_, []) => Found::Begun,
        ([_, ..], [b' ' | b'\t', rest @ ..]) => target(unblank(rest)),
        _ => Found::Nothing,
    }
}

fn target(bytes: &[u8]) -> Found {
    // Bytes over 127 belong to no target, and servers take them.
    let target = bytes.iter().take_while(|byte| **byte > b' ' && **byte != 0x7f).count();
    match bytes.split_at(target) {
        (_, []) => Found::Begun,
        ([_, ..], [b' ' | b'\t', rest @ ..]) => version(unblank(rest)),
        _ => Found::Nothing,
    }
}

fn version(bytes: &[u8]) -> Found {
    let number = match begins(bytes, VERSION) {
        Begins::Yes(number) => number,
        Begins::Perhaps => return Found::Begun,
        Begins::No => return Found::Nothing,
    };
    let end = number.iter().position(|byte| *byte <= b' ' || *byte == 0x7f).unwrap_or(number.len());
    let ends = unblank(number.get(end..).unwrap_or_default());
    // Some take off whatever is blank before LF.
    match ends.iter().find(|byte| **byte != b'\r') {
        None => Found::Begun,
        Some(b'\n') => Found::Http1,
        Some(_) => Found::Nothing,
    }
}

/// Without the blanks at the beginning.
fn unblank(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    bytes.get(blanks..).unwrap_or_default()
}

/// Whether bytes begin with something: yes, and what follows; or as far as they go.
enum Begins<'a> {
    Yes(&'a [u8]),
    Perhaps,
    No,
}

fn begins<'a>(bytes: &'a [u8], with: &[u8]) -> Begins<'a> {
    match bytes.strip_prefix(with) {
        Some(rest) => Begins::Yes(rest),
        None if with.starts_with(bytes) => Begins::Perhaps,
        None => Begins::No,
    }
}

/// RFC 9110, section 5.6.2.
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a server has begun with a SETTINGS frame, as one of HTTP/2 does (RFC 9113, section 3.4).
pub fn is_http2_greeting(bytes: &[u8]) -> bool {
    // A length of entries of six bytes, at most 16,384; the type; no flags; no stream.
    matches!(bytes, [0, high, low, 4, 0, 0, 0, 0, 0, ..]
        if u16::from_be_bytes([*high, *low]).is_multiple_of(6) && *high <= 0x40)
}
