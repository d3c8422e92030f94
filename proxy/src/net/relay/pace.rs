//! Whether a direction is copied or spliced, from the sizes of what came.
//!
//! Splicing takes two system calls more than copying and spares the copy, so it pays for long transfers whose bytes come in
//! large pieces, and costs a third more for small messages. Where exactly it begins matters little: transfers of 4 MB took the
//! same time with 256 KiB, 2 MiB and never, and for transfers of 64 MB the difference was within the spread.

/// What counts as a large piece.
const LARGE: usize = 64 * 1024;

/// Bytes in large pieces, one after the other, upon which splicing begins.
const BEGIN: usize = 2 * 1024 * 1024;

/// Small pieces, one after the other, upon which it ends: one that comes between large ones is an accident of timing.
const PATIENCE: u8 = 8;

/// What is known of one direction.
#[derive(Debug, Default)]
pub(super) struct Pace {
    mode: Mode,
    /// Bytes in large pieces since the last small one, while copying.
    large: usize,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Mode {
    #[default]
    Copy,
    /// With the number of small pieces since the last large one.
    Splice(u8),
    /// The kernel cannot splice these sockets.
    CopyForEver,
}

impl Pace {
    /// Whether the next piece is worth a pipe.
    pub(super) fn wants_splice(&self) -> bool {
        matches!(self.mode, Mode::Splice(_)) || (self.mode == Mode::Copy && self.large >= BEGIN)
    }

    pub(super) fn is_spliced(&self) -> bool {
        matches!(self.mode, Mode::Splice(_))
    }

    /// A piece has come.
    pub(super) fn took(&mut self, bytes: usize) {
        let is_large = bytes >= LARGE;
        self.mode = match self.mode {
            Mode::Splice(_) if is_large => Mode::Splice(0),
            Mode::Splice(small) if small < PATIENCE => Mode::Splice(small + 1),
            Mode::Splice(_) => Mode::Copy,
            mode @ (Mode::Copy | Mode::CopyForEver) => mode,
        };
        self.large = if is_large { self.large.saturating_add(bytes) } else { 0 };
    }

    /// A pipe was had.
    pub(super) fn begin_splice(&mut self) {
        self.mode = Mode::Splice(0);
    }

    /// No pipe is to be had; it is asked for again after the same number of bytes.
    pub(super) fn refused(&mut self) {
        *self = Self::default();
    }

    /// No pipe will ever help.
    pub(super) fn never_splice(&mut self) {
        self.mode = Mode::CopyForEver;
    }
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, LARGE, PATIENCE, Pace};

    fn spliced() -> Pace {
        let mut pace = Pace::default();
        pace.took(BEGIN);
        assert!(pace.wants_splice() && !pace.is_spliced());
        pace.begin_splice();
        pace
    }

    #[test]
    fn only_large_pieces_in_a_row_are_spliced() {
        let mut pace = Pace::default();
        for _ in 0..BEGIN / LARGE - 1 {
            pace.took(LARGE);
            assert!(!pace.wants_splice());
        }
        pace.took(LARGE - 1);
        for _ in 0..BEGIN / LARGE - 1 {
            pace.took(LARGE);
        }
        assert!(!pace.wants_splice());
        pace.took(LARGE);
        assert!(pace.wants_splice());
    }

    #[test]
    fn small_messages_end_it_and_a_small_piece_does_not() {
        let mut pace = spliced();
        for _ in 0..3 {
            for _ in 0..PATIENCE {
                pace.took(1);
            }
            pace.took(LARGE);
            assert!(pace.is_spliced());
        }
        for _ in 0..=PATIENCE {
            assert!(pace.wants_splice());
            pace.took(1);
        }
        assert!(!pace.is_spliced() && !pace.wants_splice());
    }

    #[test]
    fn a_refusal_is_not_asked_for_at_once_again() {
        let mut pace = Pace::default();
        pace.took(BEGIN);
        pace.refused();
        assert!(!pace.wants_splice());
        pace.took(BEGIN);
        assert!(pace.wants_splice());
        pace.never_splice();
        pace.took(BEGIN);
        assert!(!pace.wants_splice());
    }
}
