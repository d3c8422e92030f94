//! The text form of a line: Istio's default format.
//!
//! Invariant: a line has as many columns as any other, whatever peers say. In quotation marks, quotation marks, backslashes
//! and what is no visible character are escaped; outside of them a space becomes an underscore, as Envoy has it.

use std::fmt::{self, Display, Write};

use super::line::{Line, milliseconds};
use super::texts::Field;

/// Appends the line and its newline.
pub(super) fn append(line: &Line, to: &mut Vec<u8>) {
    write(line, &mut Utf8(to)).expect("memory takes all text");
}

fn write(line: &Line, to: &mut Utf8<'_>) -> fmt::Result {
    let (code_details, termination_details) = line.details();
    let server = line.way.server;
    write!(to, "[{}] \"", humantime::format_rfc3339_millis(line.started))?;
    quoted(to, line.text(Field::Method))?;
    to.write_char(' ')?;
    quoted(to, line.text(Field::Path))?;
    write!(to, " {}\" {} {} ", line.protocol().unwrap_or(ABSENT), line.code(), line.end.flags)?;
    bare(to, code_details)?;
    to.write_char(' ')?;
    bare(to, termination_details)?;
    to.write_str(" \"")?;
    quoted(to, line.end.failure.as_deref())?;
    write!(to, "\" {} {} {} ", line.bytes_received, line.bytes_sent, milliseconds(line.duration))?;
    shown(to, line.upstream_service_time())?;
    for field in [Field::ForwardedFor, Field::UserAgent, Field::RequestId, Field::Authority] {
        to.write_str(" \"")?;
        quoted(to, line.text(field))?;
        to.write_char('"')?;
    }
    to.write_str(" \"")?;
    shown(to, server.map(|server| server.remote))?;
    to.write_str("\" ")?;
    shown(to, line.way.cluster.as_ref())?;
    to.write_char(' ')?;
    shown(to, server.map(|server| server.local))?;
    write!(to, " {} {} ", line.original_dst, line.downstream_remote)?;
    bare(to, line.server_name())?;
    // The route's name.
    to.write_str(" -\n")
}

const ABSENT: &str = "-";

fn shown(to: &mut Utf8<'_>, value: Option<impl Display>) -> fmt::Result {
    match value {
        Some(value) => write!(to, "{value}"),
        None => to.write_str(ABSENT),
    }
}

fn quoted(to: &mut Utf8<'_>, text: Option<&str>) -> fmt::Result {
    text.unwrap_or(ABSENT).chars().try_for_each(|character| escaped(to, character))
}

/// Not in quotation marks.
fn bare(to: &mut Utf8<'_>, text: Option<&str>) -> fmt::Result {
    let text = text.filter(|text| !text.is_empty()).unwrap_or(ABSENT);
    text.chars().try_for_each(|character| match character {
        ' ' => to.write_char('_'),
        other => escaped(to, other),
    })
}

fn escaped(to: &mut Utf8<'_>, character: char) -> fmt::Result {
    match character {
        '"' => to.write_str("\\\""),
        '\\' => to.write_str("\\\\"),
        '\n' => to.write_str("\\n"),
        '\r' => to.write_str("\\r"),
        '\t' => to.write_str("\\t"),
        // Unicode's separators of lines and paragraphs end a line for some readers.
        hidden if hidden.is_control() || matches!(hidden, '\u{2028}' | '\u{2029}') => {
            let mut bytes = [0; char::MAX_LEN_UTF8];
            hidden.encode_utf8(&mut bytes).bytes().try_for_each(|byte| write!(to, "\\x{byte:02x}"))
        }
        visible => to.write_char(visible),
    }
}

/// Takes text where bytes are collected.
struct Utf8<'a>(&'a mut Vec<u8>);

impl Write for Utf8<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
