//! HTTP as the data path speaks it: [`h1`] is HTTP/1.0 and 1.1.
//!
//! Other programs' HTTP (probes, metrics, administration) is spoken by hyper; nothing here is used for it.

pub mod h1;
