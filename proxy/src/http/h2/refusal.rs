//! Why a message is not carried: one reason for each rule that h2 leaves to its user, and one for each error code
//! with which h2 ends a stream or a connection by itself. Names stay.

use ::h2::Reason;

use crate::telemetry::Code;

/// A rule that a message breaks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// RFC 9113, section 8: what h2 has found, which does not say more.
    #[error("the message is malformed")]
    Malformed,
    /// RFC 9113, section 5.1.2.
    #[error("the client has more streams open than --http2-max-streams allows")]
    TooManyStreams,
    /// RFC 9113, section 8.3.1.
    #[error("the path is neither absolute nor the asterisk of OPTIONS")]
    Path,
    /// RFC 9113, section 8.3.1, and RFC 9110, section 7.2.
    #[error("neither :authority nor host is there")]
    AuthorityMissing,
    /// RFC 9113, section 8.3.1: userinfo must not be in it; nor is an empty one a host.
    #[error(":authority or host is not a host and an optional port")]
    AuthorityInvalid,
    /// RFC 9113, section 8.3.1.
    #[error("host names another authority than :authority")]
    HostNotAuthority,
    /// RFC 9110, section 7.2.
    #[error("several host fields")]
    HostRepeated,
    /// RFC 9113, section 8.2.1: white space at its begin or end.
    #[error("the value of a field begins or ends with white space")]
    FieldValue,
    /// RFC 6585, section 5.
    #[error("the message has more fields than --http2-max-fields allows")]
    TooManyFields,
    /// RFC 9110, section 8.6.
    #[error("several content-length fields")]
    ContentLengthRepeated,
    /// RFC 9113, section 8.5.
    #[error("CONNECT to no host and port")]
    ConnectTarget,
    /// RFC 9113, section 8.6.
    #[error("a response switches protocols, which HTTP/2 cannot")]
    Switch,
    /// RFC 6585, section 5.
    #[error("the head is longer than --http2-max-head allows")]
    HeadTooLong,
    /// RFC 9110, section 5.4.
    #[error("the trailers are longer than --http2-max-head allows")]
    TrailersTooLong,
    /// RFC 9110, section 6.5.1.
    #[error("a trailer says where the message goes or ends")]
    TrailerForbidden,
    /// RFC 9113, section 7: what h2 has ended a connection for, which does not say more.
    #[error("a frame is what or where it must not be")]
    Protocol,
    /// RFC 9113, section 6.9: of a stream or a connection.
    #[error("more content than a window allows, or a window that is larger than one can be")]
    FlowControl,
    /// RFC 9113, section 4.3: in a head that is too long already.
    #[error("a block of fields cannot be decoded, or is not worth it")]
    Compression,
    /// RFC 9113, section 10.5.1: several times what is allowed.
    #[error("a head is far too long, or comes in too many frames")]
    Excess,
}

impl Refusal {
    /// All that there are.
    pub const ALL: [Self; 19] = [
        Self::Malformed,
        Self::TooManyStreams,
        Self::Path,
        Self::AuthorityMissing,
        Self::AuthorityInvalid,
        Self::HostNotAuthority,
        Self::HostRepeated,
        Self::FieldValue,
        Self::TooManyFields,
        Self::ContentLengthRepeated,
        Self::ConnectTarget,
        Self::Switch,
        Self::HeadTooLong,
        Self::TrailersTooLong,
        Self::TrailerForbidden,
        Self::Protocol,
        Self::FlowControl,
        Self::Compression,
        Self::Excess,
    ];

    /// Why h2 has ended a connection with this code.
    pub(super) fn of_connection(reason: Reason) -> Self {
        match reason {
            Reason::FLOW_CONTROL_ERROR => Self::FlowControl,
            Reason::COMPRESSION_ERROR => Self::Compression,
            Reason::ENHANCE_YOUR_CALM => Self::Excess,
            _ => Self::Protocol,
        }
    }

    /// Why h2 has reset a stream with this code.
    pub(super) fn of_stream(reason: Reason) -> Self {
        match reason {
            Reason::PROTOCOL_ERROR => Self::Malformed,
            other => Self::of_connection(other),
        }
    }

    /// As logs and labels name it.
    pub fn code(self) -> Code {
        Code::new(match self {
            Self::Malformed => "http2.malformed",
            Self::TooManyStreams => "http2.too_many_streams",
            Self::Path => "http2.path",
            Self::AuthorityMissing => "http2.authority_missing",
            Self::AuthorityInvalid => "http2.authority_invalid",
            Self::HostNotAuthority => "http2.host_not_authority",
            Self::HostRepeated => "http2.host_repeated",
            Self::FieldValue => "http2.field_value",
            Self::TooManyFields => "http2.too_many_fields",
            Self::ContentLengthRepeated => "http2.content_length_repeated",
            Self::ConnectTarget => "http2.connect_target",
            Self::Switch => "http2.switch",
            Self::HeadTooLong => "http2.head_too_long",
            Self::TrailersTooLong => "http2.trailers_too_long",
            Self::TrailerForbidden => "http2.trailer_forbidden",
            Self::Protocol => "http2.protocol_error",
            Self::FlowControl => "http2.flow_control_error",
            Self::Compression => "http2.compression_error",
            Self::Excess => "http2.enhance_your_calm",
        })
    }
}
