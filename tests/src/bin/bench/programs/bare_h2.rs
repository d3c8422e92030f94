//! A floor: two ends of the HTTP library that ours has, and as little between them as carries a message (`bare-h2`).

use anyhow::Result;
use tests::binaries;

use super::{Program, file};
use crate::protocol::Protocol;

const BINARY: &str = "/bare-h2";

pub(super) fn program() -> Result<Program> {
    let binary = binaries::bare_h2()?;
    Ok(Program {
        name: "bare-h2",
        version: env!("CARGO_PKG_VERSION").to_owned(),
        setup: "no product but a floor: both ends of the h2 library, which ours has, on one thread, a connection \
                to where it was going for each of the client's, and nothing else: no limit, log or metric",
        inbound: &[Protocol::Http2],
        outbound: &[],
        mounts: vec![file(&binary, BINARY)],
        configuration: None,
        arguments: vec![BINARY.to_owned()],
        metrics: None,
        binary,
    })
}
