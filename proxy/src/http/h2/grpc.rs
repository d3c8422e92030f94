//! What is understood of gRPC: which requests are its, how many messages pass, how a call ended; and how to say that it failed.
//!
//! Deadlines (`grpc-timeout`) and everything else pass as they are.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

/// `UNAVAILABLE`: the only one after which clients may try again.
const UNAVAILABLE: &str = "14";

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
/// The content type.
pub(super) const TYPE: &str = "application/grpc";

/// Whether these are the fields of a call, or of the response to one.
pub(super) fn is_call(fields: &HeaderMap) -> bool {
    let Some(value) = fields.get(CONTENT_TYPE).map(HeaderValue::as_bytes) else { return false };
    value
        .strip_prefix(TYPE.as_bytes())
        .is_some_and(|rest| rest.first().is_none_or(|next| matches!(next, b'+' | b';' | b' ')))
}

/// How the call ended, if these are trailers, or the fields of a response that has nothing else.
pub(super) fn status(fields: &HeaderMap) -> Option<u32> {
    fields.get(STATUS)?.to_str().ok()?.parse().ok()
}

/// What ends a call that could not be carried, and why: trailers, also where there is nothing before them.
pub(super) fn unavailable(why: &str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert(STATUS, HeaderValue::from_static(UNAVAILABLE));
    if let Ok(why) = HeaderValue::from_str(why) {
        fields.insert(MESSAGE, why);
    }
    fields
}

/// Counts the messages of one direction: each is a byte of flags, a length of four and so many bytes.
#[derive(Debug, Default)]
pub(super) struct Messages {
    length: [u8; 4],
    /// Bytes of the next prefix that have come.
    prefix: usize,
    /// Bytes of the message that have not.
    rest: usize,
}

impl Messages {
    const PREFIX: usize = 5;

    /// How many messages have begun in `bytes`, by the end of their prefix.
    pub(super) fn begun(&mut self, mut bytes: &[u8]) -> usize {
        let mut begun = 0;
        loop {
            let skipped = self.rest.min(bytes.len());
            self.rest -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some((byte, rest)) = bytes.split_first() else { return begun };
            bytes = rest;
            if let Some(place) = self.prefix.checked_sub(1).and_then(|place| self.length.get_mut(place)) {
                *place = *byte;
            }
            self.prefix += 1;
            if self.prefix == Self::PREFIX {
                self.prefix = 0;
                self.rest = u32::from_be_bytes(self.length) as usize;
                begun += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Messages, is_call, status, unavailable};
    use http::HeaderMap;
    use http::header::CONTENT_TYPE;

    #[test]
    fn calls_are_told_by_their_content_type() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpcx", false),
            ("application/json", false),
            ("", false),
        ] {
            let fields = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(is_call(&fields), expected, "{value}");
        }
        assert!(!is_call(&HeaderMap::new()));
    }

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let mut bytes = vec![];
        for length in [0_u32, 1, 5, 300, 0, 70_000, 4] {
            bytes.push(0);
            bytes.extend(length.to_be_bytes());
            bytes.extend(std::iter::repeat_n(0xff, length as usize));
        }
        for size in [1, 2, 3, 4, 5, 6, 7, 64, 16_384, bytes.len()] {
            let mut messages = Messages::default();
            let counted: usize = bytes.chunks(size).map(|chunk| messages.begun(chunk)).sum();
            assert_eq!(counted, 7, "cut into pieces of {size}");
        }
    }

    #[test]
    fn a_status_is_a_number() {
        assert_eq!(status(&unavailable("gone")), Some(14));
        for bad in ["", "-1", "x", "99999999999"] {
            let fields = HeaderMap::from_iter([("grpc-status".parse().unwrap(), bad.parse().unwrap())]);
            assert_eq!(status(&fields), None, "{bad:?}");
        }
    }
}
