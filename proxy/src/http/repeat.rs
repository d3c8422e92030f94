//! Whether a request is sent again after an attempt that has failed: one rule for both versions, whatever they see it by.
//!
//! Pure. How often is not decided here: HTTP/1 meets a connection that was used once at most, and HTTP/2 counts. Invariant: no server
//! does twice what may not be done twice.

/// What the server has done, as far as that can be known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// It says that it has not accepted the request (RFC 9113, sections 6.8 and 8.7).
    NotAccepted,
    /// The connection has ended. One that was used before may have ended without regard to the request.
    Gone { was_used: bool },
    /// Something else, or it was not the server.
    Other,
}

/// An attempt that has failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) failure: Failure,
    /// Something has come back.
    pub(super) is_heard: bool,
    /// What was passed on of the request is still here.
    pub(super) is_kept: bool,
    /// Nothing of it is still to come.
    pub(super) is_complete: bool,
    /// To do it twice comes to the same as to do it once (RFC 9110, section 9.2.2).
    pub(super) is_idempotent: bool,
}

impl Attempt {
    /// Whether there may be another one, by another connection.
    pub(super) fn may_be_repeated(self) -> bool {
        let is_safe = match self.failure {
            Failure::NotAccepted => true,
            Failure::Gone { was_used } => was_used && self.is_idempotent && self.is_complete,
            Failure::Other => false,
        };
        is_safe && !self.is_heard && self.is_kept
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempt, Failure};

    #[test]
    fn nothing_is_done_twice_that_may_not_be() {
        let failures = [
            Failure::NotAccepted,
            Failure::Gone { was_used: true },
            Failure::Gone { was_used: false },
            Failure::Other,
        ];
        let mut repeated = Vec::new();
        for failure in failures {
            for bits in 0..16 {
                let [is_heard, is_kept, is_complete, is_idempotent] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
                let attempt = Attempt { failure, is_heard, is_kept, is_complete, is_idempotent };
                if attempt.may_be_repeated() {
                    assert!(is_kept && !is_heard, "{attempt:?}");
                    repeated.push((failure, is_complete, is_idempotent));
                }
            }
        }
        let used = Failure::Gone { was_used: true };
        let not_accepted = [(false, false), (true, false), (false, true), (true, true)]
            .map(|(a, b)| (Failure::NotAccepted, a, b));
        assert_eq!(repeated, [&not_accepted[..], &[(used, true, true)]].concat());
    }
}
