//! What may differ behind a proxy, and why: the whole list. Everything else is to be the same, byte for byte.

use crate::client::Got;
use crate::message::{End, Message, fields, find, has_option, lines, name_and_value, status, values};
use crate::script::{Shape, Step};

/// Whose head it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// What is done to a field before heads are compared.
enum Rule {
    /// It may be there or not.
    Free,
    /// It has to be there, with whatever value.
    AnyValue,
    /// It may be missing, if the head and its value say so.
    FreeIf(fn(&[u8], &[u8]) -> bool),
    /// It may be missing, if the message's status says so.
    FreeFor(fn(u16) -> bool),
    /// Case does not count.
    AnyCase,
    /// It is added where it is missing.
    Added,
}

/// A difference that is right.
struct Difference {
    of: Side,
    field: &'static str,
    rule: Rule,
    #[expect(dead_code, reason = "for who reads the table")]
    reason: &'static str,
}

use Side::{Request, Response};

const HOP: &str = "RFC 9110, 7.6.1: it is about the connection, and each hop has its own";
const BEHIND: &str = "RFC 9110, 8.6, and RFC 9112, 6.1: such a response must not have it";

const DIFFERENCES: [Difference; 17] = [
    Difference {
        of: Request,
        field: "x-request-id",
        rule: Rule::Added,
        reason: "by it the lines of several proxies' logs are one request's; a client's own is kept",
    },
    Difference {
        of: Response,
        field: "date",
        rule: Rule::AnyValue,
        reason: "the ways are gone one after another",
    },
    Difference { of: Request, field: "connection", rule: Rule::Free, reason: HOP },
    Difference { of: Response, field: "connection", rule: Rule::Free, reason: HOP },
    Difference { of: Request, field: "keep-alive", rule: Rule::Free, reason: HOP },
    Difference { of: Response, field: "keep-alive", rule: Rule::Free, reason: HOP },
    Difference { of: Request, field: "proxy-connection", rule: Rule::Free, reason: HOP },
    Difference { of: Response, field: "proxy-connection", rule: Rule::Free, reason: HOP },
    Difference {
        of: Request,
        field: "te",
        rule: Rule::FreeIf(|_, value| !value.eq_ignore_ascii_case(b"trailers")),
        reason: "RFC 9110, 10.1.4: codings are for the next hop",
    },
    Difference { of: Response, field: "te", rule: Rule::Free, reason: HOP },
    Difference {
        of: Request,
        field: "upgrade",
        rule: Rule::FreeIf(|head, value| {
            value == b"h2c" || value.starts_with(b"TLS/") || !has_option(head, "upgrade")
        }),
        reason: "RFC 9113, 3.1, has abolished h2c, TLS is for the next hop, and RFC 9110, 7.8, wants it named by Connection",
    },
    Difference {
        of: Response,
        field: "upgrade",
        rule: Rule::FreeIf(|_, value| value == b"h2,h2c"),
        reason: HOP,
    },
    Difference {
        of: Request,
        field: "transfer-encoding",
        rule: Rule::AnyCase,
        reason: "there are servers that know one spelling",
    },
    Difference {
        of: Response,
        field: "transfer-encoding",
        rule: Rule::AnyCase,
        reason: "there are clients that know one spelling",
    },
    Difference {
        of: Response,
        field: "content-length",
        rule: Rule::FreeFor(|status| status < 200 || status == 204),
        reason: BEHIND,
    },
    Difference {
        of: Response,
        field: "transfer-encoding",
        rule: Rule::FreeFor(|status| status < 200 || status == 204),
        reason: BEHIND,
    },
    Difference {
        of: Request,
        field: "http2-settings",
        rule: Rule::Free,
        reason: "RFC 7540, 3.2.1: it belongs to the Upgrade that is left out",
    },
];

/// A head as it is compared. An empty line before a request belongs to nothing (RFC 9112, 2.2).
pub(crate) fn comparable(side: Side, head: &[u8]) -> Vec<String> {
    let status = status(head);
    let options: Vec<_> =
        values(head, "connection").flat_map(|value| value.split(|byte| *byte == b',')).collect();
    // RFC 9110, 7.6.1: what Connection names is for the next hop as well.
    let is_named = |name: &str| {
        let known = ["close", "keep-alive", "upgrade", "te"].contains(&name);
        !known && options.iter().any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    };
    let field = |line: &[u8]| {
        let text = line.escape_ascii().to_string();
        let (name, value) = name_and_value(line);
        let mut text = (!is_named(&name)).then_some(text)?;
        for difference in DIFFERENCES.iter().filter(|other| other.of == side && other.field == name) {
            match difference.rule {
                Rule::Free => return None,
                Rule::FreeIf(is_free) if is_free(head, value) => return None,
                Rule::FreeFor(is_free) if is_free(status) => return None,
                Rule::FreeIf(_) | Rule::FreeFor(_) | Rule::Added => {}
                Rule::AnyValue => text = format!("{name}: (any)"),
                Rule::AnyCase => text = format!("{name}: {}", value.to_ascii_lowercase().escape_ascii()),
            }
        }
        Some(text)
    };
    let first = lines(head).next().unwrap_or_default().escape_ascii().to_string();
    std::iter::once(first).chain(fields(head).filter_map(field)).collect()
}

