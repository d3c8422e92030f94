//! One line of an exposition, looked at as Prometheus' own parser would: a line that it refuses costs a scraper the whole
//! scrape, so it must not be passed on.
//!
//! It judges lines alone. What only a whole family shows (buckets that do not add up) is the application's business and
//! costs nothing but itself.

use crate::telemetry::exposition::Format;

/// What a line is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Line<'a> {
    /// Empty, or a comment that says nothing.
    Nothing,
    /// `# EOF`.
    End,
    /// `# TYPE`, `# HELP` or `# UNIT` of a family.
    Head(&'a str),
    /// A sample of this name.
    Sample(&'a str),
    /// Not a line of the format.
    Malformed,
}

const TYPES: [&str; 5] = ["counter", "gauge", "histogram", "summary", "untyped"];
const OPEN_METRICS_TYPES: [&str; 8] =
    ["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"];

/// Judges a line without its end.
pub(super) fn line(bytes: &[u8], format: Format) -> Line<'_> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Line::Malformed };
    if text.trim().is_empty() {
        return Line::Nothing;
    }
    // Prometheus takes NUL for the end of everything.
    if text.contains('\0') {
        return Line::Malformed;
    }
    if text.starts_with('#') {
        return comment(text, format);
    }
    Cursor { rest: text, format }.sample().map_or(Line::Malformed, Line::Sample)
}

fn comment(text: &str, format: Format) -> Line<'_> {
    if text.trim_end() == "# EOF" {
        return Line::End;
    }
    let keyword = text.strip_prefix('#').filter(|rest| rest.starts_with([' ', '\t'])).map(str::trim_start);
    let keyword = keyword.and_then(|rest| rest.split_once([' ', '\t']));
    let Some((keyword @ ("HELP" | "TYPE" | "UNIT"), rest)) = keyword else {
        // OpenMetrics has no comments.
        return if format == Format::Text { Line::Nothing } else { Line::Malformed };
    };
    let mut cursor = Cursor { rest: rest.trim_start_matches([' ', '\t']), format };
    let Some(name) = cursor.quoted().or_else(|| cursor.name()) else { return Line::Malformed };
    let said = match cursor.rest.strip_prefix([' ', '\t']) {
        Some(said) => said,
        None if cursor.rest.is_empty() && format == Format::Text => "",
        None => return Line::Malformed,
    };
    let good = match (keyword, format) {
        ("TYPE", Format::Text) => TYPES.contains(&said.trim()),
        ("TYPE", Format::OpenMetrics) => OPEN_METRICS_TYPES.contains(&said),
        ("UNIT", Format::OpenMetrics) => {
            said.is_empty() || name.strip_suffix(said).is_some_and(|rest| rest.ends_with('_'))
        }
        _ => true,
    };
    if good { Line::Head(name) } else { Line::Malformed }
}

struct Cursor<'a> {
    rest: &'a str,
    format: Format,
}

