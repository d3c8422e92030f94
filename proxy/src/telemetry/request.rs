//! What is told of a request.

/// A request when it begins. Text is as it was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Request<'a> {
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`; empty where it could not be read.
    pub(crate) protocol: &'static str,
    /// Empty where it could not be read.
    pub(crate) method: &'a [u8],
    /// The request's target; empty where it could not be read.
    pub(crate) path: &'a [u8],
    /// Whom it is for.
    pub(crate) authority: Option<&'a [u8]>,
    /// The field of this name.
    pub(crate) user_agent: Option<&'a [u8]>,
    /// The field of this name.
    pub(crate) x_forwarded_for: Option<&'a [u8]>,
    /// `x-request-id`.
    pub(crate) request_id: Option<&'a [u8]>,
    /// Whether the content's type is that of gRPC.
    pub(crate) is_grpc: bool,
}
