//! Why a message is not carried: one reason for each rule, with a name that stays.

use crate::telemetry::Code;

/// A rule that a message breaks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// RFC 6585, section 5.
    #[error("the head is longer than --http-max-head allows")]
    HeadTooLong,
    /// RFC 6585, section 5.
    #[error("the head has more fields than --http-max-fields allows")]
    TooManyFields,
    /// RFC 9112, section 2.2: readers differ on what a lone LF or CR ends.
    #[error("a line does not end with CR LF")]
    LineEnd,
    /// RFC 9112, section 2.2: one empty line before a request is ignored, and no more.
    #[error("an empty line where the first line should be")]
    EmptyLine,
    /// RFC 9112, section 3.
    #[error("the request line is not a method, a target and a version with single spaces between them")]
    RequestLine,
    /// RFC 9112, section 4.
    #[error("the status line is not a version, a status of three digits and a reason")]
    StatusLine,
    /// RFC 9112, section 2.3.
    #[error("the version is neither HTTP/1.0 nor HTTP/1.1")]
    Version,
    /// RFC 9112, section 5.1: also white space before the colon.
    #[error("the name of a field is not a token that ends with a colon")]
    FieldName,
    /// RFC 9110, section 5.5.
    #[error("the value of a field contains a control character")]
    FieldValue,
    /// RFC 9112, section 5.2.
    #[error("the value of a field is continued on the next line")]
    ObsFold,
    /// RFC 9112, section 3.2.
    #[error("the target has none of the four forms, or not the one that the method needs")]
    Target,
    /// RFC 9112, section 3.2: a fragment is never sent.
    #[error("the target contains a fragment")]
    Fragment,
    /// RFC 9112, section 3.2.
    #[error("a request of HTTP/1.1 has no Host")]
    HostMissing,
    /// RFC 9112, section 3.2.
    #[error("several Host fields")]
    HostRepeated,
    /// RFC 9110, section 7.2.
    #[error("Host is not a host and an optional port")]
    HostInvalid,
    /// RFC 9112, section 3.2.2: readers differ on which of the two they believe.
    #[error("Host names another authority than the target")]
    HostNotTarget,
    /// RFC 9110, section 8.6: also a sign, a list, white space that is not a space before it, and what no u64 holds.
    #[error("Content-Length is not a number")]
    ContentLength,
    /// RFC 9112, section 6.3.
    #[error("several Content-Length fields")]
    ContentLengthRepeated,
    /// RFC 9112, section 6.1.
    #[error("Transfer-Encoding is not `chunked` and nothing else")]
    TransferEncoding,
    /// RFC 9112, section 6.3.
    #[error("several Transfer-Encoding fields")]
    TransferEncodingRepeated,
    /// RFC 9112, section 6.1: "the framing is faulty".
    #[error("Transfer-Encoding in a message of HTTP/1.0")]
    TransferEncodingInOld,
    /// RFC 9112, section 6.3.
    #[error("both Transfer-Encoding and Content-Length")]
    LengthTwice,
    /// `Content_Length`, which programs behind a gateway interface cannot tell from the real one.
    #[error("a field that looks like Content-Length or Transfer-Encoding, with an underscore")]
    FramingLookalike,
    /// RFC 9110, section 7.6.1: a field for all recipients must not be named.
    #[error("Connection names a field that says where the message goes or ends")]
    ConnectionNames,
    /// Each is compared with each field.
    #[error("Connection has too many options, or one that is not a token")]
    ConnectionOptions,
    /// RFC 9110, section 9.3.6: its meaning is not defined, and what follows the head is the tunnel's.
    #[error("CONNECT with content")]
    ConnectContent,
    /// RFC 9110, section 15.2.2.
    #[error("a switch of protocols that was not asked for")]
    UnaskedSwitch,
    /// RFC 9110, section 15.2, sets no bound.
    #[error("a server sends interim responses without end")]
    InterimFlood,
    /// RFC 9112, section 7.1: also white space, a sign and more than 16 digits.
    #[error("the size of a chunk is not a hexadecimal number")]
    ChunkSize,
    /// RFC 9112, section 7.1.1: also a quotation that the line does not end.
    #[error("the extension of a chunk is not well-formed")]
    ChunkExtension,
    /// RFC 9112, section 7.1.1: a limit is asked for.
    #[error("the extensions of a chunk are longer than --http-max-chunk-extension allows")]
    ChunkExtensionTooLong,
    /// RFC 9112, section 7.1.
    #[error("a chunk is longer or shorter than its size says")]
    ChunkEnd,
    /// RFC 9112, section 7.1.2.
    #[error("a trailer is not a field")]
    Trailer,
    /// RFC 9110, section 6.5.1.
    #[error("a trailer says where the message goes or ends")]
    TrailerForbidden,
    /// As for heads.
    #[error("the trailers are more than --http-max-trailers and --http-max-fields allow")]
    TrailersTooLong,
}

