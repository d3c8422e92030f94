//! A head as the next hop gets it: its own bytes, without what was for this hop alone (RFC 9110, section 7.6.1).
//!
//! Invariant: where Connection already says what is true for the next hop, nothing is changed. Everything that stays keeps
//! its place, its case and its spelling; only the one coding that is understood is always spelled `chunked`, since there
//! are programs to which another spelling is another coding.

use std::ops::Range;

use httparse::Header;

use super::fields::{CHUNKED, Name, Opt, is_named, offset, options};

/// What the next hop has to be told of its connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hop {
    /// It is kept after this message.
    pub keep: bool,
    /// Who reads this does not keep a connection unless that is said (HTTP/1.0).
    pub explicit: bool,
}

/// Whose head it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Direction {
    Request,
    Response,
}

/// A head and what is to become of it.
pub(super) struct Edit<'h, 'b> {
    pub(super) head: &'b [u8],
    pub(super) fields: &'h [Header<'b>],
    pub(super) direction: Direction,
    pub(super) hop: Hop,
    /// Upgrade is passed on.
    pub(super) upgrade: bool,
    /// Connection names fields.
    pub(super) names_fields: bool,
    /// The message must not say how long it is.
    pub(super) drop_length: bool,
    /// Names of fields that are left out.
    pub(super) replaced: &'h [&'h str],
    /// Further fields, as they are sent.
    pub(super) added: &'h [u8],
}

/// What becomes of a field.
enum Fate {
    Kept,
    Dropped,
    Chunked,
}

impl Edit<'_, '_> {
    /// Appends the edited head.
    pub(super) fn append_to(&self, to: &mut Vec<u8>) {
        let mut connection = (!self.connection_is_true()).then(|| self.connection());
        to.reserve(self.head.len() + self.added.len() + 64);
        let mut copied = 0;
        for (number, field) in self.fields.iter().enumerate() {
            let line = self.line(number, field);
            let name = Name::of(field.name);
            if name == Name::Connection {
                let Some(options) = &mut connection else { continue };
                append(to, self.head, copied..line.start);
                append_field(to, field.name, &std::mem::take(options));
                copied = line.end;
                continue;
            }
            match self.fate(name, field) {
                Fate::Kept => continue,
                Fate::Dropped => append(to, self.head, copied..line.start),
                Fate::Chunked => {
                    append(to, self.head, copied..line.start);
                    append_field(to, field.name, CHUNKED);
                }
            }
            copied = line.end;
        }
        let end = self.head.len().saturating_sub(2);
        append(to, self.head, copied..end);
        append_field(to, "Connection", &connection.unwrap_or_default());
        to.extend_from_slice(self.added);
        append(to, self.head, end..self.head.len());
    }

    /// With its CR LF.
    fn line(&self, number: usize, field: &Header<'_>) -> Range<usize> {
        let start = offset(self.head, field.name.as_bytes());
        let end = match self.fields.get(number + 1) {
            Some(next) => offset(self.head, next.name.as_bytes()),
            None => self.head.len().saturating_sub(2),
        };
        start..end
    }

    fn fate(&self, name: Name, field: &Header<'_>) -> Fate {
        let keep_if = |keep| if keep { Fate::Kept } else { Fate::Dropped };
        match name {
            Name::KeepAlive | Name::ProxyConnection => Fate::Dropped,
            Name::Upgrade => keep_if(self.upgrade),
            // RFC 9110, section 10.1.4: of codings the next hop decides; that trailers are understood is the client's word.
            Name::Te => keep_if(self.keeps_te() && is_trailers(field.value)),
            Name::ContentLength => keep_if(!self.drop_length),
            Name::TransferEncoding if self.drop_length => Fate::Dropped,
            Name::TransferEncoding if field.value == CHUNKED => Fate::Kept,
            Name::TransferEncoding => Fate::Chunked,
            Name::Connection | Name::Host | Name::Lookalike => Fate::Kept,
            Name::Other if self.is_replaced(field.name) => Fate::Dropped,
            Name::Other => keep_if(!(self.names_fields && is_named(self.fields, field.name))),
        }
    }

    fn is_replaced(&self, name: &str) -> bool {
        self.replaced.iter().any(|replaced| replaced.eq_ignore_ascii_case(name))
    }

    fn keeps_te(&self) -> bool {
        self.direction == Direction::Request
    }

    fn te_is_kept(&self) -> bool {
        self.keeps_te()
            && self.fields.iter().any(|field| Name::of(field.name) == Name::Te && is_trailers(field.value))
    }

    /// Options that the next hop has to see.
    fn needed(&self) -> impl Iterator<Item = Opt> {
        let Hop { keep, explicit } = self.hop;
        let persistence = match (keep, explicit) {
            (true, true) => Some(Opt::KeepAlive),
            (false, false) => Some(Opt::Close),
            (true, false) | (false, true) => None,
        };
        persistence.into_iter().chain(self.upgrade.then_some(Opt::Upgrade))
    }

    /// Whether the options are what the next hop may see, and all that it has to see.
    fn connection_is_true(&self) -> bool {
        let is_true = |option| match Opt::of(option) {
            Opt::KeepAlive => self.hop.keep,
            Opt::Close => !self.hop.keep,
            Opt::Upgrade => self.upgrade,
            Opt::Te => self.te_is_kept(),
            Opt::Field(_) => false,
        };
        options(self.fields).all(is_true)
            && self.needed().all(|needed| options(self.fields).any(|option| Opt::of(option) == needed))
    }

    /// The options that the next hop gets instead.
    fn connection(&self) -> Vec<u8> {
        let te = (self.te_is_kept() && options(self.fields).any(|option| Opt::of(option) == Opt::Te))
            .then_some(Opt::Te);
        let mut options = Vec::new();
        for option in self.needed().chain(te) {
            let option: &[u8] = match option {
                Opt::KeepAlive => b"keep-alive",
                Opt::Close => b"close",
                Opt::Upgrade => b"upgrade",
                Opt::Te => b"TE",
                Opt::Field(_) => continue,
            };
            if !options.is_empty() {
                options.extend_from_slice(b", ");
            }
            options.extend_from_slice(option);
        }
        options
    }
}

fn is_trailers(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"trailers")
}

fn append(to: &mut Vec<u8>, head: &[u8], range: Range<usize>) {
    to.extend_from_slice(head.get(range).unwrap_or_default());
}

/// Nothing, if there is no value.
fn append_field(to: &mut Vec<u8>, name: &str, value: &[u8]) {
    if !value.is_empty() {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            to.extend_from_slice(part);
        }
    }
}
