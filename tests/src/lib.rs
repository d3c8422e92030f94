//! The test kit: what stands in for a cluster, so that the real binaries can be run as Kubernetes would run them, with
//! nothing but root and a Linux kernel. The demo and the tests that need namespaces are built from it.
//!
//! It is not linked into a product, and it knows of the products only what their users know: command lines, ports, files.
//!
//! Reading order: a namespace is a pod's network; `exec` is what a container runtime does to a process; `pod` is what a
//! kubelet does with a pod; `peer` is an application.

pub mod api_server;
pub mod binaries;
pub mod cache;
pub mod cgroup;
pub mod cluster;
pub mod control_plane;
pub mod datagram;
pub mod disturbance;
pub mod exec;
pub mod init_container;
pub mod lab;
pub mod leftovers;
pub mod meshed;
pub mod netns;
pub mod node;
pub mod peer;
pub mod pod;
pub mod python;
pub mod rules;
pub mod scale;
pub mod segment;
pub mod tool;
pub mod webhook;