impl Refusal {
    /// All that there are.
    pub const ALL: [Self; 35] = [
        Self::HeadTooLong,
        Self::TooManyFields,
        Self::LineEnd,
        Self::EmptyLine,
        Self::RequestLine,
        Self::StatusLine,
        Self::Version,
        Self::FieldName,
        Self::FieldValue,
        Self::ObsFold,
        Self::Target,
        Self::Fragment,
        Self::HostMissing,
        Self::HostRepeated,
        Self::HostInvalid,
        Self::HostNotTarget,
        Self::ContentLength,
        Self::ContentLengthRepeated,
        Self::TransferEncoding,
        Self::TransferEncodingRepeated,
        Self::TransferEncodingInOld,
        Self::LengthTwice,
        Self::FramingLookalike,
        Self::ConnectionNames,
        Self::ConnectionOptions,
        Self::ConnectContent,
        Self::UnaskedSwitch,
        Self::InterimFlood,
        Self::ChunkSize,
        Self::ChunkExtension,
        Self::ChunkExtensionTooLong,
        Self::ChunkEnd,
        Self::Trailer,
        Self::TrailerForbidden,
        Self::TrailersTooLong,
    ];

    /// As logs and labels name it.
    pub fn code(self) -> Code {
        Code::new(match self {
            Self::HeadTooLong => "http1.head_too_long",
            Self::TooManyFields => "http1.too_many_fields",
            Self::LineEnd => "http1.line_end",
            Self::EmptyLine => "http1.empty_line",
            Self::RequestLine => "http1.request_line",
            Self::StatusLine => "http1.status_line",
            Self::Version => "http1.version",
            Self::FieldName => "http1.field_name",
            Self::FieldValue => "http1.field_value",
            Self::ObsFold => "http1.obs_fold",
            Self::Target => "http1.target",
            Self::Fragment => "http1.fragment",
            Self::HostMissing => "http1.host_missing",
            Self::HostRepeated => "http1.host_repeated",
            Self::HostInvalid => "http1.host_invalid",
            Self::HostNotTarget => "http1.host_not_target",
            Self::ContentLength => "http1.content_length",
            Self::ContentLengthRepeated => "http1.content_length_repeated",
            Self::TransferEncoding => "http1.transfer_encoding",
            Self::TransferEncodingRepeated => "http1.transfer_encoding_repeated",
            Self::TransferEncodingInOld => "http1.transfer_encoding_in_http10",
            Self::LengthTwice => "http1.length_twice",
            Self::FramingLookalike => "http1.framing_lookalike",
            Self::ConnectionNames => "http1.connection_names",
            Self::ConnectionOptions => "http1.connection_options",
            Self::ConnectContent => "http1.connect_content",
            Self::UnaskedSwitch => "http1.unasked_switch",
            Self::InterimFlood => "http1.interim_flood",
            Self::ChunkSize => "http1.chunk_size",
            Self::ChunkExtension => "http1.chunk_extension",
            Self::ChunkExtensionTooLong => "http1.chunk_extension_too_long",
            Self::ChunkEnd => "http1.chunk_end",
            Self::Trailer => "http1.trailer",
            Self::TrailerForbidden => "http1.trailer_forbidden",
            Self::TrailersTooLong => "http1.trailers_too_long",
        })
    }

    /// The status that tells the sender of a request.
    pub fn status(self) -> u16 {
        if matches!(self, Self::HeadTooLong | Self::TooManyFields) { 431 } else { 400 }
    }
}

/// What a side has not ended, though it has ended its stream in good order.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Unended {
    /// RFC 9112, section 8.
    #[error("the stream ended within the request's head")]
    RequestHead,
    /// The same of the server.
    #[error("the stream ended within the response's head")]
    ResponseHead,
    /// RFC 9112, section 8: what came is shorter than announced.
    #[error("the stream ended within the content")]
    Content,
}

impl Unended {
    /// The three.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 3] = [Self::RequestHead, Self::ResponseHead, Self::Content];

    /// As logs and labels name it.
    pub(crate) fn code(self) -> Code {
        Code::new(match self {
            Self::RequestHead => "http1.request_head_ended",
            Self::ResponseHead => "http1.response_head_ended",
            Self::Content => "http1.content_ended",
        })
    }
}
