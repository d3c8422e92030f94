//! The commands: what they say about manifests and clusters, as text and as JSON, and how they end.

mod check;
mod cluster;
mod live;
mod offline;
