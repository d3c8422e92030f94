//! injector: see the library.

fn main() {}
