//! A response's head, read in place, for the request that was asked.

use httparse::{Header, Status};

use super::body::Length;
use super::fields::{Facts, Room, Version, binds, refusal};
use super::forward::{Direction, Edit, Hop};
use super::request::{Asked, Method};
use super::{Refusal, Settings};

/// A head that may be forwarded.
#[derive(Debug)]
pub struct Response<'h, 'b> {
    head: &'b [u8],
    status: u16,
    version: Version,
    fields: &'h [Header<'b>],
    facts: Facts<'b>,
    asked: Asked,
    length: Length,
}

impl<'h, 'b> Response<'h, 'b> {
    /// Reads a whole head, from its status line to its empty line, as [`Scan`](super::scan::Scan) has found it.
    pub fn parse(
        head: &'b [u8],
        room: &'h mut Room<'b>,
        asked: Asked,
        settings: &Settings,
    ) -> Result<Self, Refusal> {
        let mut response = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            head,
            room.fields(settings),
        );
        match parsed.map_err(|error| refusal(error, head, Refusal::StatusLine))? {
            Status::Complete(length) if length == head.len() => {}
            Status::Complete(_) | Status::Partial => return Err(Refusal::LineEnd),
        }
        let version = Version::of(response.version)?;
        let status = response.code.filter(|code| *code >= 100).ok_or(Refusal::StatusLine)?;
        let fields: &'h [Header<'b>] = response.headers;
        let facts = Facts::of(head, fields, version)?;
        if status == 101 && !(asked.upgrade && facts.offers_upgrade) {
            return Err(Refusal::UnaskedSwitch);
        }
        let length = length(asked, status, &facts);
        Ok(Self { head, status, version, fields, facts, asked, length })
    }

    /// Three digits, of which the first is not 0.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether another response to the same request follows (RFC 9110, section 15.2).
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// Whether it asks for an authentication of the connection, and not of a request.
    pub fn binds(&self) -> bool {
        matches!(self.status, 401 | 407) && binds(self.fields, ["www-authenticate", "proxy-authenticate"])
    }

    /// How long the content is that follows the head.
    pub fn length(&self) -> Length {
        self.length
    }

    /// Whether the server keeps its connection after this response.
    pub fn persists(&self) -> bool {
        self.facts.persists(self.version) && !matches!(self.length, Length::UntilClose | Length::Tunnel)
    }

    /// Appends the head to `to` as the client gets it; `keep` says whether the connection from it is kept.
    pub fn forward(&self, keep: bool, to: &mut Vec<u8>) {
        let old = self.asked.version == Version::Old || self.version == Version::Old;
        let is_last = !self.is_interim() && self.length != Length::Tunnel;
        let edit = Edit {
            head: self.head,
            fields: self.fields,
            direction: Direction::Response,
            // What is said of the connection is said by the last response.
            hop: if is_last { Hop { keep, explicit: old } } else { Hop { keep: true, explicit: false } },
            upgrade: self.facts.offers_upgrade,
            names_fields: self.facts.connection.names_fields,
            // RFC 9110, section 8.6, and RFC 9112, section 6.1: such a response must not have them.
            drop_length: self.status < 200 || self.status == 204 || self.length == Length::Tunnel,
            replaced: &[],
            added: &[],
        };
        edit.append_to(to);
    }
}

/// RFC 9112, section 6.3, for responses: the only place where it is decided.
fn length(asked: Asked, status: u16, facts: &Facts<'_>) -> Length {
    match (asked.method, status) {
        (_, 101) => Length::Tunnel,
        (_, 100..=199 | 204 | 304) | (Method::Head, _) => Length::Exact(0),
        (Method::Connect, 200..=299) => Length::Tunnel,
        (Method::Connect | Method::Other, _) if facts.is_chunked => Length::Chunked,
        (Method::Connect | Method::Other, _) => {
            facts.content_length.map_or(Length::UntilClose, Length::Exact)
        }
    }
}
