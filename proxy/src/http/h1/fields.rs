//! The fields of a head, and what those among them say that are about the message and not its content.
//!
//! Invariant: a field that is about the message's length is understood only if it is there once, and spelled so that no
//! reader can understand it otherwise.

use std::mem::MaybeUninit;

use httparse::{Error, Header};

use super::{Refusal, Settings};
pub(super) use crate::detect::is_token;

/// No head has more fields, whatever is configured.
pub const MOST_FIELDS: usize = 256;

/// Options of Connection, in all, and empty ones; each is compared with each field.
const MOST_OPTIONS: usize = 16;

/// Digits of a number that every reader can hold, in 63 bits.
const MOST_DIGITS: usize = 18;

/// Where the fields of a head are put while it is looked at.
#[derive(Debug)]
pub struct Room<'b>([MaybeUninit<Header<'b>>; MOST_FIELDS]);

impl<'b> Room<'b> {
    /// For one head.
    pub fn new() -> Self {
        Self([const { MaybeUninit::uninit() }; MOST_FIELDS])
    }

    /// For as many fields as a head may have.
    pub(super) fn fields(&mut self, settings: &Settings) -> &mut [MaybeUninit<Header<'b>>] {
        let most = MOST_FIELDS.min(settings.http_max_fields.into());
        self.0.get_mut(..most).unwrap_or_default()
    }
}

impl Default for Room<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// RFC 9112, section 2.3.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// HTTP/1.0
    Old,
    /// HTTP/1.1
    Current,
}

impl Version {
    /// What the parser, which knows these two alone, has found.
    pub(super) fn of(minor: Option<u8>) -> Result<Self, Refusal> {
        match minor {
            Some(0) => Ok(Self::Old),
            Some(1) => Ok(Self::Current),
            _ => Err(Refusal::Version),
        }
    }
}

/// What the parser says, for a head whose lines end as they should; `first_line` is what its first line is refused for.
pub(super) fn refusal(error: Error, head: &[u8], first_line: Refusal) -> Refusal {
    match error {
        Error::HeaderName if has_continuation(head) => Refusal::ObsFold,
        Error::HeaderName => Refusal::FieldName,
        Error::HeaderValue => Refusal::FieldValue,
        Error::TooManyHeaders => Refusal::TooManyFields,
        Error::Version => Refusal::Version,
        Error::NewLine => Refusal::LineEnd,
        Error::Status | Error::Token => first_line,
    }
}

/// RFC 9112, section 5.2; a first field that begins so continues nothing, and is as bad.
fn has_continuation(head: &[u8]) -> bool {
    head.windows(3).any(|bytes| matches!(bytes, [b'\r', b'\n', b' ' | b'\t']))
}

/// The fields that hop-by-hop rules and the message's length are about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Name {
    Connection,
    KeepAlive,
    ProxyConnection,
    Te,
    Upgrade,
    Host,
    ContentLength,
    TransferEncoding,
    /// Of the two before this.
    Lookalike,
    Other,
}

impl Name {
    pub(super) fn of(name: &str) -> Self {
        const KNOWN: [(&str, Name); 10] = [
            ("connection", Name::Connection),
            ("keep-alive", Name::KeepAlive),
            ("proxy-connection", Name::ProxyConnection),
            ("te", Name::Te),
            ("upgrade", Name::Upgrade),
            ("host", Name::Host),
            ("content-length", Name::ContentLength),
            ("transfer-encoding", Name::TransferEncoding),
            ("content_length", Name::Lookalike),
            ("transfer_encoding", Name::Lookalike),
        ];
        let found = KNOWN.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        found.map_or(Self::Other, |(_, name)| *name)
    }
}

/// Whether a trailer of this name, in lower case, would change where the message goes or ends for a reader that adds trailers
/// to the head.
pub(super) fn forbidden_in_trailers(name: &[u8]) -> bool {
    let name = str::from_utf8(name).map_or(Name::Other, Name::of);
    match name {
        Name::Host
        | Name::ContentLength
        | Name::TransferEncoding
        | Name::Lookalike
        | Name::Connection
        | Name::Upgrade => true,
        Name::KeepAlive | Name::ProxyConnection | Name::Te | Name::Other => false,
    }
}

/// What the fields of a head say about the message.
#[derive(Debug, Default)]
pub(super) struct Facts<'b> {
    pub(super) host: Option<&'b [u8]>,
    pub(super) content_length: Option<u64>,
    pub(super) is_chunked: bool,
    pub(super) connection: Options,
    /// Upgrade offers protocols, and all of them may be switched to through here.
    pub(super) offers_upgrade: bool,
}

/// The options of Connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// Names of fields that are for the next hop alone.
    pub(super) names_fields: bool,
    count: usize,
}

