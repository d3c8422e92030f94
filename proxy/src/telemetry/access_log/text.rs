//! The text form of a line: Istio's default format.
//!
//! Invariant: a line has as many columns as any other, whatever peers say. In quotation marks, quotation marks, backslashes
//! and what is no visible character are escaped; outside of them a space becomes an underscore, as Envoy has it.

use super::form::{address, decimal, shown, time};
use super::line::{Line, milliseconds};
use super::texts::Field;

/// Appends the line and its newline.
pub(super) fn append(line: &Line, to: &mut Vec<u8>) {
    to.push(b'[');
    time(to, line.started);
    to.extend_from_slice(b"] \"");
    escaped(to, line.text(Field::Method));
    to.push(b' ');
    escaped(to, line.text(Field::Path));
    to.push(b' ');
    escaped(to, line.protocol());
    to.extend_from_slice(b"\" ");
    decimal(to, line.code().into());
    bare(to, Some(line.end.flags));
    let (code_details, termination_details) = line.details();
    bare(to, code_details);
    bare(to, termination_details);
    quoted(to, line.end.failure.as_deref());
    for number in [line.bytes_received, line.bytes_sent, milliseconds(line.duration)] {
        column(to, Some(number), decimal);
    }
    column(to, line.upstream_service_time(), decimal);
    for field in [Field::ForwardedFor, Field::UserAgent, Field::RequestId, Field::Authority] {
        quoted(to, line.text(field));
    }
    let server = line.way.server;
    to.extend_from_slice(b" \"");
    or_absent(to, server.map(|server| server.remote), address);
    to.push(b'"');
    column(to, line.way.cluster.as_ref(), shown);
    column(to, server.map(|server| server.local), address);
    column(to, Some(line.original_dst), address);
    column(to, Some(line.downstream_remote), address);
    bare(to, line.server_name());
    // The route's name.
    bare(to, None);
    to.push(b'\n');
}

fn or_absent<T>(to: &mut Vec<u8>, value: Option<T>, append: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => append(to, value),
        None => to.push(b'-'),
    }
}

fn column<T>(to: &mut Vec<u8>, value: Option<T>, append: impl FnOnce(&mut Vec<u8>, T)) {
    to.push(b' ');
    or_absent(to, value, append);
}

fn quoted(to: &mut Vec<u8>, text: Option<&str>) {
    to.extend_from_slice(b" \"");
    escaped(to, text);
    to.push(b'"');
}

/// A column without quotation marks.
fn bare(to: &mut Vec<u8>, text: Option<&str>) {
    to.push(b' ');
    let begin = to.len();
    escaped(to, text.filter(|text| !text.is_empty()));
    for byte in to.iter_mut().skip(begin).filter(|byte| **byte == b' ') {
        *byte = b'_';
    }
}

fn escaped(to: &mut Vec<u8>, text: Option<&str>) {
    or_absent(to, text, |to, text| {
        // What most texts are needs one look.
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
            to.extend_from_slice(text.as_bytes());
        } else {
            text.chars().for_each(|character| escape(to, character));
        }
    });
}

fn escape(to: &mut Vec<u8>, character: char) {
    match character {
        '"' => to.extend_from_slice(b"\\\""),
        '\\' => to.extend_from_slice(b"\\\\"),
        '\n' => to.extend_from_slice(b"\\n"),
        '\r' => to.extend_from_slice(b"\\r"),
        '\t' => to.extend_from_slice(b"\\t"),
        // Unicode's separators of lines and paragraphs end a line for some readers.
        hidden if hidden.is_control() || matches!(hidden, '\u{2028}' | '\u{2029}') => {
            let mut bytes = [0; char::MAX_LEN_UTF8];
            for byte in hidden.encode_utf8(&mut bytes).bytes() {
                shown(to, format_args!("\\x{byte:02x}"));
            }
        }
        visible => to.extend_from_slice(visible.encode_utf8(&mut [0; char::MAX_LEN_UTF8]).as_bytes()),
    }
}
