//! A value together with where it comes from.

use std::ops::Deref;

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
}

impl<T> Setting<T> {
    /// What holds where nobody says anything.
    pub(super) fn built_in(value: T) -> Self {
        Self { value, origin: Origin::default() }
    }
}

impl<T> Deref for Setting<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
