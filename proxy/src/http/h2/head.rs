//! What h2 leaves to its user of RFC 9113, section 8: which requests, responses and trailers may be forwarded.
//!
//! Pure. h2 has seen to the rest: pseudo-header fields that are missing, repeated, unknown or late, names that are not lower
//! case, fields that are about a connection, TE, and content that is not as long as content-length says.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, request};

use super::Refusal;
use crate::http::authority::is_host_and_port;

/// The most of what one message may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) fields: usize,
    /// Bytes of a head, or of trailers, as RFC 9113 counts them.
    pub(super) head: usize,
}

/// What each field is counted besides its name and value (RFC 9113, section 10.5.1).
const EACH: usize = 32;

/// Pseudo-header fields of a request, and their names together.
const PSEUDO: usize = 4 * EACH + ":method:scheme:authority:path".len();

/// Whether a request may be forwarded, of which h2 has left out a fragment, and the scheme where it has no authority.
pub(super) fn judge_request(request: &request::Parts, most: Most) -> Result<(), Refusal> {
    let target = request.uri.path_and_query().map_or(0, |path| path.as_str().len())
        + request.uri.authority().map_or(0, |authority| authority.as_str().len());
    judge_fields(&request.headers, most)?;
    if size(&request.headers) + target + PSEUDO > most.head {
        return Err(Refusal::HeadTooLong);
    }
    judge_target(&request.method, &request.uri, request.extensions.get::<::h2::ext::Protocol>().is_some())?;
    judge_host(&request.uri, &request.headers)
}

/// Whether a response, interim or not, may be forwarded.
pub(super) fn judge_response(status: StatusCode, fields: &HeaderMap, most: Most) -> Result<(), Refusal> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Refusal::Switch);
    }
    if size(fields) + EACH > most.head {
        return Err(Refusal::HeadTooLong);
    }
    judge_fields(fields, most)
}

/// Whether trailers may be forwarded, which came as a block of `length` bytes, if that was long.
///
/// h2 leaves out fields where there is too much of them, which it tells of heads and not of trailers. It is told twice what is
/// allowed: so what it leaves out of is found by what is left, or by the length of the block, which is more than what is left takes.
pub(super) fn judge_trailers(fields: &HeaderMap, most: Most, length: Option<u32>) -> Result<(), Refusal> {
    let is_cut = length.is_some_and(|length| length as usize > most_of_block(fields));
    if is_cut || size(fields) > most.head {
        return Err(Refusal::TrailersTooLong);
    }
    judge_fields(fields, most)?;
    if [CONTENT_LENGTH, HOST, TRANSFER_ENCODING].iter().any(|name| fields.contains_key(name)) {
        return Err(Refusal::TrailerForbidden);
    }
    Ok(())
}

fn judge_fields(fields: &HeaderMap, most: Most) -> Result<(), Refusal> {
    if fields.len() > most.fields {
        return Err(Refusal::TooManyFields);
    }
    if fields.values().any(has_space_around) {
        return Err(Refusal::FieldValue);
    }
    if fields.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(Refusal::ContentLengthRepeated);
    }
    Ok(())
}

fn size(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len() + EACH).sum()
}

/// RFC 9113, section 6.2: padding, and what says how much there is of it, in the one frame that may have it.
const MOST_PADDING: usize = 261;

/// The most that a block with these fields may take: some encode each text by Huffman's code, also where it is longer so (RFC 7541,
/// appendix B).
fn most_of_block(fields: &HeaderMap) -> usize {
    let longest = |bytes: &[u8]| bytes.iter().map(|byte| longest_code(*byte)).sum::<usize>();
    let of_field = |(name, value): (&HeaderName, &HeaderValue)| {
        longest(name.as_str().as_bytes()) + longest(value.as_bytes()) + EACH
    };
    fields.iter().map(of_field).sum::<usize>() + MOST_PADDING
}

/// In bytes, rounded up; what is in most texts has 8 bits at most.
fn longest_code(byte: u8) -> usize {
    match byte {
        b'\\' => 3,
        _ if byte.is_ascii_alphanumeric() || b" %-./=_:&*,;".contains(&byte) => 1,
        b'!'..=b'~' => 2,
        _ => 4,
    }
}

fn has_space_around(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    [bytes.first(), bytes.last()].into_iter().flatten().any(|byte| matches!(byte, b' ' | b'\t'))
}

fn judge_target(method: &Method, uri: &Uri, is_extended: bool) -> Result<(), Refusal> {
    if *method == Method::CONNECT && !is_extended {
        let is_complete = uri.authority().is_some_and(|authority| authority.port().is_some());
        return if is_complete { Ok(()) } else { Err(Refusal::ConnectTarget) };
    }
    match uri.path_and_query().map(|path| path.as_str()) {
        Some(path) if path.starts_with('/') => Ok(()),
        Some("*") if *method == Method::OPTIONS => Ok(()),
        _ => Err(Refusal::Path),
    }
}

