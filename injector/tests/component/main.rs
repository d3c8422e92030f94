//! Component tests of the injector: its library as a whole, against fixtures, files, and a scripted API server.

mod common;
mod invariants;
