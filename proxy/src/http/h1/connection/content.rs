//! A message's content, as the relay carries it.

use crate::http::h1::Refusal;
use crate::http::h1::body::{AtEnd, Body};
use crate::net::relay::{Ahead, Content, NotContent};

/// Content that is being carried.
pub(super) struct MessageContent<'m, 'a> {
    pub(super) body: &'m mut Body,
    /// Keeps what has come after the message.
    pub(super) ahead: &'m mut Ahead<'a>,
    /// Why it was not carried to its end.
    pub(super) refusal: &'m mut Option<Refusal>,
}

impl Content for MessageContent<'_, '_> {
    const IS_BEGUN: bool = true;

    fn take<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], NotContent> {
        match self.body.walk(bytes) {
            Ok(length) => {
                let (content, after) = bytes.split_at(length.min(bytes.len()));
                self.ahead.append(after);
                Ok(content)
            }
            Err(refusal) => {
                *self.refusal = Some(refusal);
                Err(NotContent::Malformed)
            }
        }
    }

    fn unseen(&self) -> usize {
        self.body.unseen()
    }

    fn skip(&mut self, bytes: usize) {
        self.body.skip(bytes);
    }

    fn is_complete(&self) -> bool {
        self.body.is_done()
    }

    fn may_end(&self) -> bool {
        self.body.at_end() == AtEnd::Complete
    }
}