impl<'a> Cursor<'a> {
    /// `NAME{LABEL="VALUE",…} VALUE [TIMESTAMP]`, in OpenMetrics with an exemplar; or the name within the braces, quoted.
    fn sample(mut self) -> Option<&'a str> {
        let mut name = self.name();
        if self.format == Format::Text && name.is_some() {
            self.spaces();
        }
        let mut spaced = false;
        if self.rest.starts_with('{') {
            let quoted = self.labels()?;
            if name.is_some() && quoted.is_some() {
                return None;
            }
            name = name.or(quoted);
        } else if self.format == Format::Text {
            // They are behind us.
            spaced = true;
        }
        let name = name?;
        let good = match self.format {
            Format::Text => self.text_value(spaced),
            Format::OpenMetrics => self.open_metrics_value(),
        };
        good.then_some(name)
    }

    fn text_value(&self, spaced: bool) -> bool {
        let mut parts = self.rest.split([' ', '\t']).filter(|part| !part.is_empty());
        let value = parts.next().is_some_and(number);
        let timestamp = parts.next().is_none_or(|part| part.parse::<i64>().is_ok());
        (spaced || self.rest.starts_with([' ', '\t'])) && value && timestamp && parts.next().is_none()
    }

    fn open_metrics_value(&self) -> bool {
        let (sample, exemplar) = match self.rest.split_once(" # ") {
            Some((sample, exemplar)) => (sample, Some(exemplar)),
            None => (self.rest, None),
        };
        let exemplar_is_good = exemplar.is_none_or(|exemplar| {
            let mut cursor = Cursor { rest: exemplar, format: self.format };
            exemplar.starts_with('{') && cursor.labels() == Some(None) && numbers(cursor.rest)
        });
        numbers(sample) && exemplar_is_good
    }

    /// A metric's or a label's name.
    fn name(&mut self) -> Option<&'a str> {
        let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
        let end = self.rest.bytes().position(|byte| !part(byte)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at_checked(end)?;
        if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        self.rest = rest;
        Some(name)
    }

    /// From brace to brace; the quoted name, if there is one.
    fn labels(&mut self) -> Option<Option<&'a str>> {
        let mut quoted_name = None;
        self.rest = self.rest.strip_prefix('{')?;
        loop {
            self.spaces();
            if let Some(rest) = self.rest.strip_prefix('}') {
                self.rest = rest;
                return Some(quoted_name);
            }
            let quoted = self.quoted();
            let name = match quoted {
                Some(name) => name,
                None => self.name().filter(|name| !name.contains(':'))?,
            };
            self.spaces();
            if let Some(rest) = self.rest.strip_prefix('=') {
                self.rest = rest;
                self.spaces();
                self.quoted()?;
            } else if quoted.is_some() && quoted_name.is_none() {
                quoted_name = Some(name);
            } else {
                return None;
            }
            self.spaces();
            match self.rest.strip_prefix(',') {
                Some(rest) => self.rest = rest,
                None if self.rest.starts_with('}') => {}
                None => return None,
            }
        }
    }

    /// What is between quotes, escapes left as they are.
    fn quoted(&mut self) -> Option<&'a str> {
        let inner = self.rest.strip_prefix('"')?;
        let mut escaped = false;
        let end = inner.bytes().position(|byte| {
            let end = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            end
        })?;
        let (quoted, rest) = inner.split_at_checked(end)?;
        self.rest = rest.strip_prefix('"')?;
        Some(quoted)
    }

    fn spaces(&mut self) {
        if self.format == Format::Text {
            self.rest = self.rest.trim_start_matches([' ', '\t']);
        }
    }
}

/// ` VALUE` or ` VALUE TIMESTAMP`, with one space each.
fn numbers(text: &str) -> bool {
    let mut parts = text.split(' ');
    parts.next() == Some("")
        && parts.next().is_some_and(number)
        && parts.next().is_none_or(|part| number(part) && part.parse::<f64>().is_ok_and(f64::is_finite))
        && parts.next().is_none()
}