impl<'b> Facts<'b> {
    /// `head` is what `fields` lie in.
    pub(super) fn of(head: &[u8], fields: &[Header<'b>], version: Version) -> Result<Self, Refusal> {
        let mut facts = Self::default();
        let mut offered = None;
        for field in fields {
            match Name::of(field.name) {
                Name::Connection => facts.connection.add(field.value)?,
                Name::Upgrade => offered = Some(offered.unwrap_or(true) && offers(field.value)),
                Name::Host if facts.host.is_some() => return Err(Refusal::HostRepeated),
                Name::Host => facts.host = Some(field.value),
                Name::ContentLength if facts.content_length.is_some() => {
                    return Err(Refusal::ContentLengthRepeated);
                }
                Name::ContentLength if is_plain(head, field) => {
                    facts.content_length = Some(number(field.value).ok_or(Refusal::ContentLength)?);
                }
                Name::ContentLength => return Err(Refusal::ContentLength),
                Name::TransferEncoding if version == Version::Old => {
                    return Err(Refusal::TransferEncodingInOld);
                }
                Name::TransferEncoding if facts.is_chunked => return Err(Refusal::TransferEncodingRepeated),
                Name::TransferEncoding => {
                    let is_known = is_plain(head, field) && field.value.eq_ignore_ascii_case(CHUNKED);
                    facts.is_chunked = is_known.then_some(true).ok_or(Refusal::TransferEncoding)?;
                }
                Name::Lookalike => return Err(Refusal::FramingLookalike),
                Name::KeepAlive | Name::ProxyConnection | Name::Te | Name::Other => {}
            }
        }
        if facts.is_chunked && facts.content_length.is_some() {
            return Err(Refusal::LengthTwice);
        }
        facts.offers_upgrade = offered == Some(true) && facts.connection.upgrade;
        Ok(facts)
    }

    /// Whether the sender will keep its connection after this message (RFC 9112, section 9.3).
    pub(super) fn persists(&self, version: Version) -> bool {
        match version {
            Version::Current => !self.connection.close,
            Version::Old => self.connection.keep_alive && !self.connection.close,
        }
    }
}

/// The one coding that is understood, as it is passed on.
pub(super) const CHUNKED: &[u8] = b"chunked";

impl Options {
    fn add(&mut self, value: &[u8]) -> Result<(), Refusal> {
        self.count += value.split(|byte| *byte == b',').count();
        if self.count > MOST_OPTIONS {
            return Err(Refusal::ConnectionOptions);
        }
        for option in elements(value) {
            if !option.iter().copied().all(is_token) {
                return Err(Refusal::ConnectionOptions);
            }
            match Opt::of(option) {
                Opt::Close => self.close = true,
                Opt::KeepAlive => self.keep_alive = true,
                Opt::Upgrade => self.upgrade = true,
                Opt::Te => {}
                Opt::Field(Name::Host | Name::ContentLength | Name::TransferEncoding | Name::Lookalike) => {
                    return Err(Refusal::ConnectionNames);
                }
                Opt::Field(_) => self.names_fields = true,
            }
        }
        Ok(())
    }
}

/// One option of Connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Opt {
    Close,
    KeepAlive,
    Upgrade,
    Te,
    /// The name of a field, as far as that is known.
    Field(Name),
}

impl Opt {
    pub(super) fn of(option: &[u8]) -> Self {
        match option {
            _ if option.eq_ignore_ascii_case(b"close") => Self::Close,
            _ if option.eq_ignore_ascii_case(b"keep-alive") => Self::KeepAlive,
            _ if option.eq_ignore_ascii_case(b"upgrade") => Self::Upgrade,
            _ if option.eq_ignore_ascii_case(b"te") => Self::Te,
            _ => Self::Field(str::from_utf8(option).map_or(Name::Other, Name::of)),
        }
    }
}

/// All options of Connection.
pub(super) fn options<'b>(fields: &[Header<'b>]) -> impl Iterator<Item = &'b [u8]> {
    let connection = fields.iter().filter(|field| Name::of(field.name) == Name::Connection);
    connection.flat_map(|field| elements(field.value))
}

/// Whether Connection names fields of this name, which are for this hop alone then (RFC 9110, section 7.6.1).
pub(super) fn is_named(fields: &[Header<'_>], name: &str) -> bool {
    options(fields).any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
}

/// The elements of a list; empty ones count for nothing (RFC 9110, section 5.6.1.2).
fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Whether Upgrade offers something, and nothing that this proxy would have to speak itself: TLS is another leg's, and HTTP/2
/// begins with prior knowledge or not at all (RFC 9113, section 3.1).
fn offers(value: &[u8]) -> bool {
    let mut any = false;
    for protocol in elements(value) {
        let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
        if name.eq_ignore_ascii_case(b"h2c")
            || name.eq_ignore_ascii_case(b"h2")
            || name.eq_ignore_ascii_case(b"tls")
        {
            return false;
        }
        any = true;
    }
    any
}

/// Whether there is nothing around the value but spaces before it. (A tab is white space as well, and there are readers
/// that make it a part of the value.)
fn is_plain(head: &[u8], field: &Header<'_>) -> bool {
    let (name, value) = (offset(head, field.name.as_bytes()), offset(head, field.value));
    let before = head.get(name + field.name.len() + 1..value).unwrap_or(b"\t");
    let after = head.get(value + field.value.len()..).unwrap_or_default();
    before.iter().all(|byte| *byte == b' ') && after.starts_with(b"\r\n")
}

/// Where in `head` a part of it begins.
pub(super) fn offset(head: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().wrapping_sub(head.as_ptr().addr())
}

/// A number without a sign, and without leading zeros, which some take for an octal one.
fn number(value: &[u8]) -> Option<u64> {
    let is_plain = match value {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < MOST_DIGITS && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if is_plain { str::from_utf8(value).ok()?.parse().ok() } else { None }
}

/// RFC 9110, section 5.5.
pub(super) fn is_value(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// Whether one of the fields with these names is of a scheme that authenticates connections (RFC 4559, section 6).
pub(super) fn binds(fields: &[Header<'_>], names: [&str; 2]) -> bool {
    const SCHEMES: [&[u8]; 2] = [b"NTLM", b"Negotiate"];
    let begins = |value: &[u8], scheme: &[u8]| {
        value.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    fields
        .iter()
        .filter(|field| names.iter().any(|name| field.name.eq_ignore_ascii_case(name)))
        .flat_map(|field| field.value.split(|byte| *byte == b','))
        .any(|value| SCHEMES.iter().any(|scheme| begins(value.trim_ascii_start(), scheme)))
}
