//! What gRPC's statuses are to metrics.

use crate::trace::Kind;

/// The greatest of gRPC's statuses.
const UNAUTHENTICATED: u32 = 16;
const UNKNOWN: u8 = 2;

/// A status as metrics tell it apart: one that gRPC does not have is `UNKNOWN`, as which clients take it.
pub(super) fn known(status: u32) -> u8 {
    u8::try_from(status).ok().filter(|_| status <= UNAUTHENTICATED).unwrap_or(UNKNOWN)
}

/// Whether a span of this kind has failed with it: a server that was asked something wrong has not.
pub(super) fn is_failure(status: u32, kind: Kind) -> bool {
    match kind {
        Kind::Client => status != 0,
        // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS
        Kind::Server => matches!(status, 2 | 4 | 12 | 13 | 14 | 15),
    }
}

/// The status of a response that has none of its own, by HTTP's code, as gRPC's clients read it; none without a response.
pub(super) fn status_of(code: u16) -> Option<u32> {
    match code {
        0 => None,
        // INTERNAL
        400 => Some(13),
        401 => Some(UNAUTHENTICATED),
        // PERMISSION_DENIED
        403 => Some(7),
        // UNIMPLEMENTED
        404 => Some(12),
        // UNAVAILABLE
        429 | 502 | 503 | 504 => Some(14),
        _ => Some(UNKNOWN.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{known, status_of};

    #[test]
    fn there_are_seventeen_statuses() {
        let all: std::collections::BTreeSet<_> = (0..1000).chain([u32::MAX, 256, 257]).map(known).collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), (0..17).collect::<Vec<_>>());
        assert_eq!((known(16), known(17), known(256)), (16, 2, 2));
    }

    #[test]
    fn a_response_without_a_status_has_https() {
        for (code, status) in [
            (0, None),
            (200, Some(2)),
            (400, Some(13)),
            (401, Some(16)),
            (403, Some(7)),
            (404, Some(12)),
            (429, Some(14)),
            (500, Some(2)),
            (503, Some(14)),
        ] {
            assert_eq!(status_of(code), status, "{code}");
        }
    }
}
