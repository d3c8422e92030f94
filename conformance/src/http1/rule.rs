//! What messages break, each by a word and the section that has it.

/// A rule of HTTP/1.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Rule {
    /// A word that stays.
    pub name: &'static str,
    /// RFC and section, or another source.
    pub source: &'static str,
}

const fn rule(name: &'static str, source: &'static str) -> Rule {
    Rule { name, source }
}

/// Readers differ on what a lone LF or CR ends.
pub(super) const LINE_END: Rule = rule("line_end", "9112 2.2");
/// One empty line before a request is ignored, and no more.
pub(super) const EMPTY_LINE: Rule = rule("empty_line", "9112 2.2");
/// A method, a target and a version with single spaces between them.
pub(super) const REQUEST_LINE: Rule = rule("request_line", "9112 3");
/// A version, a status of three digits and a reason.
pub(super) const STATUS_LINE: Rule = rule("status_line", "9112 4");
/// HTTP/1.0 or HTTP/1.1.
pub(super) const VERSION: Rule = rule("version", "9112 2.3");
/// A token, and a colon at once.
pub(super) const FIELD_NAME: Rule = rule("field_name", "9112 5.1");
/// No control characters.
pub(super) const FIELD_VALUE: Rule = rule("field_value", "9110 5.5");
/// A value is not continued on the next line.
pub(super) const OBS_FOLD: Rule = rule("obs_fold", "9112 5.2");
/// One of four forms, and the one that the method needs.
pub(super) const TARGET: Rule = rule("target", "9112 3.2");
/// A fragment is never sent.
pub(super) const FRAGMENT: Rule = rule("fragment", "9112 3.2");
/// Every request of HTTP/1.1 has one.
pub(super) const HOST_MISSING: Rule = rule("host_missing", "9112 3.2");
/// And no more than one.
pub(super) const HOST_REPEATED: Rule = rule("host_repeated", "9112 3.2");
/// A host and an optional port.
pub(super) const HOST_INVALID: Rule = rule("host_invalid", "9110 7.2");
/// Readers differ on which of the two they believe.
pub(super) const HOST_NOT_TARGET: Rule = rule("host_not_target", "9112 3.2.2");
/// Digits, as everybody reads them.
pub(super) const CONTENT_LENGTH: Rule = rule("content_length", "9110 8.6");
/// One length.
pub(super) const CONTENT_LENGTH_REPEATED: Rule = rule("content_length_repeated", "9112 6.3");
/// `chunked`, as everybody reads it.
pub(super) const TRANSFER_ENCODING: Rule = rule("transfer_encoding", "9112 6.1");
/// One coding.
pub(super) const TRANSFER_ENCODING_REPEATED: Rule = rule("transfer_encoding_repeated", "9112 6.3");
/// "The framing is faulty".
pub(super) const TRANSFER_ENCODING_IN_HTTP10: Rule = rule("transfer_encoding_in_http10", "9112 6.1");
/// The classic.
pub(super) const LENGTH_TWICE: Rule = rule("length_twice", "9112 6.3");
/// RFC 3875, section 4.1.18: programs behind a gateway cannot tell `Content_Length` from the real one.
pub(super) const FRAMING_LOOKALIKE: Rule = rule("framing_lookalike", "3875 4.1.18");
/// A field for all recipients must not be named.
pub(super) const CONNECTION_NAMES: Rule = rule("connection_names", "9110 7.6.1");
/// They are tokens.
pub(super) const CONNECTION_OPTIONS: Rule = rule("connection_options", "9110 7.6.1");
/// What follows the head is the tunnel's.
pub(super) const CONNECT_CONTENT: Rule = rule("connect_content", "9110 9.3.6");
/// A switch needs an offer.
pub(super) const UNASKED_SWITCH: Rule = rule("unasked_switch", "9110 15.2.2");
/// A hexadecimal number, and no white space.
pub(super) const CHUNK_SIZE: Rule = rule("chunk_size", "9112 7.1");
/// Names and values, which the line ends.
pub(super) const CHUNK_EXTENSION: Rule = rule("chunk_extension", "9112 7.1.1");
/// A chunk is as long as its size says.
pub(super) const CHUNK_END: Rule = rule("chunk_end", "9112 7.1");
/// A field.
pub(super) const TRAILER: Rule = rule("trailer", "9112 7.1.2");
/// None that says where the message goes or ends.
pub(super) const TRAILER_FORBIDDEN: Rule = rule("trailer_forbidden", "9110 6.5.1");