fn judge_host(uri: &Uri, fields: &HeaderMap) -> Result<(), Refusal> {
    let mut hosts = fields.get_all(HOST).iter().map(HeaderValue::as_bytes);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::HostRepeated);
    }
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    let (Some(named), other) = (authority.or(host), host) else { return Err(Refusal::AuthorityMissing) };
    if !is_host_and_port(named) {
        return Err(Refusal::AuthorityInvalid);
    }
    match other {
        Some(host) if !host.eq_ignore_ascii_case(named) => Err(Refusal::HostNotAuthority),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Most, judge_request, judge_response, judge_trailers, most_of_block};
    use crate::http::h2::Refusal;
    use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, request};

    fn request(method: &str, uri: &str, fields: &[(&str, &str)]) -> request::Parts {
        let (mut parts, ()) = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
        parts.headers = map(fields);
        parts
    }

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn requests() {
        let refused = |refusal| Err(refusal);
        type Fields = &'static [(&'static str, &'static str)];
        let cases: &[(&str, &str, Fields, Result<(), Refusal>)] = &[
            ("GET", "http://a/", &[], Ok(())),
            ("GET", "http://a:80/x?y", &[("host", "A:80")], Ok(())),
            ("GET", "http://[::1]:80/", &[], Ok(())),
            ("GET", "/", &[("host", "a")], Ok(())),
            ("GET", "/", &[("host", "[::1]:80")], Ok(())),
            ("OPTIONS", "*", &[("host", "a")], Ok(())),
            ("CONNECT", "a:443", &[], Ok(())),
            ("CONNECT", "a", &[], refused(Refusal::ConnectTarget)),
            ("GET", "*", &[("host", "a")], refused(Refusal::Path)),
            ("GET", "/", &[], refused(Refusal::AuthorityMissing)),
            ("GET", "/", &[("host", "")], refused(Refusal::AuthorityInvalid)),
            ("GET", "/", &[("host", "a@b")], refused(Refusal::AuthorityInvalid)),
            ("GET", "/", &[("host", "a,b")], refused(Refusal::AuthorityInvalid)),
            ("GET", "http://a,b/", &[], refused(Refusal::AuthorityInvalid)),
            ("GET", "/", &[("host", "a/b")], refused(Refusal::AuthorityInvalid)),
            ("GET", "/", &[("host", "a:b")], refused(Refusal::AuthorityInvalid)),
            ("GET", "/", &[("host", "a:123456")], refused(Refusal::AuthorityInvalid)),
            ("GET", "/", &[("host", "[::x]")], refused(Refusal::AuthorityInvalid)),
            ("GET", "http://u:p@a/", &[], refused(Refusal::AuthorityInvalid)),
            ("GET", "http://u@a:1/", &[], refused(Refusal::AuthorityInvalid)),
            ("GET", "http://a/", &[("host", "b")], refused(Refusal::HostNotAuthority)),
            ("GET", "http://a/", &[("host", "a:80")], refused(Refusal::HostNotAuthority)),
            ("GET", "http://a/", &[("host", "a"), ("host", "a")], refused(Refusal::HostRepeated)),
            ("GET", "http://a/", &[("x", " y")], refused(Refusal::FieldValue)),
            ("GET", "http://a/", &[("x", "y\t")], refused(Refusal::FieldValue)),
            ("GET", "http://a/", &[("x", "")], Ok(())),
            (
                "GET",
                "http://a/",
                &[("content-length", "1"), ("content-length", "1")],
                refused(Refusal::ContentLengthRepeated),
            ),
            (
                "GET",
                "http://a/",
                &[("cookie", "a=1"), ("cookie", "b=2"), ("x", "")],
                refused(Refusal::TooManyFields),
            ),
        ];
        for (method, uri, fields, expected) in cases {
            assert_eq!(
                &judge_request(&request(method, uri, fields), MOST),
                expected,
                "{method} {uri} {fields:?}"
            );
        }
    }

    #[test]
    fn responses_and_trailers() {
        let none = HeaderMap::new();
        assert_eq!(judge_response(StatusCode::OK, &none, MOST), Ok(()));
        assert_eq!(judge_response(StatusCode::EARLY_HINTS, &none, MOST), Ok(()));
        assert_eq!(judge_response(StatusCode::SWITCHING_PROTOCOLS, &none, MOST), Err(Refusal::Switch));
        assert_eq!(judge_response(StatusCode::OK, &map(&[("x", "y ")]), MOST), Err(Refusal::FieldValue));
        assert_eq!(judge_trailers(&map(&[("grpc-status", "0")]), MOST, None), Ok(()));
        for name in ["content-length", "host", "transfer-encoding"] {
            assert_eq!(
                judge_trailers(&map(&[(name, "1")]), MOST, None),
                Err(Refusal::TrailerForbidden),
                "{name}"
            );
        }
    }

    const MOST: Most = Most { fields: 2, head: 1_000 };

    #[test]
    fn what_is_too_long_is_refused_whole_or_cut() {
        let long = "a".repeat(1_000);
        let (all, rest) = (map(&[("a", &long)]), map(&[("grpc-status", "0")]));
        assert_eq!(judge_response(StatusCode::OK, &all, MOST), Err(Refusal::HeadTooLong));
        let asks = request("GET", "http://a/", &[("a", &long)]);
        assert_eq!(judge_request(&asks, MOST), Err(Refusal::HeadTooLong));
        assert_eq!(judge_trailers(&all, MOST, None), Err(Refusal::TrailersTooLong));
        assert_eq!(judge_trailers(&rest, MOST, Some(20_000)), Err(Refusal::TrailersTooLong));
        // Whatever it is encoded by.
        let wide = map(&[("a", &"\u{fc}".repeat(400))]);
        assert_eq!(judge_trailers(&wide, MOST, Some(800 * 28 / 8)), Ok(()));
        assert!(most_of_block(&map(&[("a", &"~".repeat(100))])) >= 100 * 13 / 8);
    }
}
