//! proxy: see the library.

fn main() {}
