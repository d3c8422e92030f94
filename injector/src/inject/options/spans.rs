//! Where the proxy's spans go, how many of them, and how many may wait.

use std::fmt;

use super::{Parsed, Quantity, Setting, malformed, quoted};

/// What the proxy is told of tracing. Without a collector there is none.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Spans {
    pub(in super::super) collector: Setting<Option<Collector>>,
    pub(super) protocol: Setting<Option<Protocol>>,
    pub(in super::super) sampling: Setting<Option<Share>>,
    pub(in super::super) queue: Setting<Option<Queue>>,
}

/// A collector's URL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Collector {
    url: String,
    /// Where the key has told it as well.
    protocol: Option<Protocol>,
}

/// What a collector speaks, by its name in the proxy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) struct Protocol(&'static str);

/// Of the traces that begin at the proxy, in percent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Share(String);

/// Bytes of spans that wait.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Queue(i64);

const PROTOCOLS: [&str; 3] = ["otlp-http", "otlp-grpc", ZIPKIN];
const ZIPKIN: &str = "zipkin";

/// DNS has none longer.
const LONGEST_HOST: usize = 253;
const LONGEST_PATH: usize = 1024;

impl Spans {
    /// What is spoken to the collector, where that was said.
    pub(in super::super) fn protocol(&self) -> Option<Protocol> {
        self.collector.as_ref().and_then(|collector| collector.protocol).or(*self.protocol)
    }
}

impl Collector {
    /// Of the form `http://HOST[:PORT][/PATH]`.
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        let Some(rest) = text.strip_prefix("http://") else {
            return malformed("the proxy speaks to collectors by http alone");
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        check_authority(authority)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%?".contains(&byte);
        if path.len() > LONGEST_PATH || !path.bytes().all(is_plain) {
            return malformed(format!("{} is not a path", quoted(path)));
        }
        Ok(Self { url: text.to_owned(), protocol: None })
    }

    /// Whether its key is of one protocol alone.
    pub(super) fn tells_protocol(&self) -> bool {
        self.protocol.is_some()
    }

    /// Istio's form of one that speaks Zipkin's protocol: HOST:PORT.
    pub(super) fn zipkin(text: &str) -> Parsed<Self> {
        check_authority(text)?;
        Ok(Self { url: format!("http://{text}"), protocol: Some(Protocol(ZIPKIN)) })
    }
}

/// HOST or HOST:PORT, an IPv6 address being in brackets.
fn check_authority(text: &str) -> Parsed<()> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            !host.is_empty() && host.len() <= LONGEST_HOST && host.bytes().all(is_plain)
        }
    };
    if !is_host {
        return malformed(format!("{} is not a host", quoted(host)));
    }
    let is_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    match port {
        Some(port) if !is_port(port) => malformed(format!("{} is not a port", quoted(port))),
        Some(_) | None => Ok(()),
    }
}

impl Protocol {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        let known = PROTOCOLS.into_iter().find(|protocol| *protocol == text);
        known.map_or_else(|| malformed(format!("{} is not a protocol", quoted(text))), |name| Ok(Self(name)))
    }
}

impl Share {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        match text.parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Self(percent.to_string())),
            Ok(_) | Err(_) => malformed(format!("{} is not a percentage", quoted(text))),
        }
    }
}

impl Queue {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        let bytes = Quantity::parse(text)?.whole().and_then(|bytes| i64::try_from(bytes).ok());
        match bytes.filter(|bytes| api::env::TRACE_QUEUE_BYTES.contains(bytes)) {
            Some(bytes) => Ok(Self(bytes)),
            None => malformed("not so many bytes"),
        }
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
