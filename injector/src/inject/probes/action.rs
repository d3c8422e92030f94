//! What a handler asks for, and how the proxy's table says it.
//!
//! Only what the proxy can do gets an entry: a table that it could not read would keep the pod from starting.

use serde_json::{Map, Value};

use crate::inject::pod::name_of;
use crate::inject::reason::quoted;

/// How the application is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Http,
    Https,
    Tcp,
    Grpc,
}

/// A call over the network.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) kind: Kind,
    pub(super) port: u16,
    /// Where that is not the pod itself.
    pub(super) host: Option<String>,
    /// The handler as it was, under its name, with a number for a port and without nulls.
    pub(super) entry: Value,
}

/// The proxy asks for no longer path.
const PATH_LENGTH: usize = 8192;

impl Kind {
    pub(super) const HTTP_GET: &str = "httpGet";
    const TCP_SOCKET: &str = "tcpSocket";
    const GRPC: &str = "grpc";

    /// The kind of handler that a field holds; what uses no network is none.
    pub(super) fn of_field(field: &str) -> Option<Self> {
        match field {
            Self::HTTP_GET => Some(Self::Http),
            Self::TCP_SOCKET => Some(Self::Tcp),
            Self::GRPC => Some(Self::Grpc),
            _ => None,
        }
    }
}

impl Action {
    /// What a handler of this container asks for, or why that cannot be told; nothing where it uses no network, or is
    /// not what the API server takes.
    pub(super) fn of(handler: &Value, container: &Value) -> Option<Result<Self, String>> {
        let mut kinds = handler.as_object()?.iter().filter_map(|(field, value)| {
            let fields = value.as_object()?;
            Some((field, Kind::of_field(field)?, fields))
        });
        let (field, kind, fields) = kinds.next()?;
        if kinds.next().is_some() {
            return None;
        }
        Some(Self::new((field, kind, fields), container))
    }

    fn new(
        (field, kind, fields): (&str, Kind, &Map<String, Value>),
        container: &Value,
    ) -> Result<Self, String> {
        let port = port(fields.get("port").unwrap_or(&Value::Null), container)?;
        let mut fields = fields.clone();
        fields.retain(|_, value| !value.is_null());
        fields.insert("port".to_owned(), port.into());
        let kind = if kind == Kind::Http { http(&fields)? } else { kind };
        for text in ["path", "host", "service"] {
            if fields.get(text).is_some_and(|value| !value.is_string()) {
                return Err(stays(format!("its {text} is not text")));
            }
        }
        let host = fields.get("host").and_then(Value::as_str).filter(|host| !host.is_empty());
        let host = host.map(ToOwned::to_owned);
        let entry = Value::Object(Map::from_iter([(field.to_owned(), Value::Object(fields))]));
        Ok(Self { kind, port, host, entry })
    }
}

fn http(fields: &Map<String, Value>) -> Result<Kind, String> {
    if fields.get("path").and_then(Value::as_str).is_some_and(|path| path.len() > PATH_LENGTH) {
        return Err(stays(format!("its path is longer than {PATH_LENGTH} bytes")));
    }
    for header in fields.get("httpHeaders").and_then(Value::as_array).into_iter().flatten() {
        let value = header.get("value").map_or(Some(""), Value::as_str);
        if !is_token(name_of(header)) || !value.is_some_and(is_header_value) {
            return Err(stays(format!("its header {} cannot be sent", quoted(name_of(header)))));
        }
    }
    let scheme = fields.get("scheme").map_or(Some(""), Value::as_str);
    match scheme {
        Some("" | "HTTP") => Ok(Kind::Http),
        Some("HTTPS") => Ok(Kind::Https),
        Some(other) => Err(stays(format!("its scheme {} is neither HTTP nor HTTPS", quoted(other)))),
        None => Err(stays("its scheme is not text".to_owned())),
    }
}

fn stays(why: String) -> String {
    format!("stays as it is: {why}")
}

/// A number, a number as text, or the name of a port of the same container, as the kubelet resolves it.
fn port(wanted: &Value, container: &Value) -> Result<u16, String> {
    let in_range = |number: &u16| *number != 0;
    let number = |value: &Value| value.as_u64().and_then(|number| u16::try_from(number).ok());
    let Some(name) = wanted.as_str() else {
        let problem = || stays(format!("its port {} is not one", quoted(&wanted.to_string())));
        return number(wanted).filter(in_range).ok_or_else(problem);
    };
    let declared = container.get("ports").and_then(Value::as_array);
    let named = declared.into_iter().flatten().find(|port| name_of(port) == name);
    let named = named.and_then(|port| number(port.get("containerPort")?));
    named
        .or_else(|| name.parse().ok())
        .filter(in_range)
        .ok_or_else(|| stays(format!("its port {} is not the name of a port of the container", quoted(name))))
}

/// RFC 9110, section 5.6.2.
fn is_token(name: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(part)
}

/// RFC 9110, section 5.5: no control characters but tabs.
fn is_header_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}
