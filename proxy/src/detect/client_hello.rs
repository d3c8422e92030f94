//! A TLS ClientHello, as far as it tells where the client wants to go: server name and application protocols.
//!
//! It judges no cryptography and no version: a hello that a server would refuse is still TLS. A reader of our own, since it
//! must tell "not yet" from "never" at every byte of what is only peeked at, take what hellos of old look like, and
//! put records together within a bound; a test holds it to what rustls writes and reads.

use std::borrow::Cow;

use super::{Found, LIMIT};

/// RFC 8446, section 5.1: the content type `handshake`.
pub(super) const FIRST_BYTE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// RFC 8446, section 5.1: a fragment has at most 2^14 bytes.
const LONGEST_FRAGMENT: usize = 1 << 14;
/// RFC 6066, section 3, and RFC 7301, section 3.1.
const SERVER_NAME: u16 = 0;
const APPLICATION_PROTOCOLS: u16 = 16;
const HOST_NAME: u8 = 0;
/// RFC 1035, section 2.3.4, without the final dot.
const LONGEST_NAME: usize = 253;

/// What a client asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientHello {
    /// The host that it wants to speak to (SNI), in lower case; none also where it is not a host name.
    pub server_name: Option<Box<str>>,
    /// The protocols that it offers to speak (ALPN), in its order.
    pub alpn: Vec<Box<[u8]>>,
}

/// Reads the hello at the beginning of a stream: the first handshake message, from as many records as it takes.
pub(super) fn read(bytes: &[u8]) -> Found {
    let mut message = Cow::Borrowed(&[][..]);
    let mut rest = bytes;
    loop {
        let record = match record(rest) {
            Ok(record) => record,
            Err(other) => return other,
        };
        if message.is_empty() {
            message = Cow::Borrowed(record.fragment);
        } else {
            message.to_mut().extend_from_slice(record.fragment);
        }
        if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Found::Nothing;
        }
        if let Some(([_, a, b, c], rest)) = message.split_first_chunk() {
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            if length > LIMIT {
                return Found::TooLong;
            }
            if let Some(hello) = rest.get(..length) {
                return body(hello).map_or(Found::Nothing, Found::Hello);
            }
        }
        match record.after {
            Some(after) => rest = after,
            None => return Found::Begun,
        }
    }
}

/// A record of handshake messages, as far as it is there.
struct Record<'a> {
    fragment: &'a [u8],
    /// What follows it, where it is whole.
    after: Option<&'a [u8]>,
}

/// The first record.
fn record(bytes: &[u8]) -> Result<Record<'_>, Found> {
    // Every version since SSL 3.0 has 3 as its first byte.
    if bytes.iter().zip([FIRST_BYTE, 3]).any(|(byte, expected)| *byte != expected) {
        return Err(Found::Nothing);
    }
    let Some(([_, _, _, high, low], rest)) = bytes.split_first_chunk() else { return Err(Found::Begun) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    // RFC 8446, section 5.1: no empty fragments of handshake messages.
    if length == 0 || length > LONGEST_FRAGMENT {
        return Err(Found::Nothing);
    }
    Ok(match rest.split_at_checked(length) {
        Some((fragment, after)) => Record { fragment, after: Some(after) },
        None => Record { fragment: rest, after: None },
    })
}

/// RFC 8446, section 4.1.2.
fn body(bytes: &[u8]) -> Option<ClientHello> {
    let mut hello = Reader(bytes);
    let [major, _] = hello.take(2)? else { return None };
    if *major != 3 {
        return None;
    }
    let _random = hello.take(32)?;
    let _session = hello.vector_u8().filter(|id| id.0.len() <= 32)?;
    let _suites = hello.vector_u16().filter(|suites| suites.0.len() >= 2 && suites.0.len() % 2 == 0)?;
    let _compression = hello.vector_u8().filter(|methods| !methods.0.is_empty())?;
    if hello.0.is_empty() {
        // Before RFC 3546 there were no extensions.
        return Some(ClientHello::default());
    }
    let mut extensions = hello.vector_u16()?;
    if !hello.0.is_empty() {
        return None;
    }
    let (mut server_name, mut alpn) = (None, None);
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let data = extensions.vector_u16()?;
        // Section 4.2: no extension twice; of two names, each reader could believe another one.
        let is_second = match kind {
            SERVER_NAME => server_name.replace(host_name(data)?).is_some(),
            APPLICATION_PROTOCOLS => alpn.replace(protocols(data)?).is_some(),
            _ => false,
        };
        if is_second {
            return None;
        }
    }
    Some(ClientHello { server_name: server_name.flatten(), alpn: alpn.unwrap_or_default() })
}

/// The outer none is a broken extension, the inner one says that it names no host.
fn host_name(mut extension: Reader<'_>) -> Option<Option<Box<str>>> {
    let mut names = extension.vector_u16()?;
    let mut host = None;
    while !names.0.is_empty() {
        let kind = names.take(1)?;
        let name = names.vector_u16()?;
        if kind == [HOST_NAME] && host.replace(name.0).is_some() {
            return None;
        }
    }
    extension.0.is_empty().then(|| host.and_then(as_host))
}

/// Whoever writes the name down need not fear what is in it. It has no dot at its end (RFC 6066, section 3), and servers take
/// one that has for the same.
fn as_host(name: &[u8]) -> Option<Box<str>> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let is_host = (1..=LONGEST_NAME).contains(&name.len())
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte));
    let name = std::str::from_utf8(name).ok()?;
    is_host.then(|| name.to_ascii_lowercase().into_boxed_str())
}

fn protocols(mut extension: Reader<'_>) -> Option<Vec<Box<[u8]>>> {
    let mut names = extension.vector_u16()?;
    let mut protocols = Vec::new();
    while !names.0.is_empty() {
        let name = names.vector_u8()?;
        if name.0.is_empty() {
            return None;
        }
        if protocols.len() < MOST_PROTOCOLS {
            protocols.push(name.0.into());
        }
    }
    extension.0.is_empty().then_some(protocols)
}

/// Names of protocols that are kept, of the first ones; each has 255 bytes at most. A hello may hold thousands, and would
/// cost twenty times its size for as long as the connection lasts.
const MOST_PROTOCOLS: usize = 8;

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*number))
    }

    /// RFC 8446, section 3.4: a vector begins with its length in bytes.
    fn vector_u8(&mut self) -> Option<Self> {
        let [length] = self.take(1)? else { return None };
        self.take(usize::from(*length)).map(Reader)
    }

    fn vector_u16(&mut self) -> Option<Self> {
        let length = self.number()?;
        self.take(usize::from(length)).map(Reader)
    }
}
