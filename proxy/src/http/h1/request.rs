//! A request's head, read in place.

use httparse::{Header, Status};

use super::body::Length;
use super::fields::{Facts, Room, Version, binds, is_named, refusal};
use super::forward::{Direction, Edit, Hop};
use super::{Refusal, Settings};
use crate::http::authority::{is_host_and_port, port};

/// A head that may be forwarded.
#[derive(Debug)]
pub struct Request<'h, 'b> {
    head: &'b [u8],
    method: &'b str,
    target: &'b str,
    fields: &'h [Header<'b>],
    facts: Facts<'b>,
    asked: Asked,
    length: Length,
}

/// What has to be known of a request when its response comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Asked {
    /// Methods whose responses end otherwise.
    pub method: Method,
    /// What the client speaks.
    pub version: Version,
    /// Whether the client keeps its connection.
    pub persists: bool,
    /// Whether the connection may become one of another protocol.
    pub upgrade: bool,
}

/// As far as messages end otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Method {
    /// Its response has no content.
    Head,
    /// Its response has no end.
    Connect,
    /// Any other.
    Other,
}

/// RFC 9112, section 3.2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Target<'b> {
    Origin,
    /// With the authority and the port that its scheme stands for.
    Absolute(&'b [u8], &'static [u8]),
    Authority(&'b [u8]),
    Asterisk,
}

impl<'h, 'b> Request<'h, 'b> {
    /// Reads a whole head, from its request line to its empty line, as [`Scan`](super::scan::Scan) has found it.
    pub fn parse(head: &'b [u8], room: &'h mut Room<'b>, settings: &Settings) -> Result<Self, Refusal> {
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(head, room.fields(settings));
        match parsed.map_err(|error| refusal(error, head, Refusal::RequestLine))? {
            Status::Complete(length) if length == head.len() => {}
            Status::Complete(_) | Status::Partial => return Err(Refusal::LineEnd),
        }
        let version = Version::of(request.version)?;
        let method = request.method.ok_or(Refusal::RequestLine)?;
        let target = request.path.ok_or(Refusal::RequestLine)?;
        let fields: &'h [Header<'b>] = request.headers;
        let facts = Facts::of(head, fields, version)?;
        check_host(facts.host, version, &form(method, target.as_bytes())?)?;
        let length = length(method, &facts)?;
        let asked = Asked {
            method: match method {
                "HEAD" => Method::Head,
                "CONNECT" => Method::Connect,
                _ => Method::Other,
            },
            version,
            persists: facts.persists(version),
            // RFC 9110, section 7.8: to be ignored in HTTP/1.0.
            upgrade: facts.offers_upgrade && version == Version::Current,
        };
        Ok(Self { head, method, target, fields, facts, asked, length })
    }

    /// As it was sent.
    pub fn method(&self) -> &'b str {
        self.method
    }

    /// As it was sent. (Bytes over 127 may be in it, if they are UTF-8.)
    pub fn target(&self) -> &'b str {
        self.target
    }

    /// As it was sent, if it was.
    pub fn host(&self) -> Option<&'b [u8]> {
        self.facts.host
    }

    /// The first values of the fields with these names.
    pub fn values<const N: usize>(&self, names: [&str; N]) -> [Option<&'b [u8]>; N] {
        names.map(|name| {
            self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
        })
    }

    /// All of them that are not for this hop alone, in their order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'h str, &'b [u8])> {
        let passed_on = self.fields.iter().filter(|field| !self.ends_here(field.name));
        passed_on.map(|field| (field.name, field.value))
    }

    /// Whether fields of this name are for this hop alone, because Connection names them.
    pub fn ends_here(&self, name: &str) -> bool {
        self.facts.connection.names_fields && is_named(self.fields, name)
    }

    /// Whether to ask twice comes to the same as to ask once (RFC 9110, section 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
    }

    /// Whether it authenticates the connection, and not itself.
    pub fn binds(&self) -> bool {
        binds(self.fields, ["authorization", "proxy-authorization"])
    }

    /// What has to be known when the response comes.
    pub fn asked(&self) -> Asked {
        self.asked
    }

    /// How long the content is that follows the head.
    pub fn length(&self) -> Length {
        self.length
    }

    /// Appends the head to `to` as the server gets it; `keep` says whether the connection to it is kept, `replaced` names fields
    /// that it does not have any more, and `added` is fields that it has instead or besides, each with its CR LF.
    pub fn forward(&self, keep: bool, (replaced, added): (&[&str], &[u8]), to: &mut Vec<u8>) {
        let hop = Hop { keep, explicit: self.asked.version == Version::Old };
        let edit = Edit {
            head: self.head,
            fields: self.fields,
            direction: Direction::Request,
            hop,
            upgrade: self.asked.upgrade,
            names_fields: self.facts.connection.names_fields,
            drop_length: false,
            replaced,
            added,
        };
        edit.append_to(to);
    }
}

