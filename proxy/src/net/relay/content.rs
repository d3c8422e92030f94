//! Which bytes of a direction are carried: all of them until the source ends, or those of one message.
//!
//! The relay does not know what a message is; whoever does implements [`Content`].

/// Why what has come is no content, or not all of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotContent {
    /// The source has ended before it was complete.
    #[error("ended within a message")]
    Truncated,
    /// Whoever looked at it knows more.
    #[error("sent a message that is not what it had announced")]
    Malformed,
}

/// What is carried of a direction.
pub(crate) trait Content {
    /// Whether somebody has read the source before, and perhaps not all that was there.
    const IS_BEGUN: bool;

    /// Those of `bytes`, which have come, that are of it; it keeps the others itself.
    fn take<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], NotContent>;

    /// How many bytes come next that are of it, whatever they are.
    fn unseen(&self) -> usize;

    /// So many of those went by.
    fn skip(&mut self, bytes: usize);

    /// Whether nothing more is to come.
    fn is_complete(&self) -> bool;

    /// Whether the end of the source is its end.
    fn may_end(&self) -> bool;
}

/// Everything that comes until the source ends.
pub(super) struct Everything<const BEGUN: bool>;

impl<const BEGUN: bool> Content for Everything<BEGUN> {
    const IS_BEGUN: bool = BEGUN;

    fn take<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], NotContent> {
        Ok(bytes)
    }

    fn unseen(&self) -> usize {
        usize::MAX
    }

    fn skip(&mut self, _: usize) {}

    fn is_complete(&self) -> bool {
        false
    }

    fn may_end(&self) -> bool {
        true
    }
}