/// What Go reads as a number. Rust also reads `-nan`, which C's printf writes, and what is too large for a number.
fn number(text: &str) -> bool {
    let spells = |first: u8| text.bytes().any(|byte| byte.eq_ignore_ascii_case(&first));
    match text.parse::<f64>() {
        Ok(value) if value.is_nan() => !text.starts_with(['+', '-']),
        Ok(value) if value.is_infinite() => spells(b'i'),
        parsed => parsed.is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, Line, line};
    use Format::{OpenMetrics, Text};

    #[test]
    fn samples_of_both_formats() {
        for (text, name) in [
            ("up 1", "up"),
            ("http_requests_total{method=\"post\",code=\"200\"} 1027", "http_requests_total"),
            ("a:b{x=\"{},\\\"\\\\\"} +Inf", "a:b"),
            ("x{} NaN", "x"),
            ("x{a=\"ü\",} -1.5e-3", "x"),
            ("{\"my.metric\",a=\"b\"} 1", "my.metric"),
        ] {
            for format in [Text, OpenMetrics] {
                assert_eq!(line(text.as_bytes(), format), Line::Sample(name), "{text} {format:?}");
            }
        }
    }

    #[test]
    fn numbers_are_those_that_go_reads() {
        for value in ["-nan", "+NaN", "1e400", "-1e400", "0x10", "1_0", "", "Infinit"] {
            for format in [Text, OpenMetrics] {
                assert_eq!(line(format!("x {value}").as_bytes(), format), Line::Malformed, "{value}");
            }
        }
        for value in ["nan", "-inf", "+Infinity", "1e-400", "1.", ".5"] {
            for format in [Text, OpenMetrics] {
                assert_eq!(line(format!("x {value}").as_bytes(), format), Line::Sample("x"), "{value}");
            }
        }
        for timestamped in ["x 1 NaN", "x 1 +Inf", "x 1 # {} 1 NaN", "x 1 # {} 1 -Inf"] {
            assert_eq!(line(timestamped.as_bytes(), OpenMetrics), Line::Malformed, "{timestamped}");
        }
    }

    #[test]
    fn what_only_one_format_has() {
        for (text, format) in [
            ("x 1 1395066363000", Text),
            ("x { a = \"b\" , c=\"d\" }\t1  ", Text),
            ("x  1", Text),
            ("# a comment", Text),
            ("x 1 1395066363.123", OpenMetrics),
            ("x_bucket{le=\"1\"} 1 # {trace_id=\"a # {b\"} 0.5 1.25", OpenMetrics),
            ("# TYPE x info", OpenMetrics),
        ] {
            let other = if format == Text { OpenMetrics } else { Text };
            assert_ne!(line(text.as_bytes(), format), Line::Malformed, "{text}");
            if text != "x 1 1395066363000" {
                assert_eq!(line(text.as_bytes(), other), Line::Malformed, "{text}");
            }
        }
    }

    #[test]
    fn heads_name_their_family() {
        for (text, name) in [
            ("# TYPE up gauge", "up"),
            ("# HELP up Whether it is up.", "up"),
            ("# HELP up ", "up"),
            ("# TYPE \"my.metric\" counter", "my.metric"),
            ("# UNIT up_seconds seconds", "up_seconds"),
        ] {
            for format in [Text, OpenMetrics] {
                assert_eq!(line(text.as_bytes(), format), Line::Head(name), "{text}");
            }
        }
        for format in [Text, OpenMetrics] {
            assert_eq!(line(b"# EOF", format), Line::End);
            assert_eq!(line(b"", format), Line::Nothing);
            assert_eq!(line(b"# TYPE up thermometer", format), Line::Malformed);
        }
        assert_eq!(line(b"# UNIT up seconds", OpenMetrics), Line::Malformed);
        assert_eq!(line(b"#\tTYPE  up\tgauge ", Text), Line::Head("up"));
    }

    #[test]
    fn garbage_is_malformed() {
        for text in [
            &b"<html>"[..],
            b"up",
            b"up ",
            b"up one",
            b"up 1 2 3",
            b"1up 1",
            b"up{ 1",
            b"up{a} 1",
            b"up{a=b} 1",
            b"up{a=\"b} 1",
            b"up{a=\"b\" c=\"d\"} 1",
            b"up{\"a\"} 1",
            b"{} 1",
            b"{\"a\",\"b\"} 1",
            b"up{a=\"\xff\"} 1",
            b"up{a=\"\0\"} 1",
            b" # EOF",
            b"{\"up\":1}",
        ] {
            for format in [Text, OpenMetrics] {
                assert_eq!(line(text, format), Line::Malformed, "{}", String::from_utf8_lossy(text));
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_judged(bytes: Vec<u8>, text in "[a-z{}\"=\\\\,# 0-9.]{0,40}") {
            for format in [Text, OpenMetrics] {
                line(&bytes, format);
                line(text.as_bytes(), format);
            }
        }
    }
}
