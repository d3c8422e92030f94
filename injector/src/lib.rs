//! injector: the mutating admission webhook that adds the mesh's containers to pods.
//!
//! It deliberately is not a controller: it watches no pods, calls no API on the path of a request, and its memory does
//! not grow with the cluster.
//!
//! Reading order: `inject` decides about a pod and is pure; `webhook` and `manifest` are its two shells, for the API
//! server and for files, and `configuration` is the file that both follow; `export` writes what the cluster must know of
//! the rules; `pki` and `cluster` are certificates and where they are kept, which `bootstrap` brings together; `app` is the
//! only wiring, `config` the command line; `strict` is how JSON of others is read.

pub mod app;
pub mod bootstrap;
pub mod cluster;
pub mod command;
pub mod config;
pub mod configuration;
pub mod export;
pub mod inject;
pub mod manifest;
pub mod pki;
pub mod strict;
pub mod webhook;