/// How much of a message's body has to be the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Body {
    /// Every byte of the chunks' lines, too: the server's are known.
    Framed,
    /// The content and the trailers: a server divides into chunks as it likes.
    Content,
}

/// Where two messages differ.
pub(crate) fn of_messages(side: Side, body: Body, left: &Message, right: &Message) -> Vec<String> {
    let mut all = Vec::new();
    let (a, mut b) = (comparable(side, &left.head), comparable(side, &right.head));
    for added in DIFFERENCES.iter().filter(|other| other.of == side && matches!(other.rule, Rule::Added)) {
        if values(&left.head, added.field).next().is_none() {
            b.retain(|line| name_and_value(line.as_bytes()).0 != added.field);
        }
    }
    if a != b {
        all.push(format!("head: {a:#?} became {b:#?}"));
    }
    let is_old = lines(&left.head).next().is_some_and(|line| line.ends_with(b"HTTP/1.0"));
    let says_more =
        values(&left.head, "connection").count() == 0 && values(&right.head, "connection").count() > 0;
    if side == Side::Request && says_more && !is_old {
        all.push(format!("Connection was added: {b:#?}"));
    }
    if left.is_complete != right.is_complete {
        all.push(format!("complete: {} became {}", left.is_complete, right.is_complete));
    }
    // What was cut off may have been cut off elsewhere.
    let parts = match body {
        Body::Framed => vec![("body", &left.framed, &right.framed)],
        Body::Content => {
            vec![("content", &left.content, &right.content), ("trailers", &left.trailers, &right.trailers)]
        }
    };
    for (what, a, b) in parts {
        let same = if left.is_complete { a == b } else { a.starts_with(b) || b.starts_with(a) };
        if !same {
            all.push(format!("{what}: {} became {}", shown(a), shown(b)));
        }
    }
    all
}

/// Where two clients' findings differ.
pub(crate) fn of_clients(shape: &Shape, body: Body, left: &Got, right: &Got) -> Vec<String> {
    let mut all = Vec::new();
    let mut expected = left.clone();
    if is_old(shape) {
        // RFC 9110, 15.2: a client of HTTP/1.0 gets no interim response, whatever the server sends.
        expected.messages.retain(|message| !(100..200).contains(&status(&message.head)));
    }
    let left = &expected;
    // Each hop keeps its own connections: the proxy's may live on where the server has closed its own.
    let (a, b) = (&left.messages, &right.messages);
    let b = if right.was_kept && !left.was_kept { b.get(..a.len()).unwrap_or(b) } else { b };
    if left.was_kept && !right.was_kept {
        all.push("the connection was not kept".to_owned());
    }
    if a.len() != b.len() {
        let of = |all: &[Message]| all.iter().map(|message| status(&message.head)).collect::<Vec<_>>();
        all.push(format!("responses: {:?} became {:?}", of(a), of(b)));
    }
    for (number, (a, b)) in a.iter().zip(b).enumerate() {
        let found = of_messages(Response, body, a, b);
        all.extend(found.into_iter().map(|text| format!("response {number}: {text}")));
    }
    if left.raw != right.raw {
        all.push(format!("outside of messages: {} became {}", shown(&left.raw), shown(&right.raw)));
    }
    // After a message that was cut off the end may be a reset: that is as clear.
    let same = left.end == right.end || (shape.is_cut_off && right.end != End::Silent);
    if !same {
        all.push(format!("end: {:?} became {:?}", left.end, right.end));
    }
    all
}

fn is_old(shape: &Shape) -> bool {
    let first = shape.steps.first();
    matches!(first, Some(Step::Send(bytes) | Step::Cut(bytes)) if find(bytes, b" HTTP/1.0\r\n").is_some())
}

fn shown(bytes: &[u8]) -> String {
    let begin = bytes.get(..200).unwrap_or(bytes);
    format!("{} bytes \"{}\"", bytes.len(), begin.escape_ascii())
}
