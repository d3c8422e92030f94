//! init-redirect.
