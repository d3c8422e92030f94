//! The suites against the proxy: the real code on loopback, without redirect rules and without root, with a server behind it that
//! answers everything, or with no other server than the suite's.
//!
//! What is counted is part of the tests, as is what the proxy's own metrics say of the cases. `cfg(test)` tells clippy that helpers
//! are test code too.

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod http1;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod program;
#[cfg(test)]
mod support;
