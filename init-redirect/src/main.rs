//! init-redirect: see the library.

fn main() {}
