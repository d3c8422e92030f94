//! Why a message is not carried: one reason for each rule that h2 leaves to its user, with a name that stays.

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
}

impl Refusal {
    /// As logs and labels name it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooManyStreams => "too_many_streams",
            Self::Path => "path",
            Self::AuthorityMissing => "authority_missing",
            Self::AuthorityInvalid => "authority_invalid",
            Self::HostNotAuthority => "host_not_authority",
            Self::HostRepeated => "host_repeated",
            Self::FieldValue => "field_value",
            Self::TooManyFields => "too_many_fields",
            Self::ContentLengthRepeated => "content_length_repeated",
            Self::ConnectTarget => "connect_target",
            Self::Switch => "switch",
            Self::HeadTooLong => "head_too_long",
            Self::TrailersTooLong => "trailers_too_long",
            Self::TrailerForbidden => "trailer_forbidden",
        }
    }
}
