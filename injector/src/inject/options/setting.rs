//! A value together with where it comes from.

use std::ops::{Deref, DerefMut};

use super::super::Source;

/// A value of an option. It reads as the value itself.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Setting<T> {
    value: T,
    origin: Origin,
}

/// Who said a value.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in super::super) struct Origin {
    pub(super) source: Source,
    /// The key that said it; absent for what is built in.
    pub(super) key: Option<&'static str>,
    /// Who wins among the keys of one source that say the same thing.
    pub(super) rank: u8,
}

impl Origin {
    /// A field of the configuration file's own, not an annotation; every annotation wins.
    pub(super) fn field(key: &'static str) -> Self {
        Self { source: Source::Mesh, key: Some(key), rank: 0 }
    }
}

impl<T> Setting<T> {
    /// What holds where nobody says anything.
    pub(super) fn built_in(value: T) -> Self {
        Self { value, origin: Origin::default() }
    }

    /// The key that said it; absent for what is built in.
    pub(in super::super) fn key(&self) -> Option<&'static str> {
        self.origin.key
    }

    pub(super) fn origin(&self) -> Origin {
        self.origin
    }

    /// Takes a value from a later source, or from a key of the same source that ranks no lower. Two keys of the same source
    /// that disagree are told, the one that counts first.
    pub(super) fn offer(&mut self, value: T, origin: Origin) -> Option<(&'static str, &'static str)>
    where
        T: PartialEq,
    {
        let (earlier, later) = (self.origin, origin);
        let wins = (later.source, later.rank) >= (earlier.source, earlier.rank);
        let disagree = earlier.source == later.source && earlier.rank != 0 && self.value != value;
        if wins {
            *self = Self { value, origin };
        }
        let (winner, loser) = if wins { (later, earlier) } else { (earlier, later) };
        Option::zip(winner.key, loser.key).filter(|(winner, loser)| disagree && winner != loser)
    }
}

impl<T> Deref for Setting<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Setting<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