/// RFC 9112, section 6.3, for requests: the only place where it is decided.
fn length(method: &str, facts: &Facts<'_>) -> Result<Length, Refusal> {
    match (facts.is_chunked, facts.content_length) {
        (true, _) | (_, Some(1..)) if method == "CONNECT" => Err(Refusal::ConnectContent),
        (true, _) => Ok(Length::Chunked),
        (false, length) => Ok(Length::Exact(length.unwrap_or(0))),
    }
}

fn form<'b>(method: &str, target: &'b [u8]) -> Result<Target<'b>, Refusal> {
    if target.contains(&b'#') {
        return Err(Refusal::Fragment);
    }
    let form = match target {
        _ if method == "CONNECT" => Target::Authority(target),
        [b'/', ..] => Target::Origin,
        b"*" if method == "OPTIONS" => Target::Asterisk,
        _ => {
            let (authority, port) = absolute(target).ok_or(Refusal::Target)?;
            Target::Absolute(authority, port)
        }
    };
    let is_valid = match form {
        Target::Origin | Target::Asterisk => true,
        Target::Absolute(authority, _) => is_host_and_port(authority),
        Target::Authority(authority) => {
            port(authority).is_some_and(|port| !port.is_empty()) && is_host_and_port(authority)
        }
    };
    if is_valid { Ok(form) } else { Err(Refusal::Target) }
}

/// The authority, and the port that the scheme stands for. No other scheme is HTTP's.
fn absolute(target: &[u8]) -> Option<(&[u8], &'static [u8])> {
    const SCHEMES: [(&[u8], &[u8]); 2] = [(b"http://", b":80"), (b"https://", b":443")];
    let (scheme, port) = SCHEMES.into_iter().find(|(scheme, _)| {
        target.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    })?;
    let rest = target.get(scheme.len()..)?;
    // A backslash ends the authority for some and not for others; being no part of a host, it is refused with it.
    let authority = rest.split(|byte| matches!(byte, b'/' | b'?')).next()?;
    Some((authority, port))
}

fn check_host(host: Option<&[u8]>, version: Version, target: &Target<'_>) -> Result<(), Refusal> {
    let Some(host) = host else {
        return if version == Version::Old { Ok(()) } else { Err(Refusal::HostMissing) };
    };
    // RFC 9112, section 3.2: it is empty where the target has no authority.
    if !(host.is_empty() || is_host_and_port(host)) {
        return Err(Refusal::HostInvalid);
    }
    let agrees = match *target {
        Target::Origin | Target::Asterisk => true,
        Target::Absolute(authority, default) => {
            let without =
                |authority: &'_ [u8]| authority.strip_suffix(default).map_or(authority.len(), <[u8]>::len);
            let (host, authority) = (host.get(..without(host)), authority.get(..without(authority)));
            host.zip(authority).is_some_and(|(host, authority)| host.eq_ignore_ascii_case(authority))
        }
        // Clients leave the port out.
        Target::Authority(authority) => {
            host.eq_ignore_ascii_case(authority)
                || (port(host).is_none()
                    && authority.get(..host.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(host))
                    && authority.get(host.len()) == Some(&b':'))
        }
    };
    if agrees { Ok(()) } else { Err(Refusal::HostNotTarget) }
}
